"""A laboratory's tables beside ours, and a plain look at any database: names, rows, checksums, definitions."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from rimlock.core import schema

__all__ = ["definitions", "fill_host", "fill_ours", "host", "on", "row_counts", "seals", "tables"]

T = TypeVar("T")
ANALYSES = 5_000
STEPS = 2

host = MetaData()
analyses = Table(
    "analyses",
    host,
    Column("id", Integer, primary_key=True),
    Column("sample", String(80), nullable=False),
    Column("mass", Float, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("scan", LargeBinary),
)
steps = Table(
    "steps",
    host,
    Column("id", Integer, primary_key=True),
    Column("analysis_id", ForeignKey("analyses.id", ondelete="CASCADE"), nullable=False),
    Column("note", String(200), nullable=False),
)
# Begins as ours do and is the host's all the same.
Table("auth_legacy_note", host, Column("id", Integer, primary_key=True), Column("text", String(80), nullable=False))


async def on(url: str, work: Callable[[Connection], T]) -> T:
    """Run `work` in one transaction, with foreign keys enforced on both databases."""
    if url.startswith("sqlite"):
        engine = create_engine(url, poolclass=NullPool)
        event.listen(engine, "connect", lambda driver, _: driver.execute("PRAGMA foreign_keys=ON"))
        with engine.begin() as connection:
            return work(connection)
    remote = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"), poolclass=NullPool)
    try:
        async with remote.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await remote.dispose()


def fill_host(connection: Connection) -> None:
    """Make the laboratory's tables and fill them."""
    host.create_all(connection)
    numbers = range(1, ANALYSES + 1)
    connection.execute(
        insert(analyses),
        [
            {"id": n, "sample": f"Probe {n} µ", "mass": n / 7, "done": n % 2 == 0, "scan": bytes([n % 256])}
            for n in numbers
        ],
    )
    connection.execute(insert(steps), [{"analysis_id": n, "note": f"step {k}"} for n in numbers for k in range(STEPS)])
    connection.execute(insert(host.tables["auth_legacy_note"]), [{"text": "kept since before"}])


def fill_ours(connection: Connection, rows: int = 40) -> None:
    """Put rows into every table of ours."""
    for table in schema.metadata.sorted_tables:
        connection.execute(insert(table), [_row(table, number) for number in range(rows)])


def tables(connection: Connection) -> set[str]:
    """Name every table."""
    return set(inspect(connection).get_table_names())


def row_counts(connection: Connection) -> dict[str, int]:
    """Count the rows of every table."""
    found = MetaData()
    found.reflect(connection)
    return {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in found.tables.items()
    }


def seals(connection: Connection) -> dict[str, str]:
    """Reduce the content of each of the host's tables to a digest."""
    return {name: _seal(connection, table) for name, table in host.tables.items()}


def definitions(connection: Connection) -> list[tuple[Any, ...]]:
    """Return what the database itself says of every table of ours: columns, types, defaults, constraints, indexes."""
    query = _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES
    rows = connection.exec_driver_sql(query).all()
    return [tuple(_unspaced(value) for value in row) for row in rows if row[0] in schema.metadata.tables]


def _unspaced(value: Any) -> Any:
    """Statements that were printed are indented otherwise than those that were sent."""
    return " ".join(value.split()).replace(" ,", ",").replace(" )", ")") if isinstance(value, str) else value


def _seal(connection: Connection, table: Table) -> str:
    digest = sha256()
    for row in connection.execute(select(table).order_by(table.c.id)):
        digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()


def _row(table: Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns if not column.server_default}


def _value(column: Column[Any], number: int) -> Any:
    kind = column.type.python_type
    length = getattr(column.type, "length", None) or 8
    made: dict[type, Any] = {int: number + 1, bool: number % 2 == 0, bytes: b"sealed", str: f"{number:04}"[:length]}
    return made[kind]


_SQLITE = "SELECT tbl_name, type, name, sql FROM sqlite_master ORDER BY 1, 2, 3"
_POSTGRES = """
SELECT table_name, 'column', column_name, ordinal_position::text, data_type,
  character_maximum_length, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL
SELECT conrelid::regclass::text, 'constraint', conname, pg_get_constraintdef(oid), NULL, NULL, NULL, NULL
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT tablename, 'index', indexname, indexdef, NULL, NULL, NULL, NULL FROM pg_indexes WHERE schemaname = 'public'
ORDER BY 1, 2, 3
"""
