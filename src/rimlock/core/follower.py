"""Keeps the memory of revocations in step with the journal.

Threat: a process that stopped hearing and goes on letting revoked tokens in.
Source: design section 4; https://sqlite.org/pragma.html#pragma_data_version.

On SQLite every request looks whether anything was committed to the file (well under a microsecond, so revocation is
exact).
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
from rimlock.core.wal_index import HEAD, WalIndex, watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rimlock.core.database import Database
    from rimlock.core.database_postgres import PostgresDatabase
    from rimlock.core.revocations import JournalWritten, Revocations

__all__ = ["Bell", "Follower", "OnStale", "PollingFollower", "SQLiteFollower", "follow"]

OnStale = Literal["refuse", "ask"]
PICK_UP_SECONDS = 2.0
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

    def __init__(self, database: Database, revocations: Revocations, bell: Bell | None = None) -> None:
        """Follow nothing yet. `bell` is rung for every line this process writes."""
        self.database = database
        self.revocations = revocations
        self._bell = bell

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

    async def revive(self) -> bool:
        """Begin again where the loop that kept up has ended; False when that is not so. Raises Unavailable."""
        return False

    def note(self, written: JournalWritten) -> Awaitable[None] | None:
        """Take in a line this process wrote itself, without waiting to read it back; return the ringing of the bell.

        Its place in the journal is not known here. It is read again with its place, and taken in again: harmless.
        """
        entry = Entry(self.revocations.position, written.kind, written.subject, written.value, written.expires_at)
        self.revocations.apply([entry])
        if self._bell is None or not _in_a_loop():
            return None
        return self._bell.ring(entry)


class SQLiteFollower(Follower):
    """Asks the file on every request whether anybody committed, and reads on only then."""

    database: SQLiteDatabase

    def __init__(self, database: SQLiteDatabase, revocations: Revocations, bell: Bell | None = None) -> None:
        """Open a connection of its own at the first use. The bell is rung for others; the file itself says more."""
        super().__init__(database, revocations, bell)
        self._connection: sqlite3.Connection | None = None
        self._version: tuple[int] | None = None
        self._index: WalIndex | None = None
        self._head: bytes | None = None
        self._watching = False

    def current(self) -> bool:
        """See Follower.current. The head of the index is read before the journal: what is committed meanwhile shows."""
        head = None if self._index is None else self._index.map[:HEAD]
        if head is not None and head == self._head:
            return True
        connection = self._connection
        if connection is None:
            connection = self._open()
            if connection is None:
                return False
        try:
            version = connection.execute("PRAGMA data_version").fetchone()
            if version != self._version:
                self._read(connection)
        except Exception as error:  # noqa: BLE001 - whatever failed, the memory cannot be vouched for
            log.error("the journal could not be read: %s", error)  # noqa: TRY400 - the cause is the sentence
            self._close()
            return False
        self._version, self._head = version, head
        if not self._watching:
            self._index, self._watching = watch(self.database.path), True
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
        index, self._index, self._head, self._watching = self._index, None, None, False
        if connection is not None:
            connection.close()
        if index is not None:
            index.release()

    def _read(self, connection: sqlite3.Connection) -> None:
        """Read on from the last line. The driver is used directly: a million lines have to be in within a second."""
        if not self.revocations.position and not self.revocations.on_change.get("session"):
            self._read_first(connection)
        rows = connection.execute(_SQLITE_AFTER, (self.revocations.position,))
        self.revocations.apply(Entry(*row) for row in rows)

    def _read_first(self, connection: sqlite3.Connection) -> None:
        """Take in the ended sessions in bulk, then the other lines, all up to the last there is at the moment."""
        (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM auth_journal").fetchone()
        self.revocations.apply_ended(connection.execute(_SQLITE_ENDED, (last,)))
        self.revocations.apply(Entry(*row) for row in connection.execute(_SQLITE_OTHERS, (last,)))
        self.revocations.position = last


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
        super().__init__(database, revocations, bell)
        self.interval = interval
        self.max_staleness = max_staleness
        self._listen = listen
        self._complete_at = float("-inf")
        self._home: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._reviving: asyncio.Task[None] | None = None
        self._ears: Any = None

    def current(self) -> bool:
        """See Follower.current."""
        return monotonic() - self._complete_at <= self.max_staleness and not self._orphaned()

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
        if self._home is asyncio.get_running_loop():  # a start that failed later on is tried again
            for task in self._tasks:
                task.cancel()
        await self.database.open()
        await self.catch_up()
        self._home = asyncio.get_running_loop()
        self._ears = None
        self._tasks = [asyncio.create_task(self._keep_up(asyncio.Event()))]
        if self._bell is not None:
            self._tasks.append(asyncio.create_task(self._bell.listen(self.revocations.apply)))

    async def revive(self) -> bool:
        """See Follower.revive. A host that runs no lifespan may run each request of its tests on another loop."""
        if not self._orphaned():
            return False
        running = asyncio.get_running_loop()
        if self._reviving is None or self._reviving.done() or self._reviving.get_loop() is not running:
            self._reviving = asyncio.create_task(self.start())
        await asyncio.shield(self._reviving)
        return True

    async def stop(self) -> None:
        """See Follower.stop."""
        tasks, self._tasks = self._tasks, []
        home, self._home = self._home, None
        if home is asyncio.get_running_loop():
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._bell is not None:
            await self._bell.close()

    def _orphaned(self) -> bool:
        return self._home is not None and self._home.is_closed()

    async def _keep_up(self, wake: asyncio.Event) -> None:
        try:
            while True:
                await self._pick_up(wake)
                await self._look()
                # Not wait_for: in Python 3.11 it loses a cancellation that arrives together with the wake-up.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.interval):
                        await wake.wait()
                wake.clear()
        finally:
            self._hang_up()

    async def _look(self) -> None:
        """Read on. Whatever fails is tried again: a task that ended here would end every sign-in with it."""
        try:
            await self.catch_up()
        except Exception as error:  # noqa: BLE001 - see above
            log.error("the journal could not be read, %.1f s behind: %s", self.lag(), type(error).__name__)  # noqa: TRY400
            self._hang_up()

    async def _pick_up(self, wake: asyncio.Event) -> None:
        """Listen, where that is wanted and possible. Polling alone will do where it is not."""
        if not self._listen or not (self._ears is None or self._ears.is_closed()):
            return
        self._hang_up()
        try:
            async with asyncio.timeout(PICK_UP_SECONDS):
                self._ears = await self.database.connect()
                await self._ears.add_listener(CHANNEL, lambda *_: wake.set())
        except Exception as error:  # noqa: BLE001 - a pooler in between may not allow it; polling goes on
            log.warning("LISTEN is not possible at the moment: %s", type(error).__name__)
            self._hang_up()

    def _hang_up(self) -> None:
        """Let go of the listening connection, without waiting for a server that may be gone."""
        ears, self._ears = self._ears, None
        if ears is not None:
            with suppress(Exception):
                ears.terminate()


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
        return SQLiteFollower(database, revocations, bell)
    return PollingFollower(
        database,  # type: ignore[arg-type]
        revocations,
        interval=interval,
        max_staleness=max_staleness,
        listen=listen,
        bell=bell,
    )


def _in_a_loop() -> bool:
    """Say whether there is a loop to ring on; the writer's thread answers for callers whose loop has ended."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_SQLITE_AFTER = "SELECT id, kind, subject, value, expires_at FROM auth_journal WHERE id > ? ORDER BY id"
_SQLITE_ENDED = """
SELECT subject, expires_at / 60 * 60 + 60 FROM auth_journal WHERE kind = 'session' AND id <= ? ORDER BY id
"""
_SQLITE_OTHERS = """
SELECT id, kind, subject, value, expires_at FROM auth_journal WHERE kind <> 'session' AND id <= ? ORDER BY id
"""
