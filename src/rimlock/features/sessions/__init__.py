"""Signed-in devices: staying signed in, seeing where one is, and signing out."""

from __future__ import annotations

from rimlock.features.sessions.feature import SessionsFeature

__all__ = ["SessionsFeature"]
