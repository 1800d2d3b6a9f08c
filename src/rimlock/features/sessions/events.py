"""What people do to all of their sessions at once.

Threat: a credential beside the sessions that goes on because nobody told its keeper.
Source: OWASP ASVS 5.0 V7.4.3; design section 2 (features never import each other).
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event, Told

__all__ = ["SignedOutEverywhere"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOutEverywhere(Event):
    """A user signed out on every device, however many there were. `kept`: but for the one they did it on.

    Each session that ended has an event of its own; this one is for who keeps credentials beside the sessions.
    """

    told = Told(audited=False, logged=False)
    user_id: str
    kept: bool
