"""SQLite: one writer thread that commits many transactions at once, readers on connections of their own.

Threat: `database is locked` shown to a caller; a lost write after a power cut; one bad transaction spoiling its batch.
Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html (data_version, synchronous).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections import defaultdict, deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from rimlock.core.acting import Acting, acting
from rimlock.core.database import Database, Transaction
from rimlock.core.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import URL, Connection, Engine

    from rimlock.core.database import Publish, Transition

__all__ = ["SQLiteDatabase"]

T = TypeVar("T")
LARGEST_BATCH = 64
GATHER_SECONDS = 0.0005
"""How long a batch waits for more, once the one before it had more than one: fewer commits for the same work."""
BUSY_TIMEOUT_MS = 10_000
"""How long the writer waits for other processes; it holds up nobody but its queue."""

READER_TIMEOUT_MS = 250
"""How long a reader waits. It holds up the loop it runs on, and in WAL mode nothing makes it wait but a repair."""

OLDEST_SQLITE = (3, 35)
log = logging.getLogger("rimlock.database")


@dataclass(slots=True)
class _Job:
    """One piece of work on its way to the writer, and where its answer goes."""

    work: Callable[[Transaction], Any]
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    acting: Acting
    alone: bool = False
    result: Any = None
    error: BaseException | None = None
    transaction: Transaction | None = None

    def deliver(self, publish: Publish) -> None:
        """Tell the observers, then the caller; runs on the caller's loop."""
        if self.error is None and self.transaction is not None:
            for told in self.transaction.events:
                publish(told)
        if self.answer.cancelled():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class SQLiteDatabase(Database):
    """One database file. Safe to use from any number of event loops and processes."""

    dialect = "sqlite"

    def __init__(self, url: URL, publish: Publish) -> None:
        """Open nothing yet; the first use does. Raises ConfigurationError on an SQLite that is too old."""
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old; Rimlock needs 3.35 for RETURNING")
        self.path = _place(url) or self._scratch_file()
        self.address = f"sqlite:///{self.path}"
        self._publish = publish
        self._engine = _engine(self.path)
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._readers: deque[Connection] = deque()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._crowded = False

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """See Database.write."""
        return await self._submit(work, alone=False)

    async def transition(self, statement: Transition, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """See Database.transition. One statement is atomic by itself and needs no savepoint."""

        def work(tx: Transaction) -> tuple[Any, ...] | None:
            tx.statements += 1
            cursor = _driver(tx.connection).execute(statement.sqlite, parameters)
            row: tuple[Any, ...] | None = cursor.fetchone()
            cursor.close()
            return row

        return await self._submit(work, alone=True)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """See Database.read. A read takes microseconds and runs where it is called."""
        return self.read_now(work)

    def read_now(self, work: Callable[[Transaction], T]) -> T:
        """Read without a loop: a hop to another thread would cost ten times the work."""
        with _refusing(), self._reader() as connection:
            transaction = Transaction(connection, self.dialect, host=self.host)
            driver = _driver(connection)
            driver.execute("BEGIN")
            try:
                return work(transaction)
            finally:
                driver.execute("ROLLBACK")
                self.executed += transaction.statements

    def connect(self) -> sqlite3.Connection:
        """Return a connection of the driver's own, for the follower. The caller closes it. Raises Unavailable."""
        with _refusing():
            return _hurried(_connect(self.path))

    async def close(self) -> None:
        """See Database.close."""
        self.close_now()

    def close_now(self) -> None:
        """Finish the queue, then close every connection."""
        with self._starting:
            if self._thread is not None:
                self._queue.put(None)
                self._thread.join()
                self._thread = None
            self._answer(self._left_over())
        while self._readers:
            self._readers.pop().close()

    def _scratch_file(self) -> str:
        """A database in memory becomes a file that goes with us, since one connection would not be enough."""
        folder = tempfile.mkdtemp(prefix="rimlock-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return str(Path(folder) / "memory.db")

    async def _submit(self, work: Callable[[Transaction], T], *, alone: bool) -> T:
        if self._thread is None:
            self._start()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._queue.put(_Job(work, loop, answer, acting(), alone))
        return await answer

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                opened: Future[None] = Future()
                thread = threading.Thread(target=self._run, args=(opened,), name="rimlock-writer", daemon=True)
                thread.start()
                opened.result()
                self._thread = thread

    def _run(self, opened: Future[None]) -> None:
        try:
            with _refusing():
                connection = self._engine.connect()
        except BaseException as error:  # noqa: BLE001 - whoever started the thread raises it
            opened.set_exception(error)
            return
        opened.set_result(None)
        with connection:
            while batch := self._next_batch():
                self._carry_out(connection, batch)

    def _next_batch(self) -> list[_Job]:
        """Wait for one job, then take whatever else is already waiting."""
        first = self._queue.get()
        if first is None:
            return []
        if self._crowded:
            sleep(GATHER_SECONDS)
        batch = [first]
        while len(batch) < LARGEST_BATCH:
            try:
                job = self._queue.get_nowait()
            except Empty:
                break
            if job is None:
                self._queue.put(None)
                break
            batch.append(job)
        self._crowded = len(batch) > 1
        return batch

    def _carry_out(self, connection: Connection, batch: list[_Job]) -> None:
        driver = _driver(connection)
        try:
            with _refusing():
                driver.execute("BEGIN IMMEDIATE")
                for job in batch:
                    self._attempt(connection, driver, job)
                    _check_undivided(driver)
                driver.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - nothing was committed, so every caller must hear of it
            _roll_back(driver)
            for job in batch:
                job.error = job.error or error
        self._answer(batch)

    def _left_over(self) -> list[_Job]:
        """Return what was handed in while the writer was closing: nobody will carry it out."""
        left: list[_Job] = []
        while not self._queue.empty():
            job = self._queue.get_nowait()
            if job is not None:
                job.error = Unavailable()
                left.append(job)
        return left

    def _attempt(self, connection: Connection, driver: sqlite3.Connection, job: _Job) -> None:
        """Run one job so that its failure undoes its own statements and nobody else's."""
        if job.answer.cancelled():
            return
        job.transaction = Transaction(connection, self.dialect, acting=job.acting, host=self.host)
        if not job.alone:
            driver.execute("SAVEPOINT job")
        try:
            job.result = self.carry_out(job.work, job.transaction)
        except Exception as error:  # noqa: BLE001 - it belongs to the caller of this job alone
            job.error = _translated(error)
            if not job.alone:
                driver.execute("ROLLBACK TO job")
        if not job.alone:
            driver.execute("RELEASE job")
        self.executed += job.transaction.statements

    def _answer(self, batch: list[_Job]) -> None:
        """Wake each loop once, however many of its callers are answered."""
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[_Job]] = defaultdict(list)
        for job in batch:
            by_loop[job.loop].append(job)
        for loop, jobs in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, jobs, self._publish)
            except RuntimeError:  # the loop of these callers has ended: nobody waits, but the events are true
                _publish_all(jobs, self._publish)

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        """Lend a reader connection; more are opened only while more reads overlap."""
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self._engine.connect()
            _hurried(_driver(connection))
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._readers.append(connection)


def _deliver(jobs: list[_Job], publish: Publish) -> None:
    for job in jobs:
        job.deliver(publish)


def _publish_all(jobs: list[_Job], publish: Publish) -> None:
    for job in jobs:
        if job.error is None and job.transaction is not None:
            for told in job.transaction.events:
                publish(told)


def _place(url: URL) -> str | None:
    """Return the file of `url`, None for a database in memory."""
    return str(Path(url.database).absolute()) if url.database and url.database != ":memory:" else None


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    return connection


def _hurried(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute(f"PRAGMA busy_timeout={READER_TIMEOUT_MS}")
    return connection


def _engine(path: str) -> Engine:
    """An engine whose connections never begin by themselves: the transactions here are explicit."""
    engine = create_engine(
        "sqlite://", creator=lambda: _connect(path), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )

    @event.listens_for(engine, "connect")
    def _explicit(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None

    return engine


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _check_undivided(driver: sqlite3.Connection) -> None:
    """Stop a batch whose transaction is gone: a full disk undoes all of it, and the rest would commit by itself."""
    if not driver.in_transaction:
        raise Unavailable


def _roll_back(driver: sqlite3.Connection) -> None:
    try:
        if driver.in_transaction:
            driver.execute("ROLLBACK")
    except sqlite3.Error:
        log.exception("a failed transaction could not be rolled back")


def _translated(error: Exception) -> Exception:
    """An operational failure of the engine becomes Unavailable; everything else is the caller's own."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.OperationalError) or type(cause) is sqlite3.DatabaseError:  # the latter: a broken file
        log.error("the database did not answer: %s", cause)
        return Unavailable()
    return error


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, DBAPIError) as error:
        translated = _translated(error)
        raise translated from (None if isinstance(translated, Unavailable) else error)
