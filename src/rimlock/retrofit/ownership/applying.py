"""`apply`: counts everything first, then makes what owners are kept in. Can be repeated, and killed at any moment.

Threat: a change of a live table before anybody knows what was in it; a column of the host's that is taken for ours.
Source: requirement L7; https://www.postgresql.org/docs/current/sql-altertable.html (ADD COLUMN without a default).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select
from sqlalchemy.schema import CreateIndex

from rimlock.core.errors import ConfigurationError
from rimlock.core.ids import new_id
from rimlock.core.users import OwnUsers
from rimlock.migrations.connecting import locate
from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.checksums import content_of
from rimlock.retrofit.ownership.events import CameTo, on_record
from rimlock.retrofit.ownership.progress import WHOLE, Standing, keep, make_state, require, standing
from rimlock.retrofit.ownership.revision import revision_id, write_revision, write_sql
from rimlock.retrofit.ownership.schema_print import print_of
from rimlock.retrofit.ownership.statements import AddColumn, create_table
from rimlock.retrofit.ownership.system_user import ensure_system

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rimlock.retrofit.ownership.evidence import Target
    from rimlock.retrofit.ownership.retrofitting import Retrofit
    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["Applied", "apply", "refuse_other_plan", "refuse_unsafe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was made. `waiting`: tables whose column the host's migration has to bring. `files`: what was written."""

    system: str
    counted: Mapping[str, int]
    ready: tuple[str, ...]
    waiting: tuple[str, ...]
    files: tuple[str, ...]


def _came_to(made: Applied) -> CameTo:
    return CameTo(done=not made.waiting)


@on_record("apply", _came_to)
async def apply(work: Retrofit) -> Applied:
    """Record what is there, make the System user and the places owners are kept in.

    Nothing of the host's is touched but for nullable columns where the plan says so. Raises ConfigurationError,
    Unavailable; called again it goes on.
    """
    targets = await work.targets()
    found = await work.standing()
    refuse_unsafe(work, targets, found)
    whole = found[WHOLE] if WHOLE in found else await work.host.write(lambda on: _begin(on, work))
    counted = await _count_all(work)
    system = await work.database.write(lambda tx: ensure_system(tx, work.users, whole.data["host"], int(work.clock())))
    await work.host.write(lambda on: _note_whole(on, work, system=system))
    files = await _make_places(work, targets, whole)
    ready, waiting = await work.host.write(lambda on: _settle(on, work, targets))
    return Applied(system=system, counted=counted, ready=ready, waiting=waiting, files=tuple(files))


def refuse_unsafe(work: Retrofit, targets: Sequence[Target], found: Mapping[str, Standing]) -> None:
    """Refuse what could not be taken back, or what the plan cannot mean. Raises ConfigurationError."""
    if WHOLE in found and found[WHOLE].phase == "leaving":
        raise ConfigurationError("a way back was begun here; finish it with `rimlock retrofit rollback`")
    for one in targets:
        line = found.get(one.host.label)
        known = None if line is None else line.data.get("plan")
        refuse_other_plan(work, one, known)
        if one.plan.mode == "column":
            _refuse_column(work, one, fresh=known is None)


def refuse_other_plan(work: Retrofit, one: Target, known: Mapping[str, Any] | None) -> None:
    """Refuse a plan that was edited since the table was begun: its column might be the host's own."""
    if known is not None and known != _chosen(work, one):
        raise ConfigurationError(f"{one.host.label!r} was begun in another way; roll back first, or restore the plan")


def _refuse_column(work: Retrofit, one: Target, *, fresh: bool) -> None:
    label, column = one.host.label, one.plan.column
    if fresh and column.casefold() in {held.name.casefold() for held in one.host.table.c}:
        raise ConfigurationError(f"{label!r} has a column {column!r} already; choose another name")
    if one.host.parted:
        raise ConfigurationError(
            f"{label!r} has partitions or is one, which have no column of their own; use mode = 'side'"
        )
    if one.host.triggers and one.plan.triggers == "refuse":
        named = ", ".join(one.host.triggers)
        raise ConfigurationError(
            f"filling a column of {label!r} would fire {named}; use mode = 'side', or say triggers = 'fire'"
        )
    if one.plan.references:
        _refuse_reference(work, label)


def _refuse_reference(work: Retrofit, label: str) -> None:
    if work.host.dialect != "postgresql":
        raise ConfigurationError(
            f"{label!r}: references = true is for PostgreSQL; SQLite could not drop the column again"
        )
    if not isinstance(work.users, OwnUsers) or locate(work.database.address).address != work.address:
        raise ConfigurationError(f"{label!r}: references = true needs our accounts in the application's own database")


def _begin(connection: Connection, work: Retrofit) -> Standing:
    """Note that we began, and the schema as it is, before anything of ours is there."""
    inspector = inspect(connection)
    made_owner = not inspector.has_table(owner.name)
    owned = [] if made_owner else list(connection.execute(select(owner.c.table_name).distinct()).scalars())
    before = print_of(connection)
    make_state(connection)
    if found := standing(connection, WHOLE, held=True):
        return found
    data = {"host": new_id(work.clock()), "schema": before, "made_owner": made_owner, "owned_before": owned}
    line = Standing(name=WHOLE, phase="counted", data=data)
    keep(connection, line, now=work.clock())
    return line


async def _count_all(work: Retrofit) -> dict[str, int]:
    """Count every table of the host's and add up its content, once: what is there now is what we go back to."""
    counted: dict[str, int] = {}
    for label, table in (await work.tables()).items():
        line = await work.host.read(lambda on, name=label: standing(on, name))  # type: ignore[misc]  # bound here
        if line is None:
            line = await _count(work, table)
            work.tell({"event": "counted", "table": label, "rows": line.data["before"]["rows"]})
        counted[label] = line.data["before"]["rows"]
    return counted


async def _count(work: Retrofit, table: HostTable) -> Standing:
    columns = [column.name for column in table.table.c]
    held = await content_of(work.host, table, columns)
    before = {"rows": held.rows, "digest": held.digest, "last": held.last, "columns": columns}
    line = Standing(name=table.label, phase="counted", data={"before": before})
    await work.host.write(lambda on: keep(on, line, now=work.clock()))
    return line


def _note_whole(connection: Connection, work: Retrofit, **noted: Any) -> None:
    line = require({WHOLE: standing(connection, WHOLE, held=True)})  # type: ignore[dict-item]  # it was just made
    keep(connection, line.at(line.phase, **noted), now=work.clock())


async def _make_places(work: Retrofit, targets: Sequence[Target], whole: Standing) -> list[str]:
    """Make the side table and the columns; return the files that were written."""
    if any(one.plan.mode == "side" for one in targets):
        await work.host.write(_make_owner_table)
    columns = [one for one in targets if one.plan.mode == "column"]
    if not columns:
        return []
    await work.host.write(lambda on: _choose(on, work, columns))
    if work.plan.ddl == "alembic":
        return [await _revise(work, columns, whole)]
    files = await work.host.read(lambda on: write_sql(work.folder, columns, on.dialect))
    for one in columns:
        await work.host.write(lambda on, it=one: _add_column(on, it))  # type: ignore[misc]  # bound here
    return files


def _make_owner_table(connection: Connection) -> None:
    connection.execute(create_table(owner))
    for index in owner.indexes:
        connection.execute(CreateIndex(index, if_not_exists=True))


def _choose(connection: Connection, work: Retrofit, targets: Sequence[Target]) -> None:
    """Note what was chosen for a table before its column comes: from then on it is known as ours."""
    for one in targets:
        if (line := standing(connection, one.host.label, held=True)) is not None:
            keep(connection, line.at(line.phase, plan=_chosen(work, one)), now=work.clock())


def _chosen(work: Retrofit, one: Target) -> dict[str, Any]:
    chosen: dict[str, Any] = {"mode": one.plan.mode, "key": one.host.key[0]}
    return {**chosen, "column": one.plan.column, "ddl": work.plan.ddl} if one.plan.mode == "column" else chosen


async def _revise(work: Retrofit, columns: Sequence[Target], whole: Standing) -> str:
    config = work.folder / work.plan.alembic
    revision = whole.data.get("revision") or revision_id(f"{whole.data['host']} {work.digest()}")
    await work.host.write(lambda on: _note_whole(on, work, revision=revision, alembic=str(config)))
    return str(write_revision(config, revision, columns))


def _add_column(connection: Connection, one: Target) -> None:
    if one.plan.column not in _columns(connection, one):
        connection.execute(AddColumn(one.host.table, one.plan.column))


def _columns(connection: Connection, one: Target) -> set[str]:
    return {column["name"] for column in inspect(connection).get_columns(one.host.name, schema=one.host.schema)}


def _settle(
    connection: Connection, work: Retrofit, targets: Sequence[Target]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Note which tables are ready for owners, and which wait for their column."""
    ready: list[str] = []
    waiting: list[str] = []
    for one in targets:
        there = one.plan.mode == "side" or one.plan.column in _columns(connection, one)
        (ready if there else waiting).append(one.host.label)
        line = standing(connection, one.host.label, held=True)
        if line is not None and line.phase in {"counted", "waiting"}:
            line = line.at("ready" if there else "waiting", plan=_chosen(work, one))
            keep(connection, line, now=work.clock())
    return tuple(ready), tuple(waiting)
