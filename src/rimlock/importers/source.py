"""The database that accounts come from: opened so that it cannot be written, asked in short transactions.

Threat: an import that changes, locks or empties what it reads.
Source: https://sqlite.org/uri.html (mode=ro); PostgreSQL `default_transaction_read_only`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.migrations.connecting import locate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlalchemy import Connection, Engine

__all__ = ["Source", "open_source"]

T = TypeVar("T")
SETTINGS = {"application_name": "rimlock-import", "default_transaction_read_only": "on", "timezone": "UTC"}
NOT_THERE = ("28", "3D", "42501")
"""SQLSTATE: no entry, no such database, no right to read."""


@dataclass(slots=True)
class Source:
    """One database, read only."""

    engine: Engine | AsyncEngine

    async def ask(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads, in a transaction of its own. Raises ConfigurationError, Unavailable."""
        try:
            return await self._ask(work)
        except DBAPIError as error:
            raise _sentence(error.orig) from None
        except (OSError, TimeoutError):
            raise Unavailable from None

    async def close(self) -> None:
        """Give the connection back."""
        if isinstance(self.engine, AsyncEngine):
            await self.engine.dispose()
        else:
            self.engine.dispose()

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.connect() as connection:
                return await connection.run_sync(work)
        return await asyncio.to_thread(_asked, self.engine, work)


@asynccontextmanager
async def open_source(url: str) -> AsyncIterator[Source]:
    """Open the database behind `url`, read only. Raises ConfigurationError, Unavailable."""
    place = locate(url)
    if place.missing():
        raise ConfigurationError("there is no database file at the address of the source")
    source = Source(_sqlite(place.address) if place.dialect == "sqlite" else _postgres(place.address))
    try:
        yield source
    finally:
        await source.close()


def _asked(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.connect() as connection:
        return work(connection)


def _sqlite(path: str) -> Engine:
    address = f"{Path(path).as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: _opened(address), poolclass=StaticPool)


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=10, check_same_thread=False)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _postgres(address: str) -> AsyncEngine:
    url = address.replace("postgresql://", "postgresql+asyncpg://", 1)
    given = {"server_settings": SETTINGS, "timeout": 10, "command_timeout": 300}
    return create_async_engine(url, connect_args=given, poolclass=StaticPool)


def _sentence(cause: BaseException | None) -> Exception:
    """Say what is wrong with a source, without what the statement or the address held."""
    busy = isinstance(cause, sqlite3.OperationalError) and any(
        word in str(cause) for word in ("locked", "unable to open")
    )
    state = str(getattr(cause, "sqlstate", "") or "")
    if busy or state.startswith(("08", "53", "57")):
        return Unavailable("The database of the source did not answer.")
    what = "there is no way in" if state.startswith(NOT_THERE) else "it cannot be read"
    return ConfigurationError(f"{what} at the address of the source ({type(cause).__name__}); check the address")
