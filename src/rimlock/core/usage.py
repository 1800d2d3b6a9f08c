"""Who calls what, with which credential, and what a required route would say: counted in memory, written in batches.

Threat: a memory or a table that a stranger can fill; a count that costs the request it counts; one that is lost, or
written twice because nobody heard whether the first time succeeded.
Source: design section 5 (observe); requirement L3.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from rimlock.core.usage_rows import (
    ALLOWED,
    DAY,
    Batch,
    Observation,
    Seen,
    Use,
    forget,
    forget_batches,
    forget_before,
    kept,
    last_calls,
    observed,
    seen,
    used,
    write,
    write_batch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ALLOWED",
    "DAY",
    "OTHER",
    "UNREAD",
    "Batch",
    "Key",
    "Observation",
    "Seen",
    "Tally",
    "Usage",
    "Use",
    "forget",
    "forget_batches",
    "forget_before",
    "kept",
    "last_calls",
    "observed",
    "seen",
    "used",
    "write",
    "write_batch",
]

UNREAD = "unread"
"""The kind of a credential on an open route that could not be looked up."""

OTHER = "other"
"""What takes the place of a client, and in the end of a route, when there are too many different counts."""

MOST, MOST_OF_STRANGERS, RESERVE = 10_000, 5_000, 2_000
"""Different counts a day in one process: of all callers, of those without a credential; and those without a client."""

LARGEST_BATCH = 2_000
"""Rows written in one transaction."""


class Key(NamedTuple):
    """What is told apart. `outcome`: `allowed`, or the code that refuses or would refuse."""

    method: str
    path: str
    credential: str
    credential_id: str
    stage: str
    outcome: str
    client: str


class Tally:
    """A running count. `ends`: when its day does; 0 while there is nothing in it."""

    __slots__ = ("ends", "first", "key", "label", "last", "requests")

    def __init__(self, key: Key, label: str) -> None:
        """Start with nothing."""
        self.key = key
        self.label = label
        self.requests = self.first = self.last = self.ends = 0

    def seen(self) -> Seen:
        """Return what was counted."""
        return Seen(
            day=self.first // DAY,
            **self.key._asdict(),
            label=self.label,
            requests=self.requests,
            first_seen=self.first,
            last_seen=self.last,
        )


class Usage:
    """What one process saw and has not written yet.

    A count is cut into batches when it is written. A batch is kept until it is known to be written, and what is
    counted meanwhile goes into later ones; so each is tried again as it was, and the database takes it once.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._tallies: dict[Key, Tally] = {}
        self._running: list[Tally] = []
        self._over: dict[tuple[int, Key], Seen] = {}
        self._batches: deque[Batch] = deque()
        self._totals: dict[tuple[str, str, str], int] = {}
        self._day = -1
        self._writer, self._process, self._number = "", 0, 0

    def __len__(self) -> int:
        """How many different counts wait to be written."""
        return len(self._running) + len(self._over) + sum(len(batch.rows) for batch in self._batches)

    def tally(self, key: Key, label: str = "", *, stranger: bool) -> Tally:
        """Return the running count of a key; of a coarser one, when there are too many. `label`: a key's name."""
        found = self._tallies.get(key)
        if found is not None:
            return found
        largest = MOST_OF_STRANGERS if stranger else MOST
        if len(self._tallies) >= largest:
            key = key._replace(client=OTHER)
        if len(self._tallies) >= largest + RESERVE and key not in self._tallies:
            key, label = key._replace(method="*", path=OTHER, credential_id="", client=OTHER), ""
        return self._tallies.setdefault(key, Tally(key, label))

    def count(self, tally: Tally, now: int) -> None:
        """Count one request. Callers in a hurry do the first two lines themselves."""
        if now < tally.ends:
            tally.requests += 1
        else:
            self._begin(tally, now)
        tally.last = now

    def totals(self) -> dict[tuple[str, str, str], int]:
        """Return all requests this process ever counted, by stage, credential and outcome."""
        found = dict(self._totals)
        for one in tuple(self._running):
            _add(found, one.key, one.requests)
        return found

    def discard(self) -> None:
        """Write nothing of what was counted. The totals go on."""
        self._drained()

    def cut(self) -> None:
        """Make batches of everything that was counted, unless earlier ones are still there."""
        if self._batches:
            return
        rows = self._drained()
        if rows and self._process != os.getpid():  # a process that was forked counts for itself
            self._writer, self._process, self._number = secrets.token_hex(16), os.getpid(), 0
        for start in range(0, len(rows), LARGEST_BATCH):
            self._number += 1
            part = tuple(rows[start : start + LARGEST_BATCH])
            self._batches.append(Batch(writer=self._writer, number=self._number, rows=part))

    def batches(self) -> Iterator[Batch]:
        """Yield the first batch until it is settled, then the next."""
        while self._batches:
            yield self._batches[0]

    def settle(self, batch: Batch) -> None:
        """Let go of a batch that is known to be written. Safe to repeat."""
        if self._batches and self._batches[0] is batch:
            self._batches.popleft()

    def _begin(self, tally: Tally, now: int) -> None:
        """Start a count that is empty, or one whose day is over."""
        if tally.requests:
            self._close(tally)
        else:
            self._running.append(tally)
        tally.requests, tally.first, tally.ends = 1, now, (now // DAY + 1) * DAY
        if now // DAY != self._day:
            self._day = now // DAY
            self._tallies = {one.key: one for one in self._running}

    def _close(self, tally: Tally) -> None:
        """Keep what was counted on a day that is over. Only a database that is away for days makes this grow."""
        seen = tally.seen()
        _add(self._totals, tally.key, tally.requests)
        key = tally.key
        if len(self._over) >= MOST + RESERVE:
            key = key._replace(method="*", path=OTHER, credential_id="", client=OTHER)
        place = (seen.day, key)
        self._over[place] = _together(self._over.get(place), seen, key)

    def _drained(self) -> list[Seen]:
        """Take everything. The tallies themselves stay: whoever holds one goes on counting with it."""
        running, self._running = self._running, []
        rows = [*self._over.values(), *(one.seen() for one in running)]
        self._over = {}
        for one in running:
            _add(self._totals, one.key, one.requests)
            one.requests = one.ends = 0
        return rows


def _together(one: Seen | None, other: Seen, key: Key) -> Seen:
    requests, first, last = other.requests, other.first_seen, other.last_seen
    if one is not None:
        requests, first, last = requests + one.requests, min(first, one.first_seen), max(last, one.last_seen)
    label = other.label if key.credential_id else ""
    return Seen(day=other.day, **key._asdict(), label=label, requests=requests, first_seen=first, last_seen=last)


def _add(totals: dict[tuple[str, str, str], int], key: Key, requests: int) -> None:
    place = (key.stage, key.credential, key.outcome)
    totals[place] = totals.get(place, 0) + requests
