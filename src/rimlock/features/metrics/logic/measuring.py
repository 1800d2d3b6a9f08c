"""The numbers: counted from events, and read from the parts that count for themselves.

Threat: a label that a stranger fills with values of their own; a number about a person.
Source: https://prometheus.io/docs/practices/naming; OWASP ASVS 5.0 V16.2.5.

No label names a user, a key, an address or a path. Each takes its values from a set that is fixed in the program.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rimlock.core.events import Event
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = ["SCOPE", "Counters", "Metric", "may_scrape"]

SCOPE = "metrics:read"
"""What a key must be good for that reads the numbers."""

MOST = 1_000
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number under one name, by the values of its labels."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    labels: Labels
    values: Mapping[Labels, float]


def may_scrape(principal: Principal) -> bool:
    """Say whether somebody may read the numbers: an administrator who is signed in, or a key with the scope."""
    if principal.kind == "key":
        return SCOPE in principal.scopes
    return principal.kind == "token" and "admin" in principal.roles


class Counters:
    """What happened in this process since it began, by event."""

    def __init__(self) -> None:
        """Count from nothing."""
        self._events: Counter[Labels] = Counter()
        self._highest: dict[tuple[str, Labels], float] = {}

    def note(self, event: Event) -> None:
        """Count an event, with the one word of it that tells apart what matters."""
        name = type(event).__name__
        word = str(getattr(event, _WORDS[name])) if name in _WORDS else ""
        place = (name, word)
        if place not in self._events and len(self._events) >= MOST:
            place = (name, "other")
        self._events[place] += 1

    def measured(self, context: Context) -> list[Metric]:
        """Return every number as it is now."""
        return [*self._counted(context), *_gauges(context)]

    def _counted(self, context: Context) -> Iterable[Metric]:
        events = Counter(self._events)
        requests: dict[Labels, float] = {place: float(count) for place, count in context.usage.totals().items()}
        yield self._counter("requests", "Judged requests.", ("stage", "credential", "outcome"), requests)
        yield self._counter("sign_ins", "Attempts to sign in, by how they ended.", ("outcome",), _sign_ins(events))
        yield self._counter("refreshes", "Sessions that were refreshed.", (), {(): context.entrance.renewed})
        for name, event, meaning in _PLAIN:
            yield self._counter(name, meaning, (), {(): _of(events, event)})
        journal: dict[Labels, float] = {
            (word,): float(count) for (name, word), count in events.items() if name == "JournalWritten"
        }
        yield self._counter("revocations", "Changes this process told the others of.", ("kind",), journal)
        by_event: Counter[Labels] = Counter()
        for (name, _), count in events.items():
            by_event[name,] += count
        yield self._counter("events", "Events, by name.", ("event",), by_event)

    def _counter(self, name: str, meaning: str, labels: Labels, values: Mapping[Labels, float]) -> Metric:
        """Return a number that never falls, also when it is read by another thread while it is being moved."""
        for place, value in values.items():
            self._highest[name, place] = max(value, self._highest.get((name, place), 0))
        kept = {place: self._highest[name, place] for place in values}
        return Metric(name=f"rimlock_{name}", kind="counter", meaning=meaning, labels=labels, values=kept)


def _sign_ins(events: Mapping[Labels, int]) -> dict[Labels, float]:
    found: Counter[Labels] = Counter()
    for (name, word), count in events.items():
        if name in _SIGN_INS:
            found[_SIGN_INS[name] or word,] += count
    return dict(found)


def _of(events: Mapping[Labels, int], event: str) -> float:
    return sum(count for (name, _), count in events.items() if name == event)


def _gauges(context: Context) -> Iterable[Metric]:
    lag = context.follower.lag()
    stale = lag > context.settings.max_staleness.total_seconds()
    found = {
        "journal_lag_seconds": ("Seconds since this process knew all revocations.", lag if isfinite(lag) else -1.0),
        "journal_stale": ("Whether that is longer ago than is allowed.", float(stale)),
        "hashing_in_flight": ("Passwords that are hashed, or wait for it.", float(context.passwords.in_flight)),
        "usage_pending": ("Counts of usage that are not written yet.", float(len(context.usage))),
    }
    for name, (meaning, value) in found.items():
        yield Metric(name=f"rimlock_{name}", kind="gauge", meaning=meaning, labels=(), values={(): value})


_WORDS = {"LoginFailed": "reason", "LoginRefused": "code", "JournalWritten": "kind", "SessionEnded": "reason"}
"""The field of an event that is counted with it. Its values are words of the program."""

_SIGN_INS = {
    "SessionStarted": "signed_in",
    "LoginPending": "pending",
    "LoginThrottled": "throttled",
    "LoginFailed": "",
    "LoginRefused": "",
}
"""What an event says of an attempt to sign in; the word of the event itself where nothing stands."""

_PLAIN = (
    ("refresh_reuse", "RefreshReused", "Refresh tokens that two parties held: a theft."),
    ("lockouts", "AccountLockedOut", "Accounts that were locked after too many failures."),
)
