"""The counts of usage in the database: written in batches, each once, and read for reports.

Threat: a count that is written twice because nobody heard whether the first time succeeded.
Source: design section 5 (observe); requirement L3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, func, select

from rimlock.core.schema import usage as table
from rimlock.core.schema import usage_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Select

    from rimlock.core.database import Transaction

__all__ = [
    "ALLOWED",
    "DAY",
    "Batch",
    "Kept",
    "Observation",
    "Seen",
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

DAY = 86_400
ALLOWED = "allowed"
"""The outcome of a request that a required route would let through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Requests of one day (since the epoch) to one route, by one credential and client, of one outcome.

    `outcome`: `allowed`, or the code that refused or would refuse. Times in seconds since the epoch.
    """

    day: int
    method: str
    path: str
    credential: str
    credential_id: str
    stage: str
    outcome: str
    client: str
    label: str
    requests: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Counts to be written together, once: `number` only ever rises for one `writer`."""

    writer: str
    number: int
    rows: tuple[Seen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Requests to one route, with one credential, that one reason would have refused. Times in seconds."""

    method: str
    path: str
    credential: str
    credential_id: str
    outcome: str
    label: str
    requests: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Requests of many days to one route, at one stage, by one credential and client, of one outcome."""

    method: str
    path: str
    credential: str
    credential_id: str
    stage: str
    outcome: str
    client: str
    label: str
    requests: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How far back the counts go: the first moment of all (seconds, None without any), and days with requests."""

    since: int | None
    days: int


def write_batch(tx: Transaction, batch: Batch, now: int) -> None:
    """Add the counts of a batch to the table, unless they are in it already."""
    if _first_time(tx, batch, now):
        write(tx, batch.rows)


def write(tx: Transaction, counted: Sequence[Seen]) -> None:
    """Add counts to the table."""
    insert = tx.upsert(table)
    new = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={
            "requests": table.c.requests + new.requests,
            "first_seen": case((new.first_seen < table.c.first_seen, new.first_seen), else_=table.c.first_seen),
            "last_seen": case((new.last_seen > table.c.last_seen, new.last_seen), else_=table.c.last_seen),
            "label": new.label,
        },
    )
    rows = [_row(one) for one in counted]
    # In one order everywhere: two processes that took the same rows in different orders would wait for each other.
    tx.change(statement, sorted(rows, key=lambda row: tuple(str(row[name]) for name in _NAMED)))


def seen(tx: Transaction, *, since: int = 0, path: str | None = None, limit: int = 10_000) -> list[Seen]:
    """Return the counts of the days from `since` (a day's number) on, the newest first."""
    query = select(table).where(table.c.day >= since).order_by(table.c.last_seen.desc()).limit(limit)
    if path is not None:
        query = query.where(table.c.path == path)
    return [Seen(**row) for row in tx.all(query)]


def used(tx: Transaction, *, since: int, path: str | None = None, limit: int = 50_000) -> list[Use]:
    """Return the counts of all days from `since` (a day's number) on together, the latest seen first."""
    c = table.c
    named = (c.method, c.path, c.credential, c.credential_id, c.stage, c.outcome, c.client)
    query = _summed(named).where(c.day >= since).order_by(func.max(c.last_seen).desc(), *named).limit(limit)
    if path is not None:
        query = query.where(c.path == path)
    return [Use(**{**row, "requests": int(row["requests"])}) for row in tx.all(query)]


def observed(tx: Transaction, *, path: str | None = None, limit: int = 200) -> list[Observation]:
    """Return who would have been refused where that was let through, most frequent first."""
    c = table.c
    query = (
        _summed((c.method, c.path, c.credential, c.credential_id, c.outcome))
        .where(c.outcome != ALLOWED, c.stage.in_(("observe", "optional")))
        .order_by(func.sum(c.requests).desc(), c.method, c.path)
        .limit(limit)
    )
    if path is not None:
        query = query.where(c.path == path)
    return [Observation(**{**row, "requests": int(row["requests"])}) for row in tx.all(query)]


def last_calls(tx: Transaction) -> dict[tuple[str, str], int]:
    """Return when each route was last called, by method and path, in seconds since the epoch."""
    c = table.c
    query = select(c.method, c.path, func.max(c.last_seen).label("last")).group_by(c.method, c.path)
    return {(row["method"], row["path"]): row["last"] for row in tx.all(query)}


def kept(tx: Transaction, *, since: int) -> Kept:
    """Return how far back the counts go, and on how many days from `since` (a day's number) on there are any."""
    first = tx.value(select(func.min(table.c.first_seen)))
    days = tx.value(select(func.count(table.c.day.distinct())).where(table.c.day >= since))
    return Kept(since=first, days=days)


def forget(tx: Transaction) -> int:
    """Delete every count; return how many rows there were."""
    return tx.change(delete(table))


def forget_before(tx: Transaction, day: int) -> int:
    """Delete the counts of days before `day`; return how many rows there were."""
    return tx.change(delete(table).where(table.c.day < day))


def forget_batches(tx: Transaction, before: int) -> None:
    """Forget which batches were written, of processes that wrote none since `before` (seconds since the epoch)."""
    tx.change(delete(usage_batch).where(usage_batch.c.at < before))


def _first_time(tx: Transaction, batch: Batch, now: int) -> bool:
    """Note that the batch is written; False when it was, by a write of which nobody heard that it succeeded."""
    insert = tx.upsert(usage_batch)
    new = insert.excluded
    noted = insert.on_conflict_do_update(
        index_elements=[usage_batch.c.writer],
        set_={"number": new.number, "at": new.at},
        where=usage_batch.c.number < new.number,
    )
    return tx.change(noted, {"writer": batch.writer, "number": batch.number, "at": now}) == 1


def _row(one: Seen) -> dict[str, str | int]:
    row = {name: getattr(one, name) for name in Seen.__dataclass_fields__}
    # What is longer than its column would undo the whole batch on a database that is strict about it.
    return {name: value[: _WIDTHS[name]] if isinstance(value, str) else value for name, value in row.items()}


def _summed(named: tuple[Any, ...]) -> Select[*tuple[Any, ...]]:
    c = table.c
    return select(
        *named,
        func.max(c.label).label("label"),
        func.sum(c.requests).label("requests"),
        func.min(c.first_seen).label("first_seen"),
        func.max(c.last_seen).label("last_seen"),
    ).group_by(*named)


_NAMED = tuple(table.primary_key.columns.keys())
_WIDTHS = {column.name: getattr(column.type, "length", None) for column in table.columns}
