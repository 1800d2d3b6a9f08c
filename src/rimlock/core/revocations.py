"""What every process knows without asking: ended sessions, raised epochs, revoked keys.

Threat: a token that goes on working in another process after logout, or because a process stopped hearing.
Source: design section 4; OWASP ASVS 5.0 V7.4.1.

An entry lives as long as an access token that it could concern, and no longer: memory and table stay bounded.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Literal

from sqlalchemy import bindparam, delete, insert, select

from rimlock.core.events import Event, Told
from rimlock.core.schema import journal as table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rimlock.core.database import Transaction

__all__ = [
    "CHANNEL",
    "Entry",
    "JournalWritten",
    "Kind",
    "Revocations",
    "announce",
    "entries_after",
    "forget_expired",
    "hold",
]

Kind = Literal["session", "user", "key", "rollout", "retirement", "signing_key"]
CHANNEL = "rimlock_journal"
KEPT_SECONDS = 25 * 3600
"""How long an entry is kept: longer than any access token may live (24 h)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. `value` is the new epoch for kind `user`, else 0."""

    id: int
    kind: Kind
    subject: str
    value: int
    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalWritten(Event):
    """A line was committed to the journal by this process."""

    told = Told(audited=False, logged=False)
    kind: Kind
    subject: str
    value: int
    expires_at: int


def hold(tx: Transaction) -> None:
    """Be the only one who writes to the journal until this transaction ends.

    What will announce something takes this before it touches a row: two transactions that took a row and the
    journal in different orders would wait for each other.
    """
    tx.lock("rimlock-journal")


def announce(tx: Transaction, kind: Kind, subject: str, *, now: int, value: int = 0) -> None:
    """Write a line to the journal, in the transaction that makes it true.

    On PostgreSQL the lock makes the order of ids the order of commits: a follower that reads on from the last id
    it saw can then miss nothing. The notification is delivered with the commit.
    """
    expires_at = now + KEPT_SECONDS
    hold(tx)
    tx.change(insert(table), {"kind": kind, "subject": subject, "value": value, "expires_at": expires_at})
    if tx.dialect == "postgresql":
        tx.connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
    tx.emit(JournalWritten(at=now, kind=kind, subject=subject, value=value, expires_at=expires_at))


def entries_after(tx: Transaction, last: int) -> list[Entry]:
    """Return the lines after the id `last`, in order."""
    return [Entry(**row) for row in tx.all(_AFTER, {"last": last})]


def forget_expired(tx: Transaction, now: int) -> int:
    """Delete the lines no living token can be concerned by; return how many."""
    return tx.change(delete(table).where(table.c.expires_at < now))


class Revocations:
    """The memory of one process. A session costs under 120 bytes; a hit is one look into a set."""

    def __init__(self) -> None:
        """Start knowing nothing; the follower fills it before the first request is judged."""
        self.sessions: set[int] = set()
        self.epochs: dict[str, int] = {}
        self.position = 0
        self.on_change: dict[Kind, list[Callable[[str], None]]] = {}
        self._expiring: deque[tuple[int, list[int]]] = deque()
        self._fading: deque[tuple[int, str, int]] = deque()

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take in lines of the journal, in order."""
        for entry in entries:
            self._take(entry)
            self.position = max(self.position, entry.id)

    def apply_ended(self, lines: Iterable[tuple[str, int]]) -> None:
        """Take in many ended sessions at once, in order: their ids, and the minute at which each may be forgotten."""
        for minute, group in groupby(lines, key=itemgetter(1)):
            ended = [int(subject, 16) for subject, _ in group]
            self.sessions.update(ended)
            self._bucket(minute).extend(ended)

    def refuses(self, session: int, user_id: str, epoch: int) -> bool:
        """Say whether a token of this session, user and epoch was revoked."""
        return session in self.sessions or self.epochs.get(user_id, 0) > epoch

    def forget(self, now: float) -> None:
        """Drop the sessions and epochs whose tokens have all expired by themselves."""
        while self._expiring and self._expiring[0][0] < now:
            self.sessions.difference_update(self._expiring.popleft()[1])
        while self._fading and self._fading[0][0] < now:
            _, user_id, epoch = self._fading.popleft()
            if self.epochs.get(user_id) == epoch:
                del self.epochs[user_id]

    def _take(self, entry: Entry) -> None:
        if entry.kind == "session":
            self._end(int(entry.subject, 16), entry.expires_at)
        elif entry.kind == "user" and entry.value > self.epochs.get(entry.subject, 0):
            self.epochs[entry.subject] = entry.value
            self._fading.append((entry.expires_at, entry.subject, entry.value))
        for told in self.on_change.get(entry.kind, ()):
            told(entry.subject)

    def _end(self, session: int, expires_at: int) -> None:
        """Remember the session, grouped by the minute in which it may be forgotten."""
        if session in self.sessions:
            return
        self.sessions.add(session)
        self._bucket(expires_at // 60 * 60 + 60).append(session)

    def _bucket(self, minute: int) -> list[int]:
        if not self._expiring or self._expiring[-1][0] < minute:
            self._expiring.append((minute, []))
        return self._expiring[-1][1]


_AFTER = select(table).where(table.c.id > bindparam("last")).order_by(table.c.id)
