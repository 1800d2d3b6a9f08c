"""Addresses: proven by a link that is mailed there, and changed only once the new one is."""

from __future__ import annotations

from rimlock.features.email_verification.feature import EmailVerification

__all__ = ["EmailVerification"]
