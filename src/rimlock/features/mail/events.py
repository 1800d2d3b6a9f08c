"""What became of messages. None of them says to which address, or what was said.

Threat: an address or a link in a log.
Source: OWASP ASVS 5.0 V16.2.5.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event, Told

__all__ = ["MessageFailed", "MessageSent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """The mail server, or what stands for it, took a message. `attempts`: at which try."""

    told = Told(audited=False)
    message_id: str
    kind: str
    user_id: str | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFailed(Event):
    """A message could not be sent. `dead`: it is not tried again by itself. `reason`: words of ours, and a number."""

    told = Told(outcome="failed", audited=False, grave=lambda event: event.dead)
    message_id: str
    kind: str
    user_id: str | None
    reason: str
    attempts: int
    dead: bool
