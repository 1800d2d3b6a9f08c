"""Takes over keys from a table of the application, so that every caller's key goes on working.

Threat: a key that is copied in clear, shown in a report, or changed in the table it comes from.
Source: OWASP ASVS 5.0 V6.5.2, V14.2.6; https://sqlite.org/uri.html (read-only connections).

The table is read on a connection that cannot write. A key is in memory for as long as it takes to make its digest.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import column, create_engine, null, select, table, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from rimlock.core import keys
from rimlock.core.clock import Clock, system_clock
from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.crypto.opaque import digest, hint
from rimlock.migrations.connecting import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from rimlock.core.database import Database, Transaction

__all__ = ["KeyImport", "import_plain_column", "import_sha256_column"]

BATCH = 500
LONGEST_BYTES = 512
LONGEST_NAME, LONGEST_OWNER = 200, 64
UNKNOWN_HINT = "…"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")

Problem = Literal["empty", "too_long", "no_digest", "repeated", "owner_unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyImport:
    """What an import did, or with `dry_run` would do. Keys are named by their names, or `row 3`; never shown.

    `read`: rows of the table. `added`: new here. `known`: here already. `weak`: short or monotonous keys that were
    taken over and should be replaced soon. `skipped`: keys that were not taken over, and why.
    """

    dry_run: bool
    read: int
    added: int
    known: int
    weak: tuple[str, ...]
    skipped: tuple[tuple[str, Problem], ...]


@dataclass(frozen=True, slots=True)
class _Held:
    """A key somebody holds, after its text is forgotten."""

    name: str
    owner: str | None
    digest: str
    hint: str
    weak: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Where keys come from and what they are to be."""

    url: str
    table: str
    column: str
    name_column: str | None
    owner_column: str | None
    scopes: frozenset[str]
    roles: frozenset[str]
    source: str


async def import_plain_column(
    database: Database,
    host_url: str,
    table: str,
    column: str,
    *,
    name_column: str | None = None,
    owner_column: str | None = None,
    scopes: frozenset[str] = frozenset(),
    roles: frozenset[str] = frozenset(),
    clock: Clock = system_clock,
    dry_run: bool = False,
) -> KeyImport:
    """Take over keys that a column holds in clear. They are kept by digest; the column stays as it is.

    `database`: ours. `host_url`, `table` (perhaps `schema.table`), `column`: where the keys are. `owner_column`: the id
    of the account a key belongs to; without it they are service keys with `roles`. It can be repeated: what is known
    is not added again. Raises ConfigurationError for a place that is not there, Unavailable.
    """
    plan = _Plan(
        url=host_url,
        table=table,
        column=column,
        name_column=name_column,
        owner_column=owner_column,
        scopes=scopes,
        roles=roles,
        source="imported:plain",
    )
    return await _import(database, plan, _from_text, int(clock()), dry_run=dry_run)


async def import_sha256_column(
    database: Database,
    host_url: str,
    table: str,
    column: str,
    *,
    name_column: str | None = None,
    owner_column: str | None = None,
    scopes: frozenset[str] = frozenset(),
    roles: frozenset[str] = frozenset(),
    clock: Clock = system_clock,
    dry_run: bool = False,
) -> KeyImport:
    """Take over keys of which a column holds the SHA-256 digest in hexadecimal. As `import_plain_column` otherwise."""
    plan = _Plan(
        url=host_url,
        table=table,
        column=column,
        name_column=name_column,
        owner_column=owner_column,
        scopes=scopes,
        roles=roles,
        source="imported:sha256",
    )
    return await _import(database, plan, _from_digest, int(clock()), dry_run=dry_run)


Reading = tuple[str, str, bool] | Problem
"""Digest, hint and weakness of a key, or why it is none."""


async def _import(
    database: Database, plan: _Plan, read: Callable[[str], Reading], now: int, *, dry_run: bool
) -> KeyImport:
    held, skipped = _sorted_out(await _rows(plan, read))
    added = known = 0
    weak: list[str] = []
    for batch in _batches(held):
        outcome = await _carry_over(database, plan, batch, now, dry_run=dry_run)
        skipped.extend((one.name, "owner_unknown") for one in outcome.ownerless)
        weak += [one.name for one in outcome.added if one.weak]
        added, known = added + len(outcome.added), known + outcome.known
    return KeyImport(
        dry_run=dry_run,
        read=added + known + len(skipped),
        added=added,
        known=known,
        weak=tuple(weak),
        skipped=tuple(skipped),
    )


@dataclass(frozen=True, slots=True)
class _Outcome:
    added: list[_Held]
    known: int
    ownerless: list[_Held]


async def _carry_over(database: Database, plan: _Plan, batch: list[_Held], now: int, *, dry_run: bool) -> _Outcome:
    def work(tx: Transaction) -> _Outcome:
        return _admit_all(tx, plan, batch, now, dry_run=dry_run)

    return await (database.read(work) if dry_run else database.write(work))


def _admit_all(tx: Transaction, plan: _Plan, batch: list[_Held], now: int, *, dry_run: bool) -> _Outcome:
    """Take in the keys that are new; change nothing about those that are known."""
    if not dry_run:
        keys.hold(tx)
    owners = keys.known_owners(tx, {one.owner for one in batch if one.owner is not None})
    there = keys.known_digests(tx, [one.digest for one in batch])
    belonging = [one for one in batch if one.owner is None or one.owner in owners]
    added = [one for one in belonging if one.digest not in there]
    for one in () if dry_run else added:
        keys.admit(tx, _new(plan, one), digest=one.digest, shown=one.hint, now=now)
    ownerless = [one for one in batch if not (one.owner is None or one.owner in owners)]
    return _Outcome(added, len(belonging) - len(added), ownerless)


def _new(plan: _Plan, one: _Held) -> keys.NewKey:
    return keys.NewKey(name=one.name, user_id=one.owner, scopes=plan.scopes, roles=plan.roles, source=plan.source)


def _sorted_out(rows: list[_Held | tuple[str, Problem]]) -> tuple[list[_Held], list[tuple[str, Problem]]]:
    """Part the keys from what is none; of the same key twice, the first counts."""
    held: dict[str, _Held] = {}
    skipped: list[tuple[str, Problem]] = []
    for row in rows:
        if not isinstance(row, _Held):
            skipped.append(row)
        elif held.setdefault(row.digest, row) is not row:
            skipped.append((row.name, "repeated"))
    return list(held.values()), skipped


def _batches(held: list[_Held]) -> Iterator[list[_Held]]:
    for start in range(0, len(held), BATCH):
        yield held[start : start + BATCH]


async def _rows(plan: _Plan, read: Callable[[str], Reading]) -> list[_Held | tuple[str, Problem]]:
    """Read the table as it stands, on a connection that cannot write."""
    place = locate(plan.url)
    try:
        if place.dialect == "sqlite":
            return await asyncio.to_thread(_read_sqlite, place.address, plan, read)
        return await _read_postgres(place.address, plan, read)
    except DBAPIError as error:
        raise ConfigurationError(
            f"the column {plan.column} of the table {plan.table} cannot be read there ({type(error.orig).__name__}); "
            "check the address and the names"
        ) from None
    except OSError:
        raise Unavailable("The database of the application did not answer; nothing was taken over.") from None


def _read_sqlite(path: str, plan: _Plan, read: Callable[[str], Reading]) -> list[_Held | tuple[str, Problem]]:
    from pathlib import Path

    address = f"{Path(path).as_uri()}?mode=ro"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)
    with engine.connect() as connection:
        return _read(connection, plan, read)


async def _read_postgres(url: str, plan: _Plan, read: Callable[[str], Reading]) -> list[_Held | tuple[str, Problem]]:
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET TRANSACTION READ ONLY"))
            return await connection.run_sync(_read, plan, read)
    finally:
        await engine.dispose()


def _read(connection: Connection, plan: _Plan, read: Callable[[str], Reading]) -> list[_Held | tuple[str, Problem]]:
    rows = connection.execute(_query(plan))
    return [_held(number, row, read) for number, row in enumerate(rows.yield_per(BATCH), 1)]


def _query(plan: _Plan) -> Any:
    schema, _, name = plan.table.rpartition(".")
    names = (plan.column, plan.name_column, plan.owner_column)
    wanted = sorted({found for found in names if found is not None})
    source = table(name, *(column(found) for found in wanted), schema=schema or None)
    parts = zip(("key", "name", "owner"), names, strict=True)
    return select(*((null() if found is None else source.c[found]).label(part) for part, found in parts))


def _held(number: int, row: Any, read: Callable[[str], Reading]) -> _Held | tuple[str, Problem]:
    value, name, owner = row
    key = _plain(value)
    shown = f"row {number}" if name == value else _name(name, number)
    found = read(key)
    if not isinstance(found, tuple):
        return shown, found
    if owner is not None and len(str(owner)) > LONGEST_OWNER:
        return shown, "owner_unknown"
    return _Held(shown, None if owner is None else str(owner), *found)


def _plain(value: object) -> str:
    if isinstance(value, (bytes, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    return "" if value is None else str(value)


def _name(value: object, number: int) -> str:
    printable = "".join(sign for sign in str(value or "") if sign.isprintable()).strip()
    return printable[:LONGEST_NAME] or f"row {number}"


def _from_text(value: str) -> Reading:
    if not value.strip():
        return "empty"
    if len(value.encode()) > LONGEST_BYTES:
        return "too_long"
    return digest(value), hint(value), keys.seems_weak(value)


def _from_digest(value: str) -> Reading:
    if not value.strip():
        return "empty"
    found = _SHA256.fullmatch(value.strip())
    return "no_digest" if found is None else (found[0].lower(), UNKNOWN_HINT, False)
