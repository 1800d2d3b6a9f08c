"""Accounts with passwords: registering, signing in, changing what one signs in with, and the first administrator."""

from __future__ import annotations

from rimlock.features.password.feature import PasswordFeature

__all__ = ["PasswordFeature"]
