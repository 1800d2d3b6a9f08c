"""What happened, as typed values, delivered to observers after the transaction that made it true.

Threat: an observer that can veto or break a sign-in, or an event that carries a secret into a log.
Source: OWASP ASVS 5.0 V16.2 (what a security event says).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from rimlock.core.acting import NOBODY, Acting

__all__ = ["EVENTS", "Event", "Outcome", "Told", "name_of", "subject_of"]

Outcome = Literal["ok", "refused", "failed"]
"""How it ended: done; kept from happening by a rule; tried in vain."""

EVENTS: dict[str, type[Event]] = {}
"""Every event by name, filled as the classes are made. The documentation is generated from it."""

OURS = "rimlock"
LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How an event is told.

    `about`: the field with the id of the user it concerns. `audited`: it becomes a row of the audit. `logged`: it
    becomes a line of the log. `grave`: whether that is a warning; unless it says, what was refused or failed is.
    `self_made`: whether the user it concerns did it, where nobody else is named, as by signing in.
    """

    outcome: Outcome = "ok"
    about: str = "user_id"
    audited: bool = True
    logged: bool = True
    self_made: Callable[[Any], bool] = lambda _: False
    grave: Callable[[Any], bool] | None = None

    def is_grave(self, event: Event) -> bool:
        """Say whether somebody should hear of it."""
        return self.outcome != "ok" if self.grave is None else self.grave(event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Root of all events. `at` is in seconds since the epoch; fields never hold a secret.

    `acting` says who made it happen and from where; it is filled in when the event is emitted. How an event is told
    stands in the class attribute `told`.
    """

    told: ClassVar[Told] = Told()
    at: float
    acting: Acting = field(default=NOBODY, repr=False, compare=False)

    def __init_subclass__(cls) -> None:
        """Register the class under its name."""
        EVENTS[name_of(cls)] = cls

    def facts(self) -> dict[str, object]:
        """Return the fields as a mapping, for logs. Who acted is not among them."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "acting"}


def name_of(kind: type[Event]) -> str:
    """Return what an event is called: as its class; a host's own has the name of its package before it."""
    package = kind.__module__.partition(".")[0]
    return (kind.__name__ if package == OURS else f"{package}.{kind.__name__}")[:LONGEST_NAME]


def subject_of(event: Event) -> str:
    """Return the id of the user whom an event concerns, empty for none."""
    return str(getattr(event, event.told.about, None) or "")
