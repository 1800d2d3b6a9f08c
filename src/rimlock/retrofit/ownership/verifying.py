"""`verify`: is every row of the host's as it was, and does every row of the plan have exactly one owner who exists?

Threat: a row that was lost or changed and not noticed; an owner nobody is; a row two people own.
Source: requirement L7 (every row accounted for).

A live application goes on writing. What was there is compared apart from what came after it, so that new rows are told
from changed ones; and the owner's column is no part of the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import String, column, delete, func, inspect, select
from sqlalchemy.types import NullType

from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.checksums import content_of, count_of
from rimlock.retrofit.ownership.evidence import span_end
from rimlock.retrofit.ownership.keyset import above, not_above
from rimlock.retrofit.ownership.progress import WHOLE, require
from rimlock.retrofit.ownership.retrofitting import COUNTED_AT_ONCE, side_rows, unowned_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection, Select

    from rimlock.retrofit.ownership.evidence import Target
    from rimlock.retrofit.ownership.host import Host
    from rimlock.retrofit.ownership.people import People
    from rimlock.retrofit.ownership.progress import Standing
    from rimlock.retrofit.ownership.retrofitting import Retrofit
    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["Compared", "Owned", "Verified", "compare_all", "drop_orphans", "owned_rows", "verify"]

PAGE = 500

Change = Literal["same", "grown", "changed", "gone", "new", "expected"]
"""grown: what was there is the same, and there is more. expected: the host's record of its own migrations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One table of the host's then and now. `added`: rows beyond the last one that was counted then."""

    table: str
    change: Change
    rows_before: int
    rows: int
    added: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One table of the plan. `strangers`: owners that no account is. `orphans`: owners of rows that are gone."""

    table: str
    unowned: int
    strangers: tuple[str, ...]
    orphans: int
    twice: int

    @property
    def right(self) -> bool:
        """Whether every row has exactly one owner who exists."""
        return not (self.unowned or self.strangers or self.orphans or self.twice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a look at everything came to."""

    tables: tuple[Compared, ...]
    owned: tuple[Owned, ...]

    @property
    def right(self) -> bool:
        """Whether the owners are right; a live application may have changed tables."""
        return all(one.right for one in self.owned)

    @property
    def unchanged(self) -> bool:
        """Whether every row that was counted is there as it was."""
        return all(one.change in {"same", "grown", "new", "expected"} for one in self.tables)


async def verify(work: Retrofit) -> Verified:
    """Compare every table and look at every owner. Raises ConfigurationError before `apply`, Unavailable."""
    found = await work.standing()
    require(found)
    people = work.people
    owned = [await owned_rows(work, one, people) for one in await work.targets()]
    return Verified(tables=tuple(await compare_all(work, found)), owned=tuple(owned))


async def compare_all(work: Retrofit, found: Mapping[str, Standing]) -> list[Compared]:
    """Compare every table with what was counted at `apply`."""
    tables = await work.tables()
    lines = {name: line for name, line in found.items() if name != WHOLE and "before" in line.data}
    compared = [await _compare(work.host, tables.get(name), line) for name, line in sorted(lines.items())]
    for name in sorted(tables.keys() - lines.keys()):
        rows = await count_of(work.host, tables[name])
        compared.append(Compared(table=name, change="new", rows_before=0, rows=rows, added=rows))
    return compared


async def _compare(host: Host, table: HostTable | None, line: Standing) -> Compared:
    before = line.data["before"]
    if table is None or not set(before["columns"]) <= {column.name for column in table.table.c}:
        return Compared(table=line.name, change="gone", rows_before=before["rows"], rows=0, added=0)
    now = await content_of(host, table, before["columns"], upto=before["last"])
    added = await _added(host, table, before["last"])
    change: Change = "grown" if added else "same"
    if (now.rows, now.digest) != (before["rows"], before["digest"]):
        change = "expected" if table.bookkeeping else "changed"
    rows = now.rows + added
    return Compared(table=line.name, change=change, rows_before=before["rows"], rows=rows, added=added)


async def _added(host: Host, table: HostTable, last: str | None) -> int:
    """Count what came after the last row of then. Where there was none, or no order, all of it was read already."""
    return 0 if last is None else await count_of(host, table, after=last)


async def owned_rows(work: Retrofit, one: Target, people: People) -> Owned:
    """Look at the owners of one table."""
    label = one.host.label
    if not await work.host.read(lambda on: _has_place(on, one)):
        rows = await count_of(work.host, one.host)
        return Owned(table=label, unowned=rows, strangers=(), orphans=0, twice=0)
    column = one.plan.mode == "column"
    return Owned(
        table=label,
        unowned=await unowned_rows(work.host, one),
        strangers=tuple(await _strangers(work.host, one, people)),
        orphans=0 if column else await _orphans(work.host, one),
        twice=await side_rows(work.host, label) if column else 0,
    )


def _has_place(connection: Connection, one: Target) -> bool:
    if one.plan.mode == "side":
        return inspect(connection).has_table(owner.name)
    columns = inspect(connection).get_columns(one.host.name, schema=one.host.schema)
    return one.plan.column in {column["name"] for column in columns}


async def _strangers(host: Host, one: Target, people: People) -> list[str]:
    """Return owners that no account is. What is held in memory is one id for each owner, not for each row."""
    ids: set[str] = set()
    after, more = None, True
    while more:
        found, after = await host.read(lambda on, start=after: _owners(on, one, start))  # type: ignore[misc]  # bound here
        ids |= found
        more = after is not None
    wanted = sorted(ids)
    pages = [wanted[start : start + PAGE] for start in range(0, len(wanted), PAGE)]
    return [stranger for page in pages for stranger in await people.missing(page)]


def _owners(connection: Connection, one: Target, after: str | None) -> tuple[set[str], str | None]:
    if one.plan.mode == "side":
        end = side_end(connection, one, after)
        return set(connection.execute(_of_side(select(owner.c.user_id).distinct(), one, after, end)).scalars()), end
    place = span_end(connection, one, after, COUNTED_AT_ONCE)
    held = column(one.plan.column, String)
    wanted = select(held).distinct().select_from(one.host.table).where(held.is_not(None), one.key.is_not(None))
    wanted = wanted.where(above([one.key], after), not_above([one.key], place))
    return set(connection.execute(wanted).scalars()), place


def side_end(connection: Connection, one: Target, after: str | None) -> str | None:
    """Return the key some thousands of owners further on; None when there are fewer."""
    wanted = _of_side(select(owner.c.row_key), one, after, None).order_by(owner.c.row_key)
    return connection.execute(wanted.offset(COUNTED_AT_ONCE - 1).limit(1)).scalar()


def _of_side(wanted: Select[Any], one: Target, after: str | None, end: str | None) -> Select[Any]:
    wanted = wanted.where(owner.c.table_name == one.host.label)
    wanted = wanted if after is None else wanted.where(owner.c.row_key > after)
    return wanted if end is None else wanted.where(owner.c.row_key <= end)


async def _orphans(host: Host, one: Target) -> int:
    total, after, more = 0, None, True
    while more:
        count, after = await host.read(lambda on, start=after: _orphans_part(on, one, start))  # type: ignore[misc]  # bound here
        total, more = total + count, after is not None
    return total


def _orphans_part(connection: Connection, one: Target, after: str | None) -> tuple[int, str | None]:
    end = side_end(connection, one, after)
    wanted = _of_side(select(func.count()).select_from(owner), one, after, end).where(*orphan(one))
    return int(connection.execute(wanted).scalar_one()), end


def drop_orphans(connection: Connection, one: Target, after: str | None) -> tuple[int, str | None]:
    """Remove owners of rows that are gone, some thousands looked at; return how many, and where to go on."""
    end = side_end(connection, one, after)
    span = _of_side(select(owner.c.row_key), one, after, end).whereclause
    removed = delete(owner).where(*([] if span is None else [span]), *orphan(one))
    return connection.execute(removed).rowcount, end


def orphan(one: Target) -> list[ColumnElement[bool]]:
    """Return the conditions for owners beside the table whose row is gone: not found by the key, nor by the text of it.

    SQLite finds a key by a text that looks like it, by the index. PostgreSQL makes a hash of the texts.
    """
    by_text = ~_exists(one, one.row_key == owner.c.row_key)
    return [~_exists(one, one.key == owner.c.row_key), by_text] if isinstance(one.key.type, NullType) else [by_text]


def _exists(one: Target, same: ColumnElement[bool]) -> ColumnElement[bool]:
    return select(one.key).where(same).correlate(owner).exists()
