"""What the host's own telemetry is told: words on the span of a judged request, and the numbers through a meter.

Threat: a credential, a session or a person in a trace that is sent to somebody else's service.
Source: https://opentelemetry.io/docs/specs/otel/trace/api; OWASP ASVS 5.0 V16.2.5.

Nothing of OpenTelemetry is imported here that the host did not import: whether it is used is asked of the modules
that are loaded already.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rimlock.core.usage import Key
    from rimlock.features.metrics.logic.measuring import Metric

__all__ = ["describe_spans", "observe"]

METER = "rimlock"


def describe_spans() -> Callable[[Key], None] | None:
    """Return what writes onto the current span how its request was judged; None where the host traces nothing."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or not _is_used(trace.get_tracer_provider(), "opentelemetry.sdk.trace"):
        return None
    current = trace.get_current_span

    def describe(key: Key) -> None:
        span = current()
        if span.is_recording():
            span.set_attribute("rimlock.stage", key.stage)
            span.set_attribute("rimlock.credential", key.credential)
            span.set_attribute("rimlock.outcome", key.outcome)
            if key.credential_id:
                span.set_attribute("rimlock.key_id", key.credential_id)

    return describe


def observe(measured: Callable[[], Iterable[Metric]]) -> None:
    """Have the numbers read through the host's meter whenever it exports; does nothing where there is none."""
    metrics = sys.modules.get("opentelemetry.metrics")
    if metrics is None or not _is_used(metrics.get_meter_provider(), "opentelemetry.sdk.metrics"):
        return
    meter = metrics.get_meter(METER)
    for one in measured():
        make = meter.create_observable_counter if one.kind == "counter" else meter.create_observable_gauge
        make(
            one.name.replace("rimlock_", "rimlock.", 1),
            callbacks=[_reading(metrics.Observation, measured, one.name)],
            description=one.meaning,
        )


def _reading(observation: Any, measured: Callable[[], Iterable[Metric]], name: str) -> Callable[[Any], Sequence[Any]]:
    def read(_: Any) -> Sequence[Any]:
        return [
            observation(value, dict(zip(metric.labels, labels, strict=True)))
            for metric in measured()
            if metric.name == name
            for labels, value in metric.values.items()
        ]

    return read


def _is_used(provider: object, sdk: str) -> bool:
    """Say whether the host set telemetry up: with a provider of its own, or by loading what providers are made of."""
    return sdk in sys.modules or not type(provider).__name__.lower().lstrip("_").startswith(("proxy", "noop"))
