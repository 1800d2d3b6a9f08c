"""A connection to the host's database on which nothing can be written.

Threat: a check that creates, locks or changes what it was to look at.
Source: https://sqlite.org/uri.html (mode=ro); https://www.postgresql.org/docs/current/sql-set-transaction.html.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.migrations.connecting import locate

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["read_only"]

T = TypeVar("T")
BUSY_SECONDS = 2


async def read_only(url: str, work: Callable[[Connection], T]) -> T | None:
    """Run `work` on a connection that cannot write; None where there is no such database yet.

    Raises ConfigurationError for an address that is none, Unavailable when the database does not answer.
    """
    place = locate(url)
    if place.missing():
        return None
    try:
        if place.dialect == "sqlite":
            return await asyncio.to_thread(_on_sqlite, place.address, work)
        return await _on_postgres(place.address, work)
    except (DBAPIError, sqlite3.Error, OSError) as error:
        raise Unavailable(f"The database could not be read ({type(error).__name__}).") from None


def _on_sqlite(path: str, work: Callable[[Connection], T]) -> T:
    address = f"{Path(path).as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        return work(connection)


async def _on_postgres(url: str, work: Callable[[Connection], T]) -> T:
    try:
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1), poolclass=NullPool)
    except ImportError:
        raise ConfigurationError("PostgreSQL needs the extra rimlock[postgres]") from None
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SET TRANSACTION READ ONLY"))
            await connection.execute(text("SET LOCAL statement_timeout = '5s'"))
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
