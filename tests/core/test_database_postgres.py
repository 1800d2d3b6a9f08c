"""PostgreSQL behind the same seam: all or nothing, told after the commit, on whatever loop it is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from core.wire import Wire
from rimlock import migrations
from rimlock.core import accounts, sessions
from rimlock.core.engines import open_database
from rimlock.core.errors import NotFound, Unavailable
from rimlock.core.events import Event
from rimlock.core.schema import journal
from rimlock.core.sessions import Device, Lifetimes

NOW = 1_800_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Event):
    """Something was written under this name."""

    subject: str


def note(subject, *, then=None):
    """Return work that writes a line and emits an event, and perhaps fails afterwards."""

    def work(tx):
        tx.change(insert(journal), {"kind": "key", "subject": subject, "value": 0, "expires_at": 1})
        tx.emit(Written(at=1, subject=subject))
        if then is not None:
            raise then
        return subject

    return work


def subjects(tx):
    """Return what stands in the journal, in order."""
    return [row["subject"] for row in tx.all(select(journal.c.subject).order_by(journal.c.id))]


@pytest.mark.anyio
async def test_what_fails_leaves_nothing_and_is_told_to_nobody(postgres_url):
    """An error of ours, a broken guard and a broken statement each undo their own transaction."""
    await migrations.upgrade(postgres_url)
    told = []
    database = open_database(postgres_url, told.append)
    with pytest.raises(NotFound):
        await database.write(note("a", then=NotFound()))
    with pytest.raises(IntegrityError):
        await database.write(
            lambda tx: [tx.change(text("INSERT INTO auth_schema_version VALUES ('x')")) for _ in range(2)]
        )
    with pytest.raises(Unavailable):
        await database.write(lambda tx: (note("b")(tx), tx.all(text("SELECT nonsense"))))
    assert await database.write(note("c")) == "c"
    assert await database.read(subjects) == ["c"]
    assert [event.subject for event in told] == ["c"]
    await database.close()


@pytest.mark.anyio
async def test_a_server_that_goes_away_and_comes_back(postgres_url):
    """Reads, writes and hot transitions are Unavailable meanwhile, and go on afterwards on the same object."""
    await migrations.upgrade(postgres_url)
    with Wire(postgres_url) as wire:
        database = open_database(wire.url, lambda _: None)
        await database.open()
        await database.write(lambda tx: accounts.open_account(tx, "ann", now=NOW))
        session = await database.write(
            lambda tx: sessions.issue(tx, "ann", methods=("test",), device=Device(), lifetimes=Lifetimes(), now=NOW)
        )

        async def refresh(generation):
            return (await sessions.refresh(database, session.id, generation, grace=30, now=NOW)).generation

        assert await refresh(0) == 1
        await asyncio.to_thread(wire.cut)
        for ask in (lambda: refresh(1), lambda: database.read(subjects), lambda: database.write(note("lost"))):
            with pytest.raises(Unavailable):
                await ask()
        wire.mend()
        assert await refresh(1) == 2
        assert await database.read(subjects) == []
        assert await database.write(note("found")) == "found"
        await database.close()


def test_one_object_on_many_loops(postgres_url):
    """Each of several loops, one after the other and at once, is served; what a loop opened ends with it."""
    told = []
    database = open_database(postgres_url, told.append)

    async def use(subject):
        await database.open()
        return [await database.write(note(subject)), len(await database.read(subjects))]

    async def neighbours():
        await database.open()
        apart = [asyncio.to_thread(asyncio.run, use(f"apart{number}")) for number in range(3)]
        return await asyncio.gather(use("home"), *apart)

    asyncio.run(migrations.upgrade(postgres_url))
    assert asyncio.run(use("first")) == ["first", 1]
    assert asyncio.run(use("second")) == ["second", 2]
    assert {answer[0] for answer in asyncio.run(neighbours())} == {"home", "apart0", "apart1", "apart2"}
    assert len(told) == 6
    assert asyncio.run(_connections(database)) == 1


async def _connections(database):
    """Return how many connections of ours the server counts, the asking one included."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rimlock' AND datname = current_database()"
    )
    for _ in range(100):
        found = await database.read(lambda tx: tx.value(query))
        if found == 1:
            break
        await asyncio.sleep(0.02)
    return found
