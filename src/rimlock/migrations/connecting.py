"""One transaction on the host's database for a migration, alone or not at all.

Threat: two processes that migrate at once; a process that dies in the middle; a wait for a lock without an end.
Source: https://sqlite.org/lang_transaction.html; https://www.postgresql.org/docs/current/explicit-locking.html 13.3.5.

A migration runs on a thread, with a loop of its own where the driver needs one: the caller's loop is never blocked.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from rimlock.core.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["Place", "locate"]

T = TypeVar("T")
WAIT_FOR_OTHERS_SECONDS = 60
WAIT_FOR_TABLE_SECONDS = 10
CONNECT_SECONDS = 10
OUT_OF_REACH = ("08", "28", "3D", "53", "57P", "55P03")
"""SQLSTATE: no connection, no entry, no such database, no room, shutting down; lock not available."""


@dataclass(frozen=True, slots=True, repr=False)
class Place:
    """Where the tables are. `address`: the path of an SQLite file, or a `postgresql://` URL, password included."""

    dialect: str
    address: str

    def missing(self) -> bool:
        """Say whether this is a database file that nobody has made yet."""
        return self.dialect == "sqlite" and not Path(self.address).exists()

    async def run(self, work: Callable[[Connection], T], *, alone: bool) -> T:
        """Run `work` in one transaction and return its value; `alone` keeps every other migrating process out.

        Raises Unavailable when the database does not answer or somebody holds it for too long, else what `work` raises;
        then nothing was changed.
        """
        run = _run_sqlite if self.dialect == "sqlite" else _run_postgres
        with _answering():
            return await asyncio.to_thread(run, self.address, work, alone=alone)


def locate(url: str) -> Place:
    """Read a database URL, whichever driver it names. Raises ConfigurationError."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError("this is not a database address; write sqlite:///app.db or postgresql://…") from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return Place(backend, parsed.set(drivername=backend).render_as_string(hide_password=False))
    if backend != "sqlite":
        raise ConfigurationError(f"Rimlock keeps its tables in SQLite or PostgreSQL, not in {backend!r}")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError("a database in memory ends with its connection; name a file: sqlite:///app.db")
    return Place(backend, str(Path(parsed.database).absolute()))


def _run_sqlite(address: str, work: Callable[[Connection], T], *, alone: bool) -> T:
    engine = _sqlite_engine(address, "BEGIN EXCLUSIVE" if alone else "BEGIN")
    with engine.begin() as connection:
        return work(connection)


def _sqlite_engine(path: str, begin: str) -> Engine:
    """An engine that begins before the first statement. Python's driver would wait for the first INSERT, after the DDL.

    EXCLUSIVE takes every lock at the start, where waiting is harmless, so that no reader can refuse the commit. Foreign
    keys are off on this connection: with them on, dropping a table deletes its rows one by one and cascades.
    """
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=WAIT_FOR_OTHERS_SECONDS)
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection


def _run_postgres(address: str, work: Callable[[Connection], T], *, alone: bool) -> T:
    return asyncio.run(_run_on_loop(address, work, alone=alone))


async def _run_on_loop(address: str, work: Callable[[Connection], T], *, alone: bool) -> T:
    import asyncpg
    from sqlalchemy.ext.asyncio import create_async_engine

    async def connect() -> Any:
        return await asyncpg.connect(address, timeout=CONNECT_SECONDS, server_settings={"application_name": "rimlock"})

    # READ COMMITTED: what another process committed while this one waited for the lock has to be visible afterwards.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool, isolation_level="READ COMMITTED"
    )
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(_locked if alone else _as_it_is, work)
    finally:
        await engine.dispose()


def _locked(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Wait for other migrations, then briefly for tables: a long wait for a table queues every reader behind it."""
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHERS_SECONDS}s'")
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtextextended('rimlock.migrations', 0))")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT_FOR_TABLE_SECONDS}s'")
    return work(connection)


def _as_it_is(connection: Connection, work: Callable[[Connection], T]) -> T:
    return work(connection)


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not _out_of_reach(cause):
            raise
        why = type(cause).__name__
        raise Unavailable(f"The database did not answer or was held for too long ({why}); nothing changed.") from error


def _out_of_reach(cause: BaseException | None) -> bool:
    """Tell a database that can't be had from a statement that it refused."""
    if isinstance(cause, sqlite3.OperationalError):
        return any(sign in str(cause) for sign in ("locked", "unable to open"))
    if isinstance(cause, sqlite3.DatabaseError) and "not a database" in str(cause):
        return True
    return isinstance(cause, OSError) or str(getattr(cause, "sqlstate", "")).startswith(OUT_OF_REACH)
