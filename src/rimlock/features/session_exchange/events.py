"""What happened to old sessions.

Threat: a way in that is tried by many and seen by nobody.
Source: OWASP ASVS 5.0 V16.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event, Told

__all__ = ["SessionExchangeFailed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionExchangeFailed(Event):
    """Nobody was found for an old session. One that is exchanged is a sign-in by the method `session`."""

    told = Told(outcome="failed")
    user_id: str | None
    address: str
