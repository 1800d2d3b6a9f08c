"""`rollback`: from any state back to the schema and the rows as they were, and a proof of it.

Threat: a way back that leaves a column, an index or an account behind, or that loses what the application wrote.
Source: requirement L7 (reversible, every row accounted for); design section 1.4.

It goes by what the state says was begun, not by the plan, which may have been edited since. The state goes last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, inspect, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import DropTable

from rimlock.core.errors import ConfigurationError
from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.events import CameTo, on_record
from rimlock.retrofit.ownership.finishing import refuse_long_lock
from rimlock.retrofit.ownership.progress import WHOLE, all_standing, drop_state, keep
from rimlock.retrofit.ownership.schema_print import differences, print_of
from rimlock.retrofit.ownership.statements import AlterColumn, DropColumn, drop_constraint, drop_index
from rimlock.retrofit.ownership.system_user import release_system
from rimlock.retrofit.ownership.verifying import compare_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from rimlock.retrofit.ownership.progress import Standing
    from rimlock.retrofit.ownership.retrofitting import Retrofit
    from rimlock.retrofit.ownership.surveying import HostTable
    from rimlock.retrofit.ownership.verifying import Compared

__all__ = ["RolledBack", "rollback"]

REMOVED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """How the way back went. `waiting`: the host's downgrade that has to run first. `differences`: of the schema."""

    done: bool
    waiting: str | None = None
    tables: tuple[Compared, ...] = ()
    differences: tuple[str, ...] = ()
    system_removed: bool = False
    kept: tuple[str, ...] = ()


def _came_to(made: RolledBack) -> CameTo:
    return CameTo(done=made.done)


@on_record("rollback", _came_to)
async def rollback(work: Retrofit, *, offline: bool = False, accept: bool = False) -> RolledBack:
    """Take back everything this tool made. `offline` as for `finish`. Can be repeated, and killed at any moment.

    The state stays until the schema is what it was; `accept`: it differs because the application's own migrations
    changed it meanwhile. Raises ConfigurationError for a big SQLite table without `offline`, Unavailable.
    """
    found = await work.standing()
    if not found:
        return RolledBack(done=True)
    tables = await work.tables()
    columns = [line for line in found.values() if _mode(line) == "column" and _column(line, tables)]
    await _refuse_long_locks(work, columns, offline=offline)
    await work.host.write(lambda on: _leave(on, work.clock()))
    for line in columns:
        await _take_off(work, line, tables[line.name])
    if waits := _waits(found, columns):
        return RolledBack(done=False, waiting=waits)
    kept = await _clear_side(work, found)
    return await _close(work, found, kept, accept=accept)


async def _refuse_long_locks(work: Retrofit, columns: list[Standing], *, offline: bool) -> None:
    if work.host.dialect == "sqlite":
        for line in columns:
            await refuse_long_lock(work, line.name, offline=offline)


def _mode(line: Standing) -> str | None:
    mode: str | None = line.data.get("plan", {}).get("mode")
    return mode


def _column(line: Standing, tables: Mapping[str, HostTable]) -> bool:
    """Say whether the column is still there."""
    return line.name in tables and line.data["plan"]["column"] in tables[line.name].table.c


def _leave(connection: Connection, now: float) -> None:
    """Note that we leave: a backfill that still runs stops at its next batch."""
    for line in all_standing(connection).values():
        keep(connection, line.at("leaving"), now=now)


async def _take_off(work: Retrofit, line: Standing, table: HostTable) -> None:
    """Undo what `finish` made, then drop the column, unless a revision of the host's brought it."""
    column, own = line.data["plan"]["column"], line.data["plan"]["ddl"] == "sql"
    if work.host.dialect == "postgresql":
        await work.host.outside(lambda on: on.execute(drop_index(table, column, online=True)))
        await work.host.write(lambda on: _loosen(on, table, column))
    else:
        await work.host.write(lambda on: on.execute(drop_index(table, column, online=False)))
    if own:
        await work.host.write(lambda on: _drop_column(on, table, column))


def _loosen(connection: Connection, table: HostTable, column: str) -> None:
    for kind in ("fk", "ck"):
        connection.execute(drop_constraint(table, column, kind))
    connection.execute(AlterColumn(table.table, column, required=False))


def _drop_column(connection: Connection, table: HostTable, column: str) -> None:
    """Drop the column, unless somebody else who takes the way back was faster."""
    there = inspect(connection).get_columns(table.name, schema=table.schema)
    if column not in {one["name"] for one in there}:
        return
    try:
        connection.execute(DropColumn(table.table, column))
    except OperationalError as error:
        if "locked" in str(error.orig):
            raise
        raise ConfigurationError(f"the column of {table.label!r} cannot be dropped: {error.orig}") from None


def _waits(found: Mapping[str, Standing], columns: list[Standing]) -> str | None:
    if not any(line.data["plan"]["ddl"] == "alembic" for line in columns):
        return None
    revision = found[WHOLE].data.get("revision")
    return (
        f"run `alembic downgrade {revision}-1` in the application and delete that revision, "
        "or the next upgrade brings the column back; then `rimlock retrofit rollback` again"
    )


async def _clear_side(work: Retrofit, found: Mapping[str, Standing]) -> tuple[str, ...]:
    """Remove the owners beside tables, and their table when we made it. Return what was left because it is not ours."""
    if not await work.host.read(lambda on: inspect(on).has_table(owner.name)):
        return ()
    ours = found[WHOLE].data["made_owner"]
    theirs = set(found[WHOLE].data["owned_before"])
    labels = [line.name for line in found.values() if _mode(line) == "side" and line.name not in theirs]
    if not ours or work.host.dialect == "sqlite":
        while await work.host.write(lambda on: _remove_some(on, None if ours else labels)):
            pass
    if ours:
        await work.host.write(lambda on: on.execute(DropTable(owner, if_exists=True)))
        return ()
    return (owner.name,)


def _remove_some(connection: Connection, labels: list[str] | None) -> int:
    """Remove owners a few thousand at a time: SQLite would hold every writer up for all of them."""
    some = select(owner.c.table_name, owner.c.row_key).limit(REMOVED_AT_ONCE)
    if labels is not None:
        some = some.where(owner.c.table_name.in_(labels))
    batch = some.subquery()
    chosen = (owner.c.table_name == batch.c.table_name) & (owner.c.row_key == batch.c.row_key)
    return connection.execute(delete(owner).where(select(batch).where(chosen).correlate(owner).exists())).rowcount


async def _close(work: Retrofit, found: Mapping[str, Standing], kept: tuple[str, ...], *, accept: bool) -> RolledBack:
    """Compare everything with what was there at the beginning; if the schema is the same, forget that we were here."""
    whole = found[WHOLE]
    compared = tuple(await compare_all(work, found))
    wrong = tuple(differences(whole.data["schema"], await work.host.read(print_of)))
    if wrong and not accept:
        return RolledBack(done=False, tables=compared, differences=wrong, kept=kept)
    removed = False
    if not await work.host.read(lambda on: _owns(on, whole.data.get("system"))):
        removed = await work.database.write(
            lambda tx: release_system(tx, work.users, whole.data["host"], int(work.clock()))
        )
    await work.host.write(drop_state)
    return RolledBack(done=True, tables=compared, differences=wrong, system_removed=removed, kept=kept)


def _owns(connection: Connection, system: Any) -> bool:
    if system is None or not inspect(connection).has_table(owner.name):
        return False
    wanted = select(func.count()).select_from(owner).where(owner.c.user_id == system)
    return bool(connection.execute(wanted).scalar_one())
