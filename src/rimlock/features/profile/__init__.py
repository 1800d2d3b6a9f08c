"""What people see and change about themselves, and what others see of them."""

from __future__ import annotations

from rimlock.features.profile.feature import ProfileFeature

__all__ = ["ProfileFeature"]
