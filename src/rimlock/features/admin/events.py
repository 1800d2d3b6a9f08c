"""What administrators did that nothing else tells of.

Threat: a password that was set by somebody else, without a trace of whom.
Source: OWASP ASVS 5.0 V16.2.1, V16.3.1. Who did it, from where, is noted with every event.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event

__all__ = ["TemporaryPasswordSet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryPasswordSet(Event):
    """An account got a temporary password; its old one is worthless and its sessions are ended.

    `expires_at`: seconds since the epoch. `sessions_ended`: how many devices were signed out.
    """

    user_id: str
    expires_at: int
    sessions_ended: int
