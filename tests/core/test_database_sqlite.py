"""One writer that commits many transactions at once: each on its own, all or none, and told only when true."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from rimlock import migrations
from rimlock.core import database_sqlite
from rimlock.core.engines import open_database
from rimlock.core.errors import Unavailable
from rimlock.core.events import Event
from rimlock.core.schema import journal

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed(Event):
    """Something was written under this name."""

    subject: str


async def opened(url):
    """Return a database with our tables, and the list of what it told its observers."""
    await migrations.upgrade(url)
    told = []
    return open_database(url, told.append), told


def note(subject, *, then=None):
    """Return work that writes a line and emits an event, and perhaps fails afterwards."""

    def work(tx):
        tx.change(insert(journal), {"kind": "key", "subject": subject, "value": 0, "expires_at": 1})
        tx.emit(Noticed(at=1, subject=subject))
        if then is not None:
            raise then
        return subject

    return work


def subjects(tx):
    """Return what stands in the journal, in order."""
    return [row["subject"] for row in tx.all(select(journal.c.subject).order_by(journal.c.id))]


async def held(database):
    """Hold the writer until the returned event is set, so that what is handed in meanwhile becomes one batch."""
    begun, go = threading.Event(), threading.Event()

    def hold(_):
        begun.set()
        assert go.wait(10)

    waiting = asyncio.create_task(database.write(hold))
    await asyncio.to_thread(begun.wait, 10)
    return go, waiting


async def test_one_bad_transaction_spoils_nobody_elses(sqlite_url):
    """In one batch each failure undoes its own statements, reaches its own caller, and is told to nobody."""
    database, told = await opened(sqlite_url)
    go, waiting = await held(database)
    work = [
        note("a"),
        note("b", then=KeyError("mine")),
        note("c"),
        lambda tx: tx.all(text("SELECT nonsense")),
        note("d"),
    ]
    tasks = [asyncio.create_task(database.write(one)) for one in work]
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await waiting
    assert [answers[place] for place in (0, 2, 4)] == ["a", "c", "d"]
    assert isinstance(answers[1], KeyError)
    assert isinstance(answers[3], Unavailable)
    assert await database.read(subjects) == ["a", "c", "d"]
    assert [event.subject for event in told] == ["a", "c", "d"]
    await database.close()


async def test_a_broken_guard_is_its_callers_own(sqlite_url):
    """A unique key that is taken is no failure of the database."""
    database, _ = await opened(sqlite_url)
    with pytest.raises(IntegrityError):
        await database.write(
            lambda tx: tx.change(text("INSERT INTO auth_schema_version SELECT * FROM auth_schema_version"))
        )
    assert await database.write(note("after")) == "after"
    await database.close()


async def test_a_commit_that_fails_is_told_to_every_caller(sqlite_url):
    """Nothing of the batch stands, nobody hears of it, and each of its callers gets Unavailable."""
    database, told = await opened(sqlite_url)
    go, waiting = await held(database)
    spoil = "PRAGMA defer_foreign_keys=ON"
    tables = (
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
    )

    def dangling(tx):
        for statement in (*tables, spoil, "INSERT INTO child VALUES (1)"):
            tx.change(text(statement))

    tasks = [asyncio.create_task(database.write(one)) for one in (note("a"), dangling, note("b"))]
    await asyncio.sleep(0)
    go.set()
    answers = await asyncio.gather(waiting, *tasks, return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in answers[-3:])
    assert await database.read(subjects) == []
    assert told == []
    assert await database.write(note("after")) == "after"
    await database.close()


async def test_a_full_disk_is_unavailable_and_passes(sqlite_url):
    """A write that finds no room is refused, leaves nothing behind, and the next one that fits is done."""
    database, told = await opened(sqlite_url)

    def limit(tx, pages):
        tx.all(text(f"PRAGMA max_page_count={pages}"))

    def huge(tx):
        note("huge")(tx)
        tx.change(insert(journal), [{"kind": "key", "subject": "x" * 60, "value": 0, "expires_at": 1}] * 20_000)

    await database.write(lambda tx: limit(tx, 60))
    outcomes = await asyncio.gather(
        database.write(note("a")), database.write(huge), database.write(note("b")), return_exceptions=True
    )
    assert isinstance(outcomes[1], Unavailable)
    kept = [answer for answer in (outcomes[0], outcomes[2]) if isinstance(answer, str)]
    assert await database.read(subjects) == kept
    assert [event.subject for event in told] == kept
    await database.write(lambda tx: limit(tx, 1_000_000))
    assert await database.write(note("c")) == "c"
    await database.close()


async def test_a_file_that_cannot_be_opened(tmp_path):
    """A directory that is not there is Unavailable for reads and for writes."""
    database = open_database(f"sqlite:///{tmp_path / 'missing' / 'file.db'}", lambda _: None)
    for ask in (database.read, database.write):
        with pytest.raises(Unavailable):
            await ask(subjects)
    await database.close()


async def test_a_writer_in_another_process_is_waited_for(sqlite_url, monkeypatch):
    """While another holds the file the work waits; it is Unavailable only when that takes too long."""
    monkeypatch.setattr(database_sqlite, "BUSY_TIMEOUT_MS", 100)
    database, told = await opened(sqlite_url)
    await database.write(lambda _: None)
    other = sqlite3.connect(Path(sqlite_url.removeprefix("sqlite:///")), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await database.read(subjects) == [], "readers are not held up"
    with pytest.raises(Unavailable):
        await database.write(note("late"))
    other.execute("COMMIT")
    assert await database.write(note("after")) == "after"
    assert [event.subject for event in told] == ["after"]
    other.close()
    await database.close()


async def test_a_caller_who_left(sqlite_url):
    """Cancelled before its turn, work is not done; what is done is told though nobody waits for the answer."""
    database, told = await opened(sqlite_url)
    go, waiting = await held(database)
    gone = asyncio.create_task(database.write(note("gone")))
    stays = asyncio.create_task(database.write(note("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    go.set()
    await asyncio.gather(waiting, stays)
    assert await database.read(subjects) == ["stays"]
    assert [event.subject for event in told] == ["stays"]
    await database.close()


async def test_many_loops_share_one_writer(sqlite_url):
    """Callers on eight event loops are each answered on their own."""
    database, told = await opened(sqlite_url)

    async def many(loop):
        return await asyncio.gather(*(database.write(note(f"{loop}.{number}")) for number in range(25)))

    answers = await asyncio.gather(*(asyncio.to_thread(asyncio.run, many(loop)) for loop in range(8)))
    wanted = {f"{loop}.{number}" for loop in range(8) for number in range(25)}
    assert {subject for answer in answers for subject in answer} == wanted
    assert set(await database.read(subjects)) == wanted
    assert len(told) == 200
    await database.close()


async def test_closing_finishes_what_was_accepted(sqlite_url):
    """Work handed in before the close is committed and answered, and the database can be used again."""
    database, _ = await opened(sqlite_url)
    go, waiting = await held(database)
    tasks = [asyncio.create_task(database.write(note(str(number)))) for number in range(100)]
    await asyncio.sleep(0)
    threading.Timer(0.05, go.set).start()
    await database.close()
    await asyncio.gather(waiting, *tasks)
    assert len(await database.read(subjects)) == 100
    assert await database.write(note("again")) == "again"
    await database.close()
