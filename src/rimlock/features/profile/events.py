"""What happened to profiles.

Threat: an event that keeps what a deleted user wanted gone.
Source: OWASP ASVS 5.0 V16.2.1, V14.2.7 (data that is deleted is gone).
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event

__all__ = ["ProfileChanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged(Event):
    """A user changed something about themselves. `fields`: which, never to what."""

    user_id: str
    fields: tuple[str, ...]
