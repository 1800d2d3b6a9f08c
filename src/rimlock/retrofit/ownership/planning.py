"""`plan`: says what would be done, to how many rows, by which evidence and under which locks; changes nothing.

Threat: an operator who learns only afterwards that a rule gives every row to one person.
Source: requirement L7; https://www.postgresql.org/docs/current/explicit-locking.html 13.3.1.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect, select

from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.backfilling import noted
from rimlock.retrofit.ownership.checksums import count_of
from rimlock.retrofit.ownership.evidence import asked_by, judge_all, read_rows, span_end
from rimlock.retrofit.ownership.finishing import REBUILD_LIMIT
from rimlock.retrofit.ownership.planfile import SYSTEM, AuditRule
from rimlock.retrofit.ownership.progress import Standing
from rimlock.retrofit.ownership.statements import (
    AddColumn,
    AlterColumn,
    ValidateConstraint,
    add_check,
    add_reference,
    create_index,
    create_table,
    drop_constraint,
    short_name,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Dialect

    from rimlock.retrofit.ownership.evidence import Target
    from rimlock.retrofit.ownership.host import Host
    from rimlock.retrofit.ownership.people import People
    from rimlock.retrofit.ownership.retrofitting import Retrofit

__all__ = ["Planned", "plan"]

READ_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would happen to one table. `by`: rows each rule would give. `warnings`: what to look at first."""

    table: str
    mode: str
    key: str
    rows: int
    unowned: int
    by: Mapping[str, int]
    ambiguous: Mapping[str, int]
    unmatched: Mapping[str, int]
    batches: int
    statements: tuple[str, ...]
    locks: tuple[str, ...]
    warnings: tuple[str, ...]


async def plan(work: Retrofit, *, batch: int = 1_000) -> list[Planned]:
    """Return what would be done for each table of the plan. Raises ConfigurationError, Unavailable."""
    people = work.people
    owners = await work.owners(people, SYSTEM)
    targets = await work.targets()
    return [await _plan(work, one, people, owners[one.plan.default], batch) for one in targets]


async def _plan(work: Retrofit, one: Target, people: People, default: str, batch: int) -> Planned:
    place = await work.host.read(lambda on: _has_place(on, one))
    line, unowned = await _estimate(work.host, one, people, default, counted=place)
    dialect: Dialect = await work.host.read(lambda on: on.dialect)
    kept = {name: line.data.get(name, {}) for name in ("by", "ambiguous", "unmatched")}
    rows = await count_of(work.host, one.host)
    return Planned(
        table=one.host.label,
        mode=one.plan.mode,
        key=f"{one.host.key[0]} ({one.host.kind})",
        rows=rows,
        unowned=unowned,
        batches=-(-unowned // batch),
        statements=tuple(_statements(work, one, dialect)),
        locks=tuple(_locks(one, work.host.dialect, rows)),
        warnings=tuple(await work.host.read(lambda on: _warnings(on, one))),
        **kept,
    )


def _has_place(connection: Connection, one: Target) -> bool:
    return inspect(connection).has_table(owner.name) if one.plan.mode == "side" else one.plan.column in one.host.table.c


async def _estimate(host: Host, one: Target, people: People, default: str, *, counted: bool) -> tuple[Standing, int]:
    """Judge every row as the backfill would, and count."""
    line, total, after, more = Standing(name=one.host.label, phase="ready"), 0, None, True
    while more:
        end = await host.read(lambda on, start=after: span_end(on, one, start, READ_AT_ONCE))  # type: ignore[misc]  # bound here
        rows = await host.read(lambda on, a=after, b=end: read_rows(on, one, a, b, counted=counted))  # type: ignore[misc]  # bound here
        await people.learn({asked for asked in asked_by(rows, one) if people.meant(asked) is None})
        line = noted(line, one, judge_all(rows, one, people.meant, default))
        total, after, more = total + len(rows), end, end is not None
    return line, total


def _statements(work: Retrofit, one: Target, dialect: Dialect) -> list[str]:
    """Return the statements in their order, as they would be sent; the batches are one of them, many times."""
    if one.plan.mode == "side":
        return [written(create_table(owner), dialect), f"fill {owner.name}, in batches of short transactions"]
    table, column = one.host.table, one.plan.column
    parts: list[Any] = [AddColumn(table, column)]
    if work.host.dialect == "sqlite":
        return [
            written(parts[0], dialect),
            f"fill {column}, in batches of short transactions",
            "finish: the table put up anew with NOT NULL",
        ]
    finishing: list[Any] = [create_index(one.host, column)] if one.plan.index else []
    finishing += [
        add_check(one.host, column),
        ValidateConstraint(table, short_name("ck", one.host, column)),
        AlterColumn(table, column, required=True),
        drop_constraint(one.host, column, "ck"),
    ]
    if one.plan.references:
        finishing += [add_reference(one.host, column), ValidateConstraint(table, short_name("fk", one.host, column))]
    first = [written(part, dialect) for part in parts]
    return [
        *first,
        f"fill {column}, in batches of short transactions",
        *(f"finish: {written(part, dialect)}" for part in finishing),
    ]


def _locks(one: Target, dialect: str, rows: int) -> list[str]:
    if one.plan.mode == "side":
        own = "the file's write lock, for each batch" if dialect == "sqlite" else "none on the application's tables"
        return [own]
    if dialect == "sqlite":
        big = f"; {rows} rows: only with --offline" if rows > REBUILD_LIMIT else ""
        return [
            "apply: the file's write lock, for an instant",
            "backfill: the file's write lock, for each batch",
            f"finish: the file's write lock while the table is put up anew{big}",
        ]
    return [
        "apply: ACCESS EXCLUSIVE for an instant, given up after 200 ms of waiting and tried again",
        "backfill: FOR NO KEY UPDATE on the rows of a batch; rows that somebody holds are left for later",
        "finish: SHARE UPDATE EXCLUSIVE while it looks (readers and writers pass), ACCESS EXCLUSIVE for an instant",
    ]


def _warnings(connection: Connection, one: Target) -> list[str]:
    found = []
    if one.host.triggers and one.plan.mode == "column":
        found.append(f"filling the column fires {', '.join(one.host.triggers)}: apply refuses unless triggers = 'fire'")
    if connection.execute(select(one.key).where(one.key.is_(None)).limit(1)).first() is not None:
        found.append("there are rows whose key is NULL: they cannot get an owner")
    for rule, audit in zip(one.plan.rules, one.audits, strict=True):
        if (
            isinstance(rule, AuditRule)
            and audit is not None
            and not _is_indexed(connection, audit.name, audit.schema, rule.row)
        ):
            found.append(f"{audit.label} has no index that begins with {rule.row}: each batch reads all of it")
    return found


def _is_indexed(connection: Connection, name: str, schema: str | None, column: str) -> bool:
    inspector = inspect(connection)
    key = inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]
    starts = Counter(
        index["column_names"][0] for index in inspector.get_indexes(name, schema=schema) if index["column_names"]
    )
    return column in starts or key[:1] == [column]
