"""What the host has: its tables, their keys, what hangs on them, and a print of the whole schema.

Threat: a table that is missed, or one of ours taken for the host's; a way back that is nearly right.
Source: https://docs.sqlalchemy.org/en/20/core/reflection.html; https://sqlite.org/schematab.html.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Column, MetaData, Table, inspect, text
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import Boolean, DateTime, Integer, LargeBinary, NullType, Numeric, String, TypeEngine, Uuid

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.tables import NOT_THE_HOSTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Inspector

__all__ = ["HostTable", "KeyKind", "find_table", "host_tables", "require_one_key"]

KeyKind = Literal["integer", "text", "uuid", "number", "time", "bytes", "other", "several", "none"]
BOOKKEEPING = {"alembic_version"}
"""Of the host's migrations: it changes when the host runs the revision that adds a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTable:
    """A table of the host's. `rowid`: SQLite's name for the number of a row, if any. `generated`: computed columns.

    `parted`: it has partitions, or is one (PostgreSQL).
    """

    name: str
    schema: str | None
    table: Table
    key: tuple[str, ...]
    kind: KeyKind
    rowid: str | None = None
    generated: frozenset[str] = frozenset()
    parted: bool = False
    triggers: tuple[str, ...] = field(default=())
    """Triggers that fire when any column of a row is changed."""

    @property
    def label(self) -> str:
        """The name people and our state know it by: with its schema where that is not the usual one."""
        return self.table.fullname

    @property
    def bookkeeping(self) -> bool:
        """Whether this is where the host's migrations note how far they are."""
        return self.name in BOOKKEEPING


def host_tables(connection: Connection) -> dict[str, HostTable]:
    """Return every table of the host's by its label; views and ours are none."""
    inspector = inspect(connection)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # a type nobody knows is compared as text all the same
        found = [_survey(connection, inspector, name, schema) for name, schema in _names(connection, inspector)]
    tables = {table.label: table for table in found}
    if len(tables) < len(found):
        twice = next(table.label for table in found if tables[table.label] is not table)
        raise ConfigurationError(f"{twice!r} is a table, and a table of a schema too; rename one of them")
    return tables


def find_table(tables: dict[str, HostTable], label: str) -> HostTable:
    """Return the table of that name. Raises ConfigurationError."""
    if label not in tables:
        raise ConfigurationError(f"the application's database has no table {label!r}; correct the plan")
    return tables[label]


def require_one_key(table: HostTable) -> None:
    """Refuse a table whose rows can't be told apart by the text of one column. Raises ConfigurationError."""
    why = {
        "none": "it has no primary key, so its rows cannot be named",
        "several": f"its primary key has {len(table.key)} columns, and an owner is kept by a key of one column",
        "bytes": "its primary key is binary, and the text of it is not safe to compare",
        "other": "the type of its primary key is not known here",
    }.get(table.kind)
    if why:
        raise ConfigurationError(f"the table {table.label!r} cannot get owners: {why}; take it out of the plan")


def _names(connection: Connection, inspector: Inspector) -> Iterator[tuple[str, str | None]]:
    if connection.dialect.name == "sqlite":
        kinds = {row[0]: row[1] for row in connection.execute(_SQLITE_KINDS)}
        yield from ((n, None) for n in sorted(kinds) if n not in NOT_THE_HOSTS and kinds[n] != "virtual")
        return
    usual = inspector.default_schema_name
    for schema in inspector.get_schema_names():
        if schema == "information_schema" or schema.startswith("pg_"):
            continue
        for name in sorted(inspector.get_table_names(schema=schema)):
            if schema != usual or name not in NOT_THE_HOSTS:
                yield name, None if schema == usual else schema


def _survey(connection: Connection, inspector: Inspector, name: str, schema: str | None) -> HostTable:
    lite = connection.dialect.name == "sqlite"
    columns = inspector.get_columns(name, schema=schema)
    key = tuple(inspector.get_pk_constraint(name, schema=schema)["constrained_columns"])
    table = Table(name, MetaData(), *(_column(one, key, raw=lite) for one in columns), schema=schema)
    return HostTable(
        name=name,
        schema=schema,
        table=table,
        key=key,
        kind=_kind(key, {one["name"]: one["type"] for one in columns}),
        rowid=_rowid(connection, name, {one["name"].lower() for one in columns}) if lite else None,
        generated=frozenset(one["name"] for one in columns if one.get("computed")),
        parted=not lite and bool(connection.execute(_PG_PARTED, {"name": name, "schema": schema}).scalar()),
        triggers=tuple(_sqlite_triggers(connection, name) if lite else _pg_triggers(connection, table)),
    )


def _column(one: Any, key: tuple[str, ...], *, raw: bool) -> Column[Any]:
    """On SQLite a column holds what it holds, whatever its type says; values are taken as they are."""
    kind: TypeEngine[Any] = NullType() if raw else one["type"]
    return Column(one["name"], kind, primary_key=one["name"] in key, autoincrement=False)


def _kind(key: tuple[str, ...], types: dict[str, Any]) -> KeyKind:
    if len(key) != 1:
        return "several" if key else "none"
    found = types[key[0]]
    kinds: dict[type[Any], KeyKind] = {
        Boolean: "other",
        Integer: "integer",
        Uuid: "uuid",
        LargeBinary: "bytes",
        String: "text",
        Numeric: "number",
        DateTime: "time",
    }
    fitting: list[KeyKind] = [word for kind, word in kinds.items() if isinstance(found, kind)]
    return fitting[0] if fitting else "other"


def _rowid(connection: Connection, name: str, columns: set[str]) -> str | None:
    """Return a name of the row number that no column hides; None for a table WITHOUT ROWID."""
    written = connection.execute(_SQLITE_TABLE, {"name": name}).scalar_one()
    if re.search(r"\)\s*[\w\s,]*\bWITHOUT\s+ROWID\b[\w\s,]*$", written, re.IGNORECASE):
        return None
    return next((word for word in ("rowid", "_rowid_", "oid") if word not in columns), None)


def _sqlite_triggers(connection: Connection, name: str) -> Iterator[str]:
    """Yield triggers on any UPDATE. No statement in the body of one says UPDATE ON, so all of it is looked through."""
    for trigger, sql in connection.execute(_SQLITE_TRIGGERS, {"name": name}):
        if re.search(r"\bUPDATE\s+ON\b", re.sub(r"(?s)--[^\n]*|/\*.*?\*/", " ", sql), re.IGNORECASE):
            yield trigger


def _pg_triggers(connection: Connection, table: Table) -> list[str]:
    where = {"name": table.name, "schema": table.schema}
    return list(connection.execute(_PG_TRIGGERS, where).scalars())


_SQLITE_KINDS = text(
    "SELECT name, CASE WHEN sql LIKE 'CREATE VIRTUAL%' THEN 'virtual' ELSE 'table' END "
    "FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_SQLITE_TABLE = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
_SQLITE_TRIGGERS = text(
    "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name COLLATE NOCASE"
)
_PG_TRIGGERS = text(
    "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' "
    "AND (t.tgtype & 16) <> 0 AND cardinality(t.tgattr::int2[]) = 0 "
    "AND c.relname = :name AND n.nspname = COALESCE(CAST(:schema AS TEXT), current_schema()) ORDER BY 1"
)
_PG_PARTED = text(
    "SELECT c.relkind = 'p' OR c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relname = :name AND n.nspname = COALESCE(CAST(:schema AS TEXT), current_schema()) "
)
