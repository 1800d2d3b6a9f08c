"""One connection to the host's database, in short transactions, on SQLite and on PostgreSQL alike.

Threat: a tool that holds a lock while it thinks, or waits for one and holds up everybody behind it.
Source: https://sqlite.org/lang_transaction.html; https://www.postgresql.org/docs/current/explicit-locking.html.

Work is a plain function of a connection. Nothing is awaited inside a transaction.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import bindparam, create_engine, event, func, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import StaticPool

from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.migrations.connecting import locate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["Host", "PostgresHost", "SQLiteHost", "is_busy", "open_host"]

T = TypeVar("T")
WAIT_SECONDS = 10.0
LOCK_WAIT = "200ms"
"""How long a statement may queue for a lock on PostgreSQL: whoever comes behind it waits as long."""
TRIES = 60
RETRY_SECONDS = 0.25
HELD = "Somebody else holds the table for too long; run the same command again later."
BUSY_STATES = {"55P03", "40P01", "40001", "23505", "42P07"}
"""SQLSTATE: lock not available, deadlock, serialization failure; a line or a table that somebody who runs the same
command made a moment ago. All of them mean again."""
GONE_STATES = ("08", "53", "57P", "58", "25006")
"""SQLSTATE: no connection, no room, shutting down, trouble with the disk, read only."""
GONE_SIGNS = ("full", "readonly", "disk", "unable to open", "locked")
SETTINGS = {
    "application_name": "rimlock-retrofit",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "lock_timeout": "30s",
    "row_security": "off",
}
"""What the text of a value depends on, fixed, so that two checksums can be compared. Rows that a policy would hide are
an error; and nothing waits for a lock without an end."""


class Host:
    """The host's database. Every method runs `work` in one transaction; it raises what `work` raises.

    What the database itself refuses is ConfigurationError, in its words; Unavailable, when it cannot be had. Only an
    IntegrityError is passed on: a row that broke a constraint is for the step to explain.
    """

    dialect: str
    held: float = 0.0
    """Seconds the last write kept others from writing: from when it had its lock until the commit was done."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which changes nothing."""
        with _explained():
            return await self._read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` and commit. A lock that is not to be had is tried for again, up to TRIES. Raises Unavailable."""
        with _explained():
            for _ in range(TRIES):
                try:
                    return await self._write(work)
                except DBAPIError as error:
                    if not is_busy(error):
                        raise
                await asyncio.sleep(RETRY_SECONDS)
        raise Unavailable(HELD)

    async def outside(self, work: Callable[[Connection], T]) -> T:
        """Run `work` with no transaction around it: for what a database does only there. It is tried once."""
        with _explained():
            return await self._outside(work)

    async def _read(self, work: Callable[[Connection], T]) -> T:
        raise NotImplementedError

    async def _write(self, work: Callable[[Connection], T]) -> T:
        raise NotImplementedError

    async def _outside(self, work: Callable[[Connection], T]) -> T:
        raise NotImplementedError

    async def close(self) -> None:
        """Give the connection back."""
        raise NotImplementedError


@dataclass
class SQLiteHost(Host):
    """A file. A write takes its lock at the start, where waiting harms nobody."""

    engine: Engine
    dialect = "sqlite"

    async def _read(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.to_thread(self._run, work, "BEGIN")

    async def _write(self, work: Callable[[Connection], T]) -> T:
        done = await asyncio.to_thread(self._run, work, "BEGIN IMMEDIATE")
        await asyncio.to_thread(self._carry_over)
        return done

    async def _outside(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.to_thread(self._run, work, "SELECT 1")

    async def close(self) -> None:
        """See Host.close."""
        self.engine.dispose()

    def _carry_over(self) -> None:
        """Move what we wrote from the log into the file, while nobody waits; else the next writer's commit would."""
        # What it could not carry over stays where it is, and the write is done all the same.
        with suppress(DBAPIError), self.engine.connect().execution_options(begin="SELECT 1") as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").all()

    def _run(self, work: Callable[[Connection], T], begin: str) -> T:
        with self.engine.connect().execution_options(begin=begin) as connection:
            with connection.begin():
                began = monotonic()
                done = work(connection)
            self.held = monotonic() - began
        return done


@dataclass
class PostgresHost(Host):
    """A server. Reading waits for nobody; a write gives up a lock soon and comes back."""

    engine: AsyncEngine
    dialect = "postgresql"

    async def _read(self, work: Callable[[Connection], T]) -> T:
        async with self.engine.connect() as connection:
            return await connection.run_sync(work)

    async def _write(self, work: Callable[[Connection], T]) -> T:
        began = monotonic()
        async with self.engine.begin() as connection:
            await connection.execute(_SET_LOCK_TIMEOUT, {"value": LOCK_WAIT, "local": True})
            done = await connection.run_sync(work)
        self.held = monotonic() - began
        return done

    async def _outside(self, work: Callable[[Connection], T]) -> T:
        async with self.engine.connect() as connection:
            alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
            return await alone.run_sync(work)

    async def close(self) -> None:
        """See Host.close."""
        await self.engine.dispose()


@asynccontextmanager
async def open_host(url: str) -> AsyncIterator[Host]:
    """Open the host's database, whichever driver the address names. Raises ConfigurationError, Unavailable."""
    place = locate(url)
    if place.missing():
        raise ConfigurationError("there is no database file at the address of the application; name it with --database")
    host = _sqlite(place.address) if place.dialect == "sqlite" else _postgres(place.address)
    try:
        yield host
    except OSError as error:
        raise Unavailable("The database of the application did not answer.") from error
    finally:
        await host.close()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if is_busy(error):
            raise Unavailable(HELD) from error
        if isinstance(error, IntegrityError):
            raise
        raise _told(error) from error


def is_busy(error: DBAPIError) -> bool:
    """Say whether somebody else merely held what was wanted, or made it a moment ago."""
    if isinstance(error.orig, sqlite3.OperationalError):
        return "locked" in str(error.orig)
    return _state(error) in BUSY_STATES


def _told(error: DBAPIError) -> Exception:
    """Return in one sentence what the database refused. Its first line names tables and columns, never values."""
    why = re.sub(r"^<class '[\w.]+'>: ", "", str(error.orig)).strip().partition("\n")[0]
    gone = error.connection_invalidated or _state(error).startswith(GONE_STATES)
    if isinstance(error.orig, sqlite3.OperationalError):
        gone = any(sign in why for sign in GONE_SIGNS)
    if gone or "connection" in why:
        return Unavailable(f"The database of the application cannot go on: {why}. Run the same command again then.")
    return ConfigurationError(f"the database of the application refused: {why}")


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


_SET_LOCK_TIMEOUT = select(func.set_config("lock_timeout", bindparam("value"), bindparam("local")))


def _sqlite(path: str) -> SQLiteHost:
    engine = create_engine("sqlite://", creator=lambda: _connect(path), poolclass=StaticPool)
    event.listen(engine, "begin", _begin)
    return SQLiteHost(engine)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _connect(path: str) -> Any:
    """Foreign keys are off here: with them on, a table that is put in another's place empties what refers to it."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=WAIT_SECONDS, check_same_thread=False)
    connection.text_factory = _text
    connection.execute("PRAGMA foreign_keys=OFF")
    return connection


def _text(raw: bytes) -> str:
    """A host's file may hold text that is no UTF-8; it has to be counted as it stands."""
    return raw.decode("utf-8", "surrogateescape")


def _postgres(address: str) -> PostgresHost:
    url = address.replace("postgresql://", "postgresql+asyncpg://", 1)
    given = {"server_settings": SETTINGS, "prepared_statement_cache_size": 0, "statement_cache_size": 0}
    # READ COMMITTED: a batch has to see what was committed while it waited for the one before.
    return PostgresHost(create_async_engine(url, connect_args=given, isolation_level="READ COMMITTED"))
