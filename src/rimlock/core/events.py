"""What happened, as typed values, delivered to observers after the transaction that made it true.

Threat: an observer that can veto or break a sign-in, or an event that carries a secret into a log.
Source: OWASP ASVS 5.0 V16.2 (what a security event says).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

__all__ = ["EVENTS", "Event"]

EVENTS: dict[str, type[Event]] = {}
"""Every event by name, filled as the classes are made. The documentation is generated from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Root of all events. `at` is in seconds since the epoch; fields never hold a secret."""

    name: ClassVar[str] = ""
    at: float

    def __init_subclass__(cls) -> None:
        """Register the class under its own name in snake_case words."""
        EVENTS[cls.__name__] = cls

    def facts(self) -> dict[str, object]:
        """Return the fields as a mapping, for logs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
