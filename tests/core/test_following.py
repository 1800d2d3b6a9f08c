"""What is revoked in one process is known in every other one, and what a process does that cannot know."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from core.wire import Wire, until
from rimlock import CurrentPrincipal, Rimlock, Settings
from rimlock.core import accounts
from rimlock.features.sessions import SessionsFeature
from rimlock.features.status import StatusFeature
from rimlock.testing import sign_in

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
LONG, SHORT = timedelta(hours=1), timedelta(milliseconds=50)
SELDOM = {"poll_interval": LONG, "max_staleness": LONG}
WAYS = {
    "polling": {"listen": False},
    "listen": {**SELDOM, "listen": True},
    "bell": {**SELDOM, "listen": False},
}


def process(url, **settings):
    """Return an installation and a client of its app; each client in its `with` runs an event loop of its own."""
    chosen = {"secrets": [SECRET], "database": url, "create_tables": True, **settings}
    auth = Rimlock(Settings(**chosen), features=[SessionsFeature(), StatusFeature()])
    app = FastAPI()

    @app.get("/mine")
    def mine(principal: CurrentPrincipal):
        return principal.subject

    @app.get("/open")
    def everybodys():
        return "open"

    auth.install(app)
    return auth, TestClient(app)


def status(client, visitor):
    """Ask for a route that needs a credential."""
    return client.get("/mine", headers=visitor.headers).status_code


def change_roles(auth, client, visitor):
    """Give the visitor other roles."""
    client.portal.call(
        lambda: auth.database.write(
            lambda tx: accounts.set_roles(tx, visitor.user.id, ["editor"], now=auth.context.now())
        )
    )


@pytest.mark.req("L5", "L8")
@pytest.mark.parametrize("way", WAYS)
def test_another_process_hears_within_a_second(postgres_url, redis_url, way):
    """A logout and a change of roles, by polling alone, by LISTEN alone, and by the bell alone."""
    settings = WAYS[way] | ({"redis_url": redis_url} if way == "bell" else {})
    here, client = process(postgres_url, **settings)
    with client:
        _, other = process(postgres_url, **settings)
        with other:
            leaving, promoted = sign_in(here, client), sign_in(here, client, email="bob@example.com")
            assert [status(other, leaving), status(other, promoted)] == [200, 200]
            assert client.post("/auth/logout", headers=leaving.headers).status_code == 204
            assert status(client, leaving) == 401
            assert until(lambda: status(other, leaving) == 401)
            change_roles(here, client, promoted)
            assert status(client, promoted) == 401
            assert until(lambda: status(other, promoted) == 401)


@pytest.mark.req("L5")
def test_on_one_file_the_next_request_knows(sqlite_url):
    """On SQLite nothing is polled for and nothing waited for."""
    here, client = process(sqlite_url)
    _, other = process(sqlite_url)
    with client, other:
        visitor = sign_in(here, client)
        assert status(other, visitor) == 200
        assert client.post("/auth/logout", headers=visitor.headers).status_code == 204
        assert status(other, visitor) == 401


def test_a_new_process_knows_what_was_revoked_before_it(database_url):
    """The journal is read to its end before the first request is judged."""
    here, client = process(database_url)
    with client:
        visitor = sign_in(here, client)
        client.post("/auth/logout", headers=visitor.headers)
        _, other = process(database_url)
        with other:
            assert status(other, visitor) == 401


def test_a_host_without_lifespan(database_url):
    """Each request of such a host's tests runs on another loop; none is refused for it, and all are told."""
    here, client = process(database_url, max_staleness=SHORT, poll_interval=LONG)
    visitor = sign_in(here)
    assert [status(client, visitor) for _ in range(3)] == [200, 200, 200]
    assert client.get("/auth/health").status_code == 200
    other, others = process(database_url)
    with others:
        change_roles(other, others, visitor)
    assert status(client, visitor) == 401


@pytest.mark.parametrize("on_stale", ["refuse", "ask"])
def test_without_its_database_nobody_is_let_in(postgres_url, on_stale):
    """Cut off, every guarded route answers 503 and open ones answer as ever; mended, all do, without a restart."""
    with Wire(postgres_url) as wire:
        settings = {"poll_interval": timedelta(milliseconds=100), "max_staleness": timedelta(milliseconds=300)}
        auth, client = process(wire.url, on_stale=on_stale, **settings)
        with client:
            visitor = sign_in(auth, client)
            assert until(lambda: status(client, visitor) == 200)
            wire.cut()
            assert until(lambda: status(client, visitor) == 503, 5)
            assert client.get("/open").status_code == 200
            assert client.get("/auth/health/live").status_code == 200
            sick = client.get("/auth/health")
            assert sick.status_code == 503
            assert sick.json()["parts"]["follower"]["status"] == "failed"
            assert client.post("/auth/refresh", json={"refresh_token": visitor.refresh_token}).status_code == 503
            wire.mend()
            assert until(lambda: status(client, visitor) == 200, 5)
            assert until(lambda: client.get("/auth/health").status_code == 200, 5)
            assert client.post("/auth/refresh", json={"refresh_token": visitor.refresh_token}).status_code == 200


def test_a_stale_process_asks_or_refuses(postgres_url):
    """With a memory too old to be trusted, `refuse` lets nobody in; `ask` reads on for each request, and so knows."""
    here, client = process(postgres_url)
    stale = {"max_staleness": timedelta(microseconds=1), "poll_interval": LONG, "listen": False}
    _, asking = process(postgres_url, on_stale="ask", **stale)
    _, refusing = process(postgres_url, on_stale="refuse", **stale)
    with client, asking, refusing:
        visitor = sign_in(here, client)
        assert until(lambda: status(refusing, visitor) == 503)
        assert [status(asking, visitor) for _ in range(3)] == [200, 200, 200]
        client.post("/auth/logout", headers=visitor.headers)
        assert status(asking, visitor) == 401
        assert status(refusing, visitor) == 503


def test_a_follower_outlives_what_its_listeners_do(postgres_url):
    """A failure while a line is taken in does not end the keeping up."""
    here, client = process(postgres_url)
    other, others = process(postgres_url)
    failures = []

    def fail(_):
        failures.append(1)
        raise RuntimeError

    with client, others:
        visitor, second = sign_in(here, client), sign_in(here, client, email="bob@example.com")
        other.context.revocations.on_change.setdefault("user", []).append(fail)
        change_roles(here, client, visitor)
        assert until(lambda: failures)
        other.context.revocations.on_change["user"].remove(fail)
        assert until(lambda: status(others, visitor) == 401, patience=10)
        client.post("/auth/logout", headers=second.headers)
        assert until(lambda: status(others, second) == 401, patience=10)


@pytest.mark.parametrize("on_stale", ["refuse", "ask"])
def test_a_broken_file_lets_nobody_in(sqlite_url, on_stale):
    """A database file that cannot be read is 503, not a guess; restored, it is read on without a restart."""
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    auth, client = process(sqlite_url, on_stale=on_stale)
    with client:
        visitor = sign_in(auth, client)
        connection = auth.database.connect()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole = file.read_bytes()
        connection.execute("UPDATE auth_user SET display_name = 'noticed'")
        with file.open("r+b") as broken:
            broken.write(b"\xff" * len(whole))
        assert status(client, visitor) == 503
        assert client.get("/auth/health").status_code == 503
        with file.open("r+b") as mended:
            mended.write(whole)
        assert status(client, visitor) == 200
        connection.close()
