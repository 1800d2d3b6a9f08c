"""Credentials on their way out: announced, tried out by brownouts, refused, taken back; and who still uses them."""

from __future__ import annotations

from rimlock.features.retirement.feature import RetirementFeature

__all__ = ["RetirementFeature"]
