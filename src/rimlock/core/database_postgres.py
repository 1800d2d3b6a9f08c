"""PostgreSQL: logic on a pooled connection, hot transitions as one statement straight to the driver.

Threat: a connection that belongs to a loop that has ended; a statement that waits for ever on a lock.
Source: performance notes in docs/decisions/0002; https://www.postgresql.org/docs/current/runtime-config-client.html.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from rimlock.core.acting import Acting, acting
from rimlock.core.database import Database, Transaction
from rimlock.core.errors import AuthError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import URL, Connection

    from rimlock.core.database import Publish, Transition

__all__ = ["PostgresDatabase"]

T = TypeVar("T")
STATEMENT_TIMEOUT_MS = 5_000
POOL = 8
log = logging.getLogger("rimlock.database")


class PostgresDatabase(Database):
    """One PostgreSQL database. The first loop that uses it owns the pools; any other gets connections of its own."""

    dialect = "postgresql"

    def __init__(self, url: URL, publish: Publish) -> None:
        """Open nothing yet; the first use does."""
        self.address = self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._publish = publish
        self._home: asyncio.AbstractEventLoop | None = None
        self._engine: AsyncEngine | None = None
        self._pool: asyncpg.Pool | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """See Database.write."""
        engine, passing = self._lend()
        try:
            with _refusing():
                async with engine.begin() as connection:
                    result, transaction = await connection.run_sync(self._run, work, acting())
        finally:
            if passing:
                await engine.dispose()
        self.executed += transaction.statements
        for told in transaction.events:
            self._publish(told)
        return result

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """See Database.read."""
        return await self.write(work)

    async def transition(self, statement: Transition, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """See Database.transition."""
        values = [parameters[name] for name in statement.parameters]
        self.executed += 1
        with _refusing():
            if self._pool is None or self._home is not asyncio.get_running_loop():
                row = await self._fetch_apart(statement.numbered, values)
            else:
                row = await self._pool.fetchrow(statement.numbered, *values)
        return None if row is None else tuple(row)

    async def connect(self) -> asyncpg.Connection:
        """Return a connection of the driver's own, for the follower. The caller closes it."""
        with _refusing():
            return await asyncpg.connect(self._dsn, timeout=5)

    async def open(self) -> None:
        """Make the running loop the owner of the pools, unless a loop that is still there owns them."""
        if self._home is not None and not self._home.is_closed():
            return
        self._engine, self._home = None, asyncio.get_running_loop()
        try:
            with _refusing():
                self._pool = pool = await asyncpg.create_pool(
                    self._dsn, min_size=1, max_size=POOL, timeout=5, command_timeout=5, server_settings=_SETTINGS
                )
        except BaseException:
            self._pool = self._home = None
            raise
        self._keeper = asyncio.create_task(self._keep(pool))
        await asyncio.sleep(0)  # a task that is cancelled before it began would never give anything back

    async def close(self) -> None:
        """See Database.close."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.get_loop() is asyncio.get_running_loop():
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep(self, pool: asyncpg.Pool) -> None:
        """Give the connections back when the loop ends, whoever ends it: they are worth nothing to another one."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            engine, self._engine = self._engine, None
            self._pool = self._home = None
            await _closed(pool)
            if engine is not None:
                await engine.dispose()

    def _lend(self) -> tuple[AsyncEngine, bool]:
        """Return an engine for this loop, and whether it is only for this once."""
        if self._home is not asyncio.get_running_loop():
            return _engine(self._dsn, pooled=False), True
        if self._engine is None:
            self._engine = _engine(self._dsn, pooled=True)
        return self._engine, False

    def _run(self, connection: Connection, work: Callable[[Transaction], T], who: Acting) -> tuple[T, Transaction]:
        transaction = Transaction(connection, self.dialect, acting=who, host=self.host)
        return self.carry_out(work, transaction), transaction

    async def _fetch_apart(self, sql: str, values: list[Any]) -> Any:
        connection = await self.connect()
        try:
            return await connection.fetchrow(sql, *values)
        finally:
            await connection.close()


_SETTINGS = {"statement_timeout": str(STATEMENT_TIMEOUT_MS), "application_name": "rimlock"}


async def _closed(pool: asyncpg.Pool) -> None:
    """Close the pool politely, then not: a server that is gone must not hold up the end of a process."""
    try:
        async with asyncio.timeout(2):
            await pool.close()
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pool.terminate()


def _engine(dsn: str, *, pooled: bool) -> AsyncEngine:
    options: dict[str, Any] = {"poolclass": NullPool}
    if pooled:
        options = {"poolclass": AsyncAdaptedQueuePool, "pool_size": POOL, "max_overflow": 0, "pool_timeout": 5}
    # The driver reads the address itself: it knows sslmode and the other words of libpq.
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, timeout=5, command_timeout=10, server_settings=_SETTINGS),
        **options,
    )


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a database that does not answer into Unavailable; let broken guards and our own errors through."""
    try:
        yield
    except (AuthError, IntegrityError):
        raise
    except (DBAPIError, PoolExhausted, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        log.error("the database did not answer: %s", type(error).__name__)  # noqa: TRY400 - a trace may quote values
        raise Unavailable from None
