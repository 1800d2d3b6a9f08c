"""A change and its row are kept together or not at all: with failures, with many at once, and with a killed server."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, text

from audit.office import ANN, GOOD, bearer, fitted, rows, rows_of
from faults.test_kill import Server
from rimlock.core import audit
from rimlock.core.engines import open_database
from rimlock.core.schema import session
from rimlock.testing import FrozenClock, sign_in

pytestmark = pytest.mark.req("T4")


@pytest.mark.asvs("16.5.3", "2.3.3")
def test_what_cannot_be_recorded_does_not_happen(database_url):
    """When the row fails, in any way, the change is undone, the caller gets 503, and nobody is told of it."""
    app, auth, events = fitted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        headers = bearer(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        kept, before = len(events), len(rows(client, auth))
        writing, auth.database.record = auth.database.record, _broken
        answers = [
            client.post("/auth/login", json={"login": "ann", "password": GOOD}),
            client.post("/auth/login", json={"login": "ann", "password": "something else entirely"}),
            client.post("/auth/api-keys", json={"name": "robot"}, headers=headers),
            client.patch("/auth/me", json={"display_name": "Eve"}, headers=headers),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "unavailable")] * 4
        auth.database.record = writing
        assert len(events) == kept
        assert len(rows(client, auth)) == before
        assert len(client.get("/auth/sessions", headers=headers).json()["items"]) == 1
        assert client.get("/auth/api-keys", headers=headers).json()["items"] == []
        assert client.get("/auth/me", headers=headers).json()["display_name"] == ""


def _broken(tx):
    tx.one(text("SELECT 1"))
    raise RuntimeError("the disk is full")


@pytest.mark.asvs("16.5.2")
def test_a_missing_table_undoes_the_change(database_url):
    """The same with the database's own failure: the table is not there, and nobody is signed in."""
    app, auth, _ = fitted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        client.portal.call(auth.database.write, lambda tx: tx.change(text("ALTER TABLE auth_audit RENAME TO gone")))
        answer = client.post("/auth/login", json={"login": "ann", "password": GOOD})
        assert answer.status_code == 503
        count = client.portal.call(auth.database.read, lambda tx: len(tx.all(select(session))))
    assert count == 0


@pytest.mark.attack("race")
def test_a_hundred_sign_ins_at_once_leave_a_hundred_rows(database_url):
    """Each simultaneous sign-in has its own row."""
    app, auth, _ = fitted(database_url)

    async def storm():
        from rimlock.testing import sign_in_async

        return await asyncio.gather(*(sign_in_async(auth, email=f"user{number}@example.com") for number in range(100)))

    with TestClient(app) as client:
        visitors = client.portal.call(storm)
        found = rows(client, auth, event="SessionStarted")
    assert len(found) == 100
    assert {row.facts["session_id"] for row in found} == {one.session_id for one in visitors}
    assert len({row.id for row in found}) == 100


@pytest.mark.req("L6")
def test_a_killed_server_leaves_no_session_without_its_row(database_url):
    """Killed again and again while people sign in: the sessions of the table and those of the audit are the same."""
    server, dice = Server(database_url), random.Random(5)
    stopping = threading.Event()

    def enter(number):
        while not stopping.is_set():
            server.post(f"/enter/user{number}")

    server.start()
    server.post("/enter/first")
    clients = [threading.Thread(target=enter, args=(number,), daemon=True) for number in range(4)]
    for client in clients:
        client.start()
    try:
        for _ in range(5):
            time.sleep(0.05 + dice.random() * 0.1)
            server.kill()
            server.start()
            server.post("/enter/first")
    finally:
        stopping.set()
        for client in clients:
            client.join(40)
        server.kill()
    started = {row["facts"]["session_id"] for row in rows_of(database_url) if row["event"] == "SessionStarted"}
    assert started == set(_sessions(database_url))
    assert len(started) > 10


def _sessions(url):
    async def read():
        database = open_database(url, lambda _: None)
        found = await database.read(lambda tx: [row["id"] for row in tx.all(select(session.c.id))])
        await database.close()
        return found

    return asyncio.run(read())


@pytest.mark.asvs("16.4.2", "14.2.7")
def test_only_what_reached_its_time_is_forgotten_and_that_is_written_down(database_url):
    """After the kept time rows go, batch by batch, and a row says how many; younger ones stay."""
    clock = FrozenClock()
    app, auth, _ = fitted(database_url, clock=clock)
    entries = [audit.Entry(at=int(clock()), event="Old", outcome="ok", actor="", subject="", address="", agent="")]
    with TestClient(app) as client:

        def fill(tx):
            tx.change(insert(audit.table), [audit.written(one) for one in entries * 2_500])

        client.portal.call(auth.database.write, fill)
        clock.advance(399 * 86_400)
        sign_in(auth, client, email="ann@example.com")
        before = len(rows(client, auth))
        client.portal.call(auth._tidy)  # noqa: SLF001 - what a server does by the hour
        young = rows(client, auth)
        assert len([row for row in young if row.event == "Old"]) == 2_500
        clock.advance(2 * 86_400)
        client.portal.call(auth._tidy)  # noqa: SLF001 - what a server does by the hour
        found = rows(client, auth)
    assert before > 2_500
    assert [row for row in found if row.event == "Old"] == []
    forgotten = [row.facts["rows"] for row in found if row.event == "AuditForgotten"]
    assert sum(forgotten) >= 2_500
    assert max(forgotten) <= audit.FORGET_AT_ONCE
    assert [row.event for row in found if row.event == "SessionStarted"] == ["SessionStarted"]


def test_a_refresh_stays_one_statement_and_a_change_costs_one_more(sqlite_url):
    """The audit adds one statement to a transaction that tells of something, and none to a refresh."""
    app, auth, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        visitor = sign_in(auth, client, email="ann@example.com")
        before = auth.database.executed
        answer = client.post("/auth/refresh", json={"refresh_token": visitor.refresh_token})
        assert answer.status_code == 200
        assert auth.database.executed - before == 1
        with_it = _statements(client, auth, visitor)
        auth.database.record = None
        assert _statements(client, auth, visitor) == with_it - 1


def _statements(client, auth, visitor):
    before = auth.database.executed
    client.patch("/auth/me", json={"display_name": "Ann"}, headers=visitor.headers)
    return auth.database.executed - before
