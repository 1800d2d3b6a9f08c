"""Keeps the memory of revocations in step with the journal.

Threat: a process that stopped hearing and goes on letting revoked tokens in.
Source: design section 4; https://sqlite.org/pragma.html#pragma_data_version.

On SQLite every request asks the file whether anything was committed (microseconds, so revocation is exact).
On PostgreSQL a task polls, and is told sooner by LISTEN/NOTIFY or by a bell in Valkey/Redis. A follower that has
not reached the database for `max_staleness` does what the named setting says: refuse, or ask the database each time.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from abc import ABC, abstractmethod
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rimlock.core.database_sqlite import SQLiteDatabase
from rimlock.core.errors import Unavailable
from rimlock.core.revocations import CHANNEL, Entry, entries_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from rimlock.core.database import Database
    from rimlock.core.database_postgres import PostgresDatabase
    from rimlock.core.revocations import JournalWritten, Revocations

__all__ = ["Bell", "Follower", "OnStale", "PollingFollower", "SQLiteFollower", "follow"]

OnStale = Literal["refuse", "ask"]
log = logging.getLogger("rimlock.follower")


class Bell(Protocol):
    """A faster way to hear of the journal than polling, that also keeps the list itself: Valkey or Redis."""

    async def ring(self, entry: Entry) -> None:
        """Put an entry on the shared list, expiring, and tell every listener."""

    async def listen(self, heard: Callable[[list[Entry]], None]) -> None:
        """Hand over the list as it stands, then each new entry, until cancelled. Reconnects by itself."""

    async def close(self) -> None:
        """Give the connections back."""


class Follower(ABC):
    """Fills `revocations` from the journal of `database`."""

    def __init__(self, database: Database, revocations: Revocations) -> None:
        """Follow nothing yet."""
        self.database = database
        self.revocations = revocations

    @abstractmethod
    def current(self) -> bool:
        """Catch up if that is cheap, and say whether the memory can be trusted now. Never blocks, never raises."""

    @abstractmethod
    async def catch_up(self) -> None:
        """Read the journal to its end. Raises Unavailable."""

    async def start(self) -> None:
        """Know everything before the first request, then keep up. Raises Unavailable."""
        await self.catch_up()

    @abstractmethod
    async def stop(self) -> None:
        """Stop keeping up."""

    def lag(self) -> float:
        """Seconds since the memory was last known to be complete."""
        return 0.0

    def note(self, written: JournalWritten) -> None:
        """Take in a line this process wrote itself, without waiting to read it back."""
        self.revocations.apply(
            [Entry(self.revocations.position, written.kind, written.subject, written.value, written.expires_at)]
        )


class SQLiteFollower(Follower):
    """Asks the file on every request whether anybody committed, and reads on only then."""

    database: SQLiteDatabase

    def __init__(self, database: SQLiteDatabase, revocations: Revocations) -> None:
        """Open a connection of its own at the first use."""
        super().__init__(database, revocations)
        self._connection: sqlite3.Connection | None = None
        self._version: tuple[int] | None = None

    def current(self) -> bool:
        """See Follower.current."""
        connection = self._connection
        if connection is None:
            connection = self._open()
            if connection is None:
                return False
        try:
            version = connection.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return True
            self._read(connection)
        except (sqlite3.Error, Unavailable) as error:
            log.error("the journal could not be read: %s", error)  # noqa: TRY400 - the cause is the sentence
            self._close()
            return False
        self._version = version
        return True

    async def catch_up(self) -> None:
        """See Follower.catch_up."""
        if not self.current():
            raise Unavailable

    async def stop(self) -> None:
        """See Follower.stop."""
        self._close()

    def _open(self) -> sqlite3.Connection | None:
        with suppress(Unavailable):
            self._connection = self.database.connect()
        return self._connection

    def _close(self) -> None:
        connection, self._connection, self._version = self._connection, None, None
        if connection is not None:
            connection.close()

    def _read(self, connection: sqlite3.Connection) -> None:
        """Read on from the last line. The driver is used directly: a million lines have to be in within a second."""
        rows = connection.execute(_SQLITE_AFTER, (self.revocations.position,))
        self.revocations.apply(Entry(*row) for row in rows)


class PollingFollower(Follower):
    """Polls PostgreSQL every `interval` seconds; LISTEN/NOTIFY or a bell makes it hear sooner."""

    database: PostgresDatabase

    def __init__(
        self,
        database: PostgresDatabase,
        revocations: Revocations,
        *,
        interval: float,
        max_staleness: float,
        listen: bool,
        bell: Bell | None,
    ) -> None:
        """`interval` and `max_staleness` in seconds; `listen`: hold one connection for LISTEN."""
        super().__init__(database, revocations)
        self.interval = interval
        self.max_staleness = max_staleness
        self._listen = listen
        self._bell = bell
        self._complete_at = float("-inf")
        self._wake: asyncio.Event | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ears: Any = None

    def current(self) -> bool:
        """See Follower.current."""
        return monotonic() - self._complete_at <= self.max_staleness

    def lag(self) -> float:
        """See Follower.lag."""
        return monotonic() - self._complete_at

    async def catch_up(self) -> None:
        """See Follower.catch_up."""
        began = monotonic()
        position = self.revocations.position
        self.revocations.apply(await self.database.read(lambda tx: entries_after(tx, position)))
        self._complete_at = began

    async def start(self) -> None:
        """See Follower.start."""
        await self.database.open()
        await self.catch_up()
        self._wake = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._keep_up(self._wake)))
        if self._bell is not None:
            self._tasks.append(asyncio.create_task(self._bell.listen(self.revocations.apply)))

    async def stop(self) -> None:
        """See Follower.stop."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._hang_up()
        self._wake = None

    async def _keep_up(self, wake: asyncio.Event) -> None:
        while True:
            try:
                await self._pick_up(wake)
                await self.catch_up()
            except Unavailable:
                log.error("the journal could not be read; %.1f s behind", self.lag())  # noqa: TRY400
                await self._hang_up()
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), self.interval)
            wake.clear()

    async def _pick_up(self, wake: asyncio.Event) -> None:
        if self._listen and (self._ears is None or self._ears.is_closed()):
            self._ears = await self.database.connect()
            await self._ears.add_listener(CHANNEL, lambda *_: wake.set())

    async def _hang_up(self) -> None:
        ears, self._ears = self._ears, None
        if ears is not None:
            with suppress(OSError, TimeoutError, asyncio.CancelledError):
                await ears.close(timeout=1)


def follow(
    database: Database,
    revocations: Revocations,
    *,
    interval: float = 0.5,
    max_staleness: float = 5.0,
    listen: bool = True,
    bell: Bell | None = None,
) -> Follower:
    """Return the follower that fits the database."""
    if isinstance(database, SQLiteDatabase):
        return SQLiteFollower(database, revocations)
    return PollingFollower(
        database,  # type: ignore[arg-type]
        revocations,
        interval=interval,
        max_staleness=max_staleness,
        listen=listen,
        bell=bell,
    )


_SQLITE_AFTER = "SELECT id, kind, subject, value, expires_at FROM auth_journal WHERE id > ? ORDER BY id"
