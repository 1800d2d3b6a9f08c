"""Numbers about this installation: for Prometheus when its client is there, for OpenTelemetry when the host uses it."""

from __future__ import annotations

from rimlock.features.metrics.feature import MetricsFeature, collector_of

__all__ = ["MetricsFeature", "collector_of"]
