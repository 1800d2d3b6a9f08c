"""The plug: the route that is scraped, the events that are counted, and the span of each request.

Threat: numbers that are public by default; a library that is imported by everybody for the few who measure.
Source: OWASP ASVS 5.0 V13.4.5; requirement L3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.core.events import Event
from rimlock.feature import Feature
from rimlock.features.metrics.logic.exposition import Exposed, importable
from rimlock.features.metrics.logic.measuring import Counters
from rimlock.features.metrics.logic.telemetry import describe_spans, observe
from rimlock.features.metrics.routes import metrics_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock import Rimlock
    from rimlock.feature import Context, Watch

__all__ = ["MetricsFeature", "collector_of"]


class MetricsFeature(Feature):
    """Counts what happens here. One instance belongs to one installation."""

    name = "metrics"

    def __init__(self) -> None:
        """Count from nothing."""
        self._counters = Counters()
        self._listening = False

    def routes(self, context: Context) -> APIRouter | None:
        """Return the route, where prometheus-client is installed."""
        return metrics_routes(self.collector(context)) if importable() else None

    def collector(self, context: Context) -> Exposed:
        """Return what a registry of prometheus-client can be given."""
        return Exposed(lambda: self._counters.measured(context))

    async def start(self, context: Context) -> None:
        """Listen to every event, and give the numbers to OpenTelemetry. Does it once."""
        if not self._listening:
            self._listening = True
            context.on(Event, self._counters.note)
            observe(lambda: self._counters.measured(context))

    def watcher(self, context: Context) -> Watch | None:  # noqa: ARG002 - the host's telemetry is one for all
        """See Feature.watcher."""
        return describe_spans()


def collector_of(auth: Rimlock) -> Exposed:
    """Return the collector of an installation, to be registered beside the host's own numbers.

    Raises ConfigurationError for an installation without this feature.
    """
    for one in auth.features:
        if isinstance(one, MetricsFeature):
            return one.collector(auth.context)
    raise ConfigurationError("this Rimlock has no metrics feature; add MetricsFeature() to its features")
