"""Counts and checksums of a table's content: exact to the type, whatever the order, in short reads and flat memory.

Threat: a value that was rounded, re-encoded or lost on the way; a long read that keeps writers waiting.
Source: FIPS 180-4 (SHA-256); RFC 7693 (BLAKE2); https://sqlite.org/lockingv3.html (a reader holds up a commit).

Each row has a digest; the digests are added up. PostgreSQL makes them itself, from the text of a row, which is exact
under the settings of our connection. SQLite has no digest, so its rows come here as they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Text, cast, func, literal, select
from sqlalchemy.dialects.postgresql import BIT

from rimlock.retrofit.ownership.keyset import above, keys_of, not_above, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection, Select

    from rimlock.retrofit.ownership.host import Host
    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["Content", "add_up", "content_of", "count_of"]

BATCH = 5_000
DIGEST_BYTES = 16
WHOLE = 1 << (8 * DIGEST_BYTES)
HALF = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a table holds: how many rows, the sum of their digests, and the place of the last one (None: no order)."""

    rows: int
    digest: str
    last: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    rows: int
    total: int
    last: str | None
    more: bool


async def content_of(host: Host, table: HostTable, columns: Sequence[str], *, upto: str | None = None) -> Content:
    """Count the rows of a table and add up their digests over `columns`, up to the place `upto` where one is given.

    Rows that come, go or change while it runs are in or out by where the reading is; each part is one short read.
    """
    read = _sqlite_part if host.dialect == "sqlite" else _postgres_part
    rows, total, last, more = 0, 0, None, True
    while more:
        part = await host.read(lambda on, after=last: read(on, table, columns, after, upto))  # type: ignore[misc]  # bound here
        rows, total = rows + part.rows, (total + part.total) % WHOLE
        last, more = part.last or last, part.more
    return Content(rows=rows, digest=f"{total:032x}", last=last)


def add_up(connection: Connection, table: HostTable, columns: Sequence[str]) -> tuple[int, int]:
    """Return the rows of a table and the sum of their digests, within the caller's transaction (SQLite)."""
    rows, total, last, more = 0, 0, None, True
    while more:
        part = _sqlite_part(connection, table, columns, last, None)
        rows, total, last, more = rows + part.rows, (total + part.total) % WHOLE, part.last, part.more
    return rows, total


async def count_of(host: Host, table: HostTable, *, after: str | None = None) -> int:
    """Count the rows that come after a place."""
    keys = keys_of(table)
    wanted = select(func.count()).select_from(table.table).where(above(keys, after))
    return await host.read(lambda connection: int(connection.execute(wanted).scalar_one()))


def _sqlite_part(
    connection: Connection, table: HostTable, columns: Sequence[str], after: str | None, upto: str | None
) -> _Part:
    keys = keys_of(table)
    wanted = select(*keys, *(table.table.c[name] for name in columns)).select_from(table.table)
    wanted = wanted.where(above(keys, after), not_above(keys, upto)).order_by(*keys).limit(BATCH)
    rows, total, row = 0, 0, None
    for row in connection.execute(wanted):
        rows, total = rows + 1, total + _digest(tuple(row[len(keys) :]))
    last = None if row is None else pack(row[: len(keys)])
    return _Part(rows, total, last, rows == BATCH)


def _digest(values: tuple[Any, ...]) -> int:
    """What SQLite stores is None, a number, text or bytes, and their representation tells every two of them apart."""
    return int.from_bytes(blake2b(repr(values).encode(), digest_size=DIGEST_BYTES).digest(), "big")


def _postgres_part(
    connection: Connection, table: HostTable, columns: Sequence[str], after: str | None, upto: str | None
) -> _Part:
    """Find where this part ends, then let the database add it up. A table without a key is one part: nobody waits."""
    keys = [] if table.rowid else [table.table.c[name] for name in table.key]
    wanted = _sums(table, columns)
    if not keys:
        rows, total = _added(connection, wanted)
        return _Part(rows, total, None, more=False)
    span = [above(keys, after), not_above(keys, upto)]
    end = _place(connection, _named(keys).where(*span).order_by(*keys).offset(BATCH - 1).limit(1))
    rows, total = _added(connection, wanted.where(*span, not_above(keys, end)))
    backwards = _named(keys).where(*span).order_by(*(key.desc() for key in keys)).limit(1)
    return _Part(rows, total, end or _place(connection, backwards), end is not None)


def _sums(table: HostTable, columns: Sequence[str]) -> Any:
    content = cast(func.row(*(table.table.c[name] for name in columns)), Text)
    hexadecimal = func.encode(func.sha256(func.convert_to(content, "UTF8")), "hex")
    halves = [func.coalesce(func.sum(_number(hexadecimal, start)), 0) for start in (1, 17)]
    return select(func.count(), *halves).select_from(table.table)


def _number(hexadecimal: ColumnElement[Any], start: int) -> ColumnElement[int]:
    digits = literal("x", Text).concat(func.substr(hexadecimal, start, 16))
    return cast(cast(digits, BIT(64)), BigInteger)


def _added(connection: Connection, wanted: Any) -> tuple[int, int]:
    rows, high, low = tuple(connection.execute(wanted).one())
    return int(rows), (int(high) % HALF) * HALF + int(low) % HALF


def _named(keys: Sequence[ColumnElement[Any]]) -> Any:
    return select(*(cast(key, Text) for key in keys))


def _place(connection: Connection, wanted: Select[Any]) -> str | None:
    row = connection.execute(wanted).first()
    return None if row is None else pack(tuple(row))
