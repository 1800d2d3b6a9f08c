"""The numbers in the text formats of Prometheus and OpenMetrics, and as a collector for a host's registry.

Threat: a registry of the host's that is changed because something was fitted to it.
Source: https://prometheus.github.io/client_python/collector/custom.

prometheus-client is imported when it is first asked: it takes longer than the rest of a start.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric as Family

    from rimlock.features.metrics.logic.measuring import Metric

__all__ = ["Exposed", "importable", "written"]


class Exposed:
    """A collector. `registry.register` takes it, beside whatever the registry has."""

    def __init__(self, measured: Callable[[], Iterable[Metric]]) -> None:
        """`measured` returns every number as it is now."""
        self._measured = measured

    def collect(self) -> Iterator[Family]:
        """Yield the numbers as prometheus-client knows them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for metric in self._measured():
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(metric.name, metric.meaning, labels=metric.labels)
            for labels, value in sorted(metric.values.items()):
                made.add_metric(labels, value)
            yield made


def importable() -> bool:
    """Say whether prometheus-client is installed."""
    return find_spec("prometheus_client") is not None


def written(collector: Exposed, accept: str) -> tuple[bytes, str]:
    """Return the numbers as text in the format that was asked for, and its media type."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
