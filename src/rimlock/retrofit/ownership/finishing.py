"""`finish`: from now on no row may be without an owner, and owners can be looked up by an index.

Threat: a table locked while every row of it is read; a row without an owner that comes in after the last look.
Source: https://www.postgresql.org/docs/current/sql-altertable.html (NOT VALID, VALIDATE, SET NOT NULL); requirement L7.

PostgreSQL: a check that holds for new rows only, which is then validated while readers and writers pass, lets SET NOT
NULL skip its own look. SQLite: the table is put up anew, in one transaction that keeps writers waiting, so a big one
only when nobody uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.applying import refuse_other_plan
from rimlock.retrofit.ownership.checksums import count_of
from rimlock.retrofit.ownership.events import CameTo, on_record
from rimlock.retrofit.ownership.progress import keep, require, standing
from rimlock.retrofit.ownership.rebuilding import rebuild
from rimlock.retrofit.ownership.statements import (
    AlterColumn,
    ValidateConstraint,
    add_check,
    add_reference,
    create_index,
    drop_constraint,
    drop_index,
    short_name,
)
from rimlock.retrofit.ownership.surveying import find_table, host_tables
from rimlock.retrofit.ownership.verifying import drop_orphans, owned_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from rimlock.retrofit.ownership.evidence import Target
    from rimlock.retrofit.ownership.host import Host
    from rimlock.retrofit.ownership.retrofitting import Retrofit
    from rimlock.retrofit.ownership.verifying import Owned

__all__ = ["REBUILD_LIMIT", "Finished", "finish", "refuse_long_lock"]

REBUILD_LIMIT = 50_000
"""Rows of a SQLite table that may be rewritten while the application runs: about a quarter of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What was made final. `required`: the column may not be empty now. `orphans`: owners of no row, removed."""

    table: str
    required: bool
    orphans: int


def _came_to(made: list[Finished]) -> CameTo:
    return CameTo(rows=sum(one.orphans for one in made))


@on_record("finish", _came_to)
async def finish(work: Retrofit, *, offline: bool = False) -> list[Finished]:
    """Make the owners final. `offline`: nobody uses the application, so a big SQLite table may be rewritten.

    Raises ConfigurationError while a row is without an owner or an owner does not exist; Unavailable. It can be
    repeated, and killed at any moment.
    """
    found = await work.standing()
    require(found)
    people = work.people
    targets = await work.targets()
    for one in targets:
        if (line := found.get(one.host.label)) is not None:
            refuse_other_plan(work, one, line.data.get("plan", {}))
        _refuse_unready(await owned_rows(work, one, people))
        if one.plan.mode == "column" and work.host.dialect == "sqlite" and not await _is_required(work.host, one):
            await refuse_long_lock(work, one.host.label, offline=offline)
    return [await _finish(work, one) for one in targets]


def _refuse_unready(owned: Owned) -> None:
    if owned.unowned:
        raise ConfigurationError(
            f"{owned.unowned} rows of {owned.table!r} have no owner; run `rimlock retrofit backfill`"
        )
    if owned.strangers:
        raise ConfigurationError(f"rows of {owned.table!r} belong to {owned.strangers[0]!r}, which is no account")
    if owned.twice:
        raise ConfigurationError(f"rows of {owned.table!r} have an owner beside the table too; remove one of them")


async def refuse_long_lock(work: Retrofit, label: str, *, offline: bool) -> None:
    """Refuse to rewrite a big table under a running application. Raises ConfigurationError."""
    rows = await count_of(work.host, find_table(await work.tables(), label))
    if rows > REBUILD_LIMIT and not offline:
        raise ConfigurationError(
            f"{label!r} has {rows} rows, and SQLite rewrites all of them while every writer waits; "
            "stop the application and say --offline, or leave the column as it is"
        )


async def _finish(work: Retrofit, one: Target) -> Finished:
    orphans, required = 0, one.plan.mode == "column"
    if not required:
        orphans = await _remove_orphans(work, one)
    elif work.host.dialect == "sqlite":
        await _require_lite(work.host, one)
    else:
        await _require_pg(work.host, one)
    await work.host.write(lambda on: _note(on, one, work.clock()))
    work.tell({"event": "finished", "table": one.host.label, "required": required, "orphans": orphans})
    return Finished(table=one.host.label, required=required, orphans=orphans)


def _note(connection: Connection, one: Target, now: float) -> None:
    if (line := standing(connection, one.host.label, held=True)) is not None:
        keep(connection, line.at("finished"), now=now)


async def _remove_orphans(work: Retrofit, one: Target) -> int:
    total, after, more = 0, None, True
    while more:
        removed, after = await work.host.write(lambda on, start=after: drop_orphans(on, one, start))  # type: ignore[misc]  # bound here
        total, more = total + removed, after is not None
    return total


async def _require_lite(host: Host, one: Target) -> None:
    if not await _is_required(host, one):
        await host.outside(lambda on: on.exec_driver_sql("PRAGMA legacy_alter_table=ON"))
        await host.write(lambda on: _rebuild(on, one))
    if one.plan.index:
        await host.write(lambda on: on.execute(create_index(one.host, one.plan.column)))


def _rebuild(connection: Connection, one: Target) -> None:
    try:
        rebuild(connection, find_table(host_tables(connection), one.host.label), one.plan.column)
    except IntegrityError:
        raise ConfigurationError(
            f"a row of {one.host.label!r} lost its owner meanwhile; run `backfill` again"
        ) from None


async def _require_pg(host: Host, one: Target) -> None:
    """Each step is a statement of its own, and is left out when it was done before."""
    table, column = one.host.table, one.plan.column
    if one.plan.index:
        await _index_pg(host, one)
    if not await _is_required(host, one):
        await _constrain(host, one, "ck", add_check)
        await host.write(lambda on: on.execute(AlterColumn(table, column, required=True)))
    await host.write(lambda on: on.execute(drop_constraint(one.host, column, "ck")))
    if one.plan.references:
        await _constrain(host, one, "fk", add_reference)


async def _constrain(host: Host, one: Target, kind: str, add: Callable[..., Any]) -> None:
    """Add a constraint for new rows, under a short lock; then look at the old ones under none that anybody feels."""
    name = short_name(kind, one.host, one.plan.column)
    if await host.read(lambda on: _constraint(on, one, name)) is None:
        await host.write(lambda on: on.execute(add(one.host, one.plan.column)))
    try:
        await host.write(lambda on: on.execute(ValidateConstraint(one.host.table, name)))
    except IntegrityError:
        raise ConfigurationError(
            f"a row of {one.host.label!r} lost its owner meanwhile; run `backfill` again"
        ) from None


async def _index_pg(host: Host, one: Target) -> None:
    """Build the index beside the traffic. One that a killed run left half built is of no use and is dropped first."""
    name = short_name("ix", one.host, one.plan.column)
    if await host.read(lambda on: _half_built(on, one, name)):
        await host.outside(lambda on: on.execute(drop_index(one.host, one.plan.column, online=True)))
    await host.outside(lambda on: on.execute(create_index(one.host, one.plan.column)))


async def _is_required(host: Host, one: Target) -> bool:
    def look(connection: Connection) -> bool:
        columns = inspect(connection).get_columns(one.host.name, schema=one.host.schema)
        return any(column["name"] == one.plan.column and not column["nullable"] for column in columns)

    return await host.read(look)


def _constraint(connection: Connection, one: Target, name: str) -> bool | None:
    return connection.execute(_CONSTRAINT, _where(one, name)).scalar()


def _half_built(connection: Connection, one: Target, name: str) -> bool:
    return connection.execute(_INDEX, _where(one, name)).scalar() is False


def _where(one: Target, name: str) -> dict[str, Any]:
    return {"name": name, "table": one.host.name, "schema": one.host.schema}


_CONSTRAINT = text(
    "SELECT k.convalidated FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n "
    "ON n.oid = c.relnamespace WHERE k.conname = :name AND c.relname = :table "
    "AND n.nspname = COALESCE(CAST(:schema AS TEXT), current_schema())"
)
_INDEX = text(
    "SELECT x.indisvalid FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.relname = :name AND c.relname = :table "
    "AND n.nspname = COALESCE(CAST(:schema AS TEXT), current_schema())"
)
