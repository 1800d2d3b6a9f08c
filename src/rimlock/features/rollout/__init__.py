"""Turning routes while the application runs: what is in force, what was changed, and who would have been refused."""

from __future__ import annotations

from rimlock.features.rollout.feature import RolloutFeature

__all__ = ["RolloutFeature"]
