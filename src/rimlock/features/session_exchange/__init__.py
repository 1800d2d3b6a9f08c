"""The session of an application's own, from before, exchanged for tokens."""

from __future__ import annotations

from rimlock.features.session_exchange.feature import SessionExchange

__all__ = ["SessionExchange"]
