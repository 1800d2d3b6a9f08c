"""The audit: who did what to whom, when, from where, and how it ended; one row for each event, never changed.

Threat: a change without a trace; a row made up or cut short by what somebody sent; an audit that fills the disk.
Source: OWASP ASVS 5.0 V16.2.1, V16.2.2, V16.3, V16.4.1, V16.4.2.

Rows are written by the transaction whose work they tell of, so that there is neither without the other. Nothing here
changes a row, and nothing deletes one but retention, which leaves a row that says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, insert, or_, select

from rimlock.core.events import Event, name_of, subject_of
from rimlock.core.schema import audit as table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, RowMapping, Select

    from rimlock.core.database import Transaction

__all__ = [
    "AuditForgotten",
    "Cursor",
    "Entry",
    "Filter",
    "account_of",
    "forget_before",
    "newest",
    "oldest",
    "record",
    "written",
]

LONGEST_TEXT = 500
LONGEST_LIST = 100
FORGET_AT_ONCE = 1_000
"""Rows that retention deletes in one transaction: nobody waits for the writer longer than that takes."""

Cursor = tuple[int, int]
"""Time and id of the last row that was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditForgotten(Event):
    """Rows of the audit reached the end of their time and were deleted. `before`: all of them were older than this."""

    rows: int
    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row. `at` in seconds since the epoch; `facts` are the event's own fields.

    `actor`: `user:<id>`, `key:<id>`, `cli:<name>`, empty for nobody known. `subject`: the id of the user concerned.
    """

    at: int
    event: str
    outcome: str
    actor: str
    subject: str
    address: str
    agent: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0

    @property
    def cursor(self) -> Cursor:
        """Where the next page goes on."""
        return self.at, self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows: those that have all of these, None for any. `since` is in, `until` is not, in seconds."""

    subject: str | None = None
    actor: str | None = None
    event: str | None = None
    outcome: str | None = None
    address: str | None = None
    since: int | None = None
    until: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what a row has to fulfil."""
        named = ("subject", "actor", "event", "outcome", "address")
        wanted = [table.c[name] == value for name in named if (value := getattr(self, name)) is not None]
        if self.since is not None:
            wanted.append(table.c.at >= self.since)
        return wanted if self.until is None else [*wanted, table.c.at < self.until]


def account_of(event: Event) -> Entry:
    """Return the row that tells of an event, with nothing in it that could end a line or reach a terminal."""
    who, told, subject = event.acting, event.told, subject_of(event)
    actor = who.actor or (f"user:{subject}" if subject and told.self_made(event) else "")
    return Entry(
        at=int(event.at),
        event=name_of(type(event)),
        outcome=told.outcome,
        actor=plain(actor, 200),
        subject=plain(subject, 64),
        address=plain(who.address or str(getattr(event, "address", "")), 45),
        agent=plain(who.agent, 200),
        facts={name: _fact(value) for name, value in event.facts().items() if name not in _COLUMNS | {told.about}},
    )


def record(tx: Transaction) -> None:
    """Write down what the transaction did, in one statement: the hook `Database.record`."""
    rows = [written(account_of(event)) for event in tx.events if event.told.audited]
    if rows:
        tx.change(_INSERT, rows[0] if len(rows) == 1 else rows)


def written(entry: Entry) -> dict[str, Any]:
    """Return an entry as the columns of its row."""
    return {name: getattr(entry, name) for name in Entry.__dataclass_fields__ if name != "id"}


def newest(tx: Transaction, wanted: Filter, *, after: Cursor | None, limit: int) -> list[Entry]:
    """Return rows, newest first, after (so older than) the one at the cursor. Rows that are added come before it."""
    query = select(table).where(*wanted.conditions()).order_by(table.c.at.desc(), table.c.id.desc())
    if after is not None:
        at, last = after
        query = query.where(table.c.at <= at, or_(table.c.at < at, table.c.id < last))
    return _entries(tx, query.limit(limit))


def oldest(tx: Transaction, wanted: Filter, *, after: Cursor | None, limit: int) -> list[Entry]:
    """Return rows, oldest first, after (so newer than) the one at the cursor."""
    query = select(table).where(*wanted.conditions()).order_by(table.c.at, table.c.id)
    if after is not None:
        at, last = after
        query = query.where(table.c.at >= at, or_(table.c.at > at, table.c.id > last))
    return _entries(tx, query.limit(limit))


def forget_before(tx: Transaction, before: int, *, now: int) -> bool:
    """Delete some of the rows older than `before`, and say so in a row; return whether there may be more of them."""
    tx.lock("rimlock-audit")
    gone = tx.change(_FORGET, {"before": before})
    if gone:
        tx.emit(AuditForgotten(at=now, rows=gone, before=before))
    return gone == FORGET_AT_ONCE


def plain(text: str, longest: int) -> str:
    """Return text that is only text: what could end a line, colour it or turn it round is replaced."""
    shown = text[:longest]
    return shown if shown.isprintable() else "".join(sign if sign.isprintable() else _ODD for sign in shown)


def _entries(tx: Transaction, query: Select[Any]) -> list[Entry]:
    return [_entry(row) for row in tx.all(query)]


def _entry(row: RowMapping) -> Entry:
    return Entry(**row)


def _fact(value: object) -> Any:
    """Return a value of an event as JSON may hold it."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, frozenset | set):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return [_fact(one) for one in value[:LONGEST_LIST]]
    return plain(str(value), LONGEST_TEXT)


_ODD = "\N{REPLACEMENT CHARACTER}"
_COLUMNS = frozenset({"at", "address"})
_INSERT = insert(table)
_OLD = select(table.c.id).where(table.c.at < bindparam("before")).order_by(table.c.at).limit(FORGET_AT_ONCE)
_FORGET = delete(table).where(table.c.id.in_(_OLD.scalar_subquery()))
