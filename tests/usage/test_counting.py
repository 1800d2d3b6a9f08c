"""Who calls what, counted: every kind of request, once each, bounded, and never in the way of the request."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from access.host import KEY, KINDS, Keys, ask, bearer, change, every_kind_of_route, fitted
from rimlock import Feature, Requirement, Rule, Stage
from rimlock.core import usage
from rimlock.core.errors import Unavailable
from rimlock.core.usage import DAY, MOST, MOST_OF_STRANGERS, RESERVE, Key, Usage
from rimlock.testing import count_statements, sign_in

pytestmark = pytest.mark.req("L3")

NOON = 1_790_000_000 // DAY * DAY + DAY // 2


def key(path="/x", client="curl", which="", outcome="allowed", stage="open"):
    """Return a key of one caller."""
    return Key("GET", path, "key" if which else "none", which, stage, outcome, client)


def taken(counts):
    """Cut, and settle as if everything were written; return the rows."""
    rows = []
    counts.cut()
    for batch in counts.batches():
        rows += batch.rows
        counts.settle(batch)
    return rows


def counted(auth, client):
    """Write what waits and return every row by route, credential, key, stage and outcome."""
    client.portal.call(auth.flush)
    rows = client.portal.call(auth.database.read, usage.seen)
    return {
        (f"{one.method} {one.path}", one.credential, one.credential_id, one.stage, one.outcome): one.requests
        for one in rows
    }


def requests(auth, client):
    """Return how many requests are on record."""
    return sum(counted(auth, client).values())


# --- what is counted


@pytest.mark.parametrize("stage", list(Stage))
def test_every_kind_of_route_and_caller_is_counted_once_at_every_stage(tmp_path, database_url, stage):
    """HTTP, mounted, file and WebSocket routes; nobody, a token, a key and a bad key; refused or let through."""
    app = every_kind_of_route(tmp_path)
    auth = fitted(app, database_url, features=[Keys()], default_stage=stage)
    with TestClient(app, headers={"User-Agent": "lab-desktop/1.4"}) as client:
        visitor = sign_in(auth, client)
        for sent in ({}, visitor.headers, {"X-API-Key": KEY}, {"X-API-Key": "guessed"}):
            for path in KINDS:
                ask(client, path, sent)
        found = counted(auth, client)
        families = {one.client for one in client.portal.call(auth.database.read, usage.seen)}
    for route in ("GET /sync", "GET /async", "GET /sub/route", "MOUNT /files", "WS /live"):
        assert {place[1:]: count for place, count in found.items() if place[0] == route} == {
            ("none", "", stage.value, "credential_missing"): 1,
            ("token", "", stage.value, "allowed"): 1,
            ("key", "k1", stage.value, "allowed"): 1,
            ("none", "", stage.value, "credential_invalid"): 1,
        }
    assert "lab-desktop" in families


def test_an_open_route_is_counted_by_what_its_rule_would_demand(sqlite_url):
    """Before a route is turned, it is known who lacks the role, and not only who lacks a credential."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    lab = Requirement(any_role=frozenset({"lab"}))
    auth = fitted(app, sqlite_url, rules=[Rule(pattern="/x", stage=Stage.OPEN, requirement=lab)])
    with TestClient(app) as client:
        with_role, without = sign_in(auth, client, roles=["lab"]), sign_in(auth, client, email="b@example.com")
        for visitor in (with_role, without, without):
            assert client.get("/x", headers=visitor.headers).status_code == 200
        found = counted(auth, client)
    assert found["GET /x", "token", "", "open", "allowed"] == 1
    assert found["GET /x", "token", "", "open", "permission_missing"] == 2


def test_counts_of_one_day_are_added_to_those_of_the_same_day(database_url, clock):
    """Two flushes make one row; the next day makes another; first and last time are those of the day."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    auth = fitted(app, database_url, clock=clock)
    with TestClient(app) as client:
        began = int(clock())
        for _ in range(3):
            client.get("/x")
            client.portal.call(auth.flush)
            clock.advance(10)
        clock.advance(DAY)
        client.get("/x")
        client.portal.call(auth.flush)
        rows = client.portal.call(auth.database.read, usage.seen)
    assert [(one.day, one.requests) for one in rows] == [(began // DAY + 1, 1), (began // DAY, 3)]
    assert (rows[1].first_seen, rows[1].last_seen) == (began, began + 20)


def test_a_partial_rule_is_counted_under_the_stage_that_held_for_the_caller(sqlite_url):
    """Those it refuses are counted as required, the others as what held before."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    rules = [Rule(pattern="/x", stage=Stage.OBSERVE), Rule(pattern="GET /x", stage=Stage.REQUIRED, percent=50)]
    auth = fitted(app, sqlite_url, rules=rules)
    with TestClient(app) as client:
        answers = [client.get("/x", headers={"User-Agent": f"a{n}"}).status_code for n in range(60)]
        found = counted(auth, client)
    assert {200, 401} == set(answers)
    assert found["GET /x", "none", "", "required", "credential_missing"] == answers.count(401)
    assert found["GET /x", "none", "", "observe", "credential_missing"] == answers.count(200)


def test_switched_off_nothing_is_counted(sqlite_url):
    """With `usage=False` no row is written, and an open route is not even looked at."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    auth = fitted(app, sqlite_url, usage=False)
    with TestClient(app) as client:
        client.get("/x")
        assert counted(auth, client) == {}


# --- in nobody's way


class Breaking(Feature):
    """Watches, and fails at it."""

    name = "breaking"

    def watcher(self, context):
        def watch(_key):
            raise RuntimeError("a watcher that fails")

        return watch


@pytest.mark.parametrize("stage", list(Stage))
def test_a_failure_in_counting_changes_no_answer(sqlite_url, caplog, stage):
    """Whatever fails while a request is counted is logged by its type, and the request goes its way."""
    app = FastAPI()
    app.get("/x")(lambda: "as before")
    auth = fitted(app, sqlite_url, features=[Breaking()], default_stage=stage)
    with TestClient(app) as client, caplog.at_level(logging.ERROR, "rimlock.gate"):
        visitor = sign_in(auth, client)
        for _ in range(3):
            answer = client.get("/x", headers=visitor.headers)
            assert (answer.status_code, answer.json()) == (200, "as before")
        assert client.get("/x").status_code == (401 if stage is Stage.REQUIRED else 200)
    assert "RuntimeError" in caplog.text
    assert "a watcher that fails" not in caplog.text


class Slow(Feature):
    """Reads a header by asking for a long time, as a key table that hangs does."""

    name = "slow"

    def __init__(self):
        self.asked = 0
        self.most = 0
        self.go_on = asyncio.Event()

    def readers(self, context):
        return [self]

    headers = frozenset({b"x-slow"})

    def read(self, scope, now):
        return self._ask() if any(name == b"x-slow" for name, _ in scope["headers"]) else None

    async def _ask(self):
        self.asked += 1
        self.most = max(self.most, self.asked)
        try:
            await self.go_on.wait()
        finally:
            self.asked -= 1


def test_an_open_route_waits_for_no_look_up_and_few_are_under_way(sqlite_url):
    """While every look-up hangs, each request is answered; at most 32 look-ups wait; at the stop all are counted."""
    app, slow = FastAPI(), Slow()
    app.get("/x")(lambda: "as before")
    auth = fitted(app, sqlite_url, features=[slow])
    with TestClient(app) as client:
        with count_statements(auth) as statements:
            for number in range(100):
                assert client.get("/x", headers={"X-Slow": str(number)}).json() == "as before"
        assert statements.count == 0
        assert slow.most == 32
        client.portal.call(slow.go_on.set)
    with TestClient(app) as client:
        assert requests(auth, client) == 100


def test_a_partial_rule_over_an_open_one_lets_through_when_nobody_can_say_who_asks(postgres_url):
    """A route that is open to some answers them as before while the keys cannot be read."""

    class Away(Feature):
        name = "away"
        headers = frozenset({b"x-key"})

        def readers(self, context):
            return [self]

        def read(self, scope, now):
            return self._ask() if any(name == b"x-key" for name, _ in scope["headers"]) else None

        async def _ask(self):
            raise Unavailable

    for under, status in ((Stage.OPEN, 200), (Stage.OPTIONAL, 503)):
        app = FastAPI()
        app.get("/x")(lambda: 1)
        rules = [Rule(pattern="/**", stage=under), Rule(pattern="/x", stage=Stage.REQUIRED, percent=50)]
        fitted(app, postgres_url, features=[Away()], rules=rules)
        with TestClient(app) as client:
            answers = {client.get("/x", headers={"X-Key": "k", "User-Agent": str(n)}).status_code for n in range(20)}
        assert answers == {status}


# --- bounded


@pytest.mark.attack("usage flood")
def test_a_stranger_fills_neither_the_memory_nor_the_table(sqlite_url):
    """Invented paths, methods, agents, keys and tokens: a handful of rows, and every request in them."""
    app = FastAPI()
    app.get("/x/{number}")(lambda number: number)
    app.mount("/files", FastAPI())
    auth = fitted(app, sqlite_url, features=[Keys()])
    dice = Random(4)
    with TestClient(app) as client:
        for number in range(1_500):
            sent = {"User-Agent": f"agent-{number}/{dice.random()}" + "x" * dice.choice([0, 5_000])}
            sent |= dice.choice([{}, {"X-API-Key": f"guess-{number}"}, bearer(f"a.b.{number}")])
            method = dice.choice(["GET", "POST", "PROPFIND", f"BREW{number}"])
            client.request(
                method, dice.choice([f"/x/{number}", f"/nothing/{number}", f"/files/{number}"]), headers=sent
            )
        waiting = len(auth.context.usage)
        rows = client.portal.call(lambda: _flushed(auth))
    assert waiting < 60
    assert len(rows) < 60
    assert sum(one.requests for one in rows) == 1_500
    assert {one.client for one in rows} == {"other"}
    assert {one.method for one in rows} <= {"GET", "*", "MOUNT"}


async def _flushed(auth):
    await auth.flush()
    return await auth.database.read(usage.seen)


def test_more_different_counts_than_are_kept_are_put_together():
    """Beyond the limit the client goes first, then the route; strangers reach theirs sooner; nothing is lost."""
    counts = Usage()
    for number in range(MOST_OF_STRANGERS + RESERVE + 500):
        counts.count(counts.tally(key(f"/{number}"), stranger=True), NOON)
    assert len(counts) <= MOST_OF_STRANGERS + RESERVE + 1
    for number in range(MOST + RESERVE + 500):
        counts.count(counts.tally(key(f"/{number}", which=f"k{number}"), "name", stranger=False), NOON)
    assert len(counts) <= MOST + RESERVE + 2
    rows = taken(counts)
    assert sum(one.requests for one in rows) == MOST_OF_STRANGERS + MOST + 2 * RESERVE + 1_000
    folded = [one for one in rows if (one.method, one.path) == ("*", "other")]
    assert {one.credential for one in folded} == {"none", "key"}
    assert {(one.credential_id, one.label) for one in folded} == {("", "")}


def test_a_database_that_is_away_for_days_does_not_fill_the_memory():
    """Counts of many days are kept, up to a bound; beyond it without their route."""
    counts, days = Usage(), 12
    tallies = [counts.tally(key(f"/{number}", which="k"), stranger=False) for number in range(2_000)]
    for day in range(days):
        for tally in tallies:
            counts.count(tally, NOON + day * DAY)
    assert len(counts) <= MOST + RESERVE + 2_000 + days
    rows = taken(counts)
    assert sum(one.requests for one in rows) == 2_000 * days
    assert {one.day for one in rows} == {NOON // DAY + day for day in range(days)}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3 * DAY), st.sampled_from(["count", "cut", "settle"]))))
def test_whatever_the_order_every_request_is_in_exactly_one_batch(steps):
    """Counting, cutting and settling in any order, over several days: the sums agree, also those of the totals."""
    counts, expected, written, now = Usage(), 0, 0, NOON
    for number, later, step in steps:
        now += later
        if step == "count":
            counts.count(counts.tally(key(f"/{number}"), stranger=True), now)
            expected += 1
        elif step == "cut":
            counts.cut()
        else:
            for batch in list(counts._batches)[:1]:  # noqa: SLF001 - the first of them
                written += sum(one.requests for one in batch.rows)
                counts.settle(batch)
                counts.settle(batch)
    written += sum(one.requests for one in taken(counts)) + sum(one.requests for one in taken(counts))
    assert written == expected == sum(counts.totals().values())
    assert len(counts) == 0


# --- neither lost nor doubled


def test_a_batch_that_is_tried_again_is_counted_once(database_url):
    """Nobody heard that the first write succeeded; the second changes nothing, and the next batch counts."""
    app = FastAPI()
    auth = fitted(app, database_url)
    counts = Usage()
    with TestClient(app) as client:
        for path in ("/a", "/a", "/b"):
            counts.count(counts.tally(key(path), stranger=True), NOON)
            counts.cut()
            for batch in counts.batches():
                change(auth, client, lambda tx, batch=batch: usage.write_batch(tx, batch, NOON))
                change(auth, client, lambda tx, batch=batch: usage.write_batch(tx, batch, NOON))
                counts.settle(batch)
        rows = client.portal.call(auth.database.read, usage.seen)
    assert {one.path: one.requests for one in rows} == {"/a": 2, "/b": 1}


def test_while_the_table_is_away_counts_wait_and_are_written_once(database_url):
    """Flushes that fail lose nothing and double nothing; the counts are in the table when it is back."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    auth = fitted(app, database_url)
    with TestClient(app) as client:
        rename = lambda was, now: change(
            auth, client, lambda tx: tx.connection.execute(text(f"ALTER TABLE {was} RENAME TO {now}")) and None
        )
        client.get("/x")
        rename("auth_usage", "auth_elsewhere")
        for _ in range(3):
            assert client.get("/x").status_code == 200
            with pytest.raises(Unavailable):
                client.portal.call(auth.flush)
        rename("auth_elsewhere", "auth_usage")
        client.get("/x")
        assert requests(auth, client) == 5
        assert len(auth.context.usage) == 0


@pytest.mark.anyio
async def test_a_flush_that_is_cancelled_at_any_moment_loses_and_doubles_nothing(database_url):
    """Whether the database had taken the batch or not, the next flush makes the sum right."""
    app = FastAPI()
    auth = fitted(app, database_url)
    await auth.start()
    counts, now = auth.context.usage, auth.context.now()
    # The driver complains to the loop of a connection that is given up while it is being made; that is expected here.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for turn in range(40):
        for path in ("/a", "/b"):
            counts.count(counts.tally(key(path), stranger=True), now)
        flushing = asyncio.ensure_future(auth.flush())
        for _ in range(turn % 8):
            await asyncio.sleep(0)
        if turn % 3 == 0:
            await asyncio.sleep(0.002 * (turn % 5))
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)
    await asyncio.gather(*(auth.flush() for _ in range(5)))
    rows = await auth.database.read(usage.seen)
    await auth.stop()
    assert {one.path: one.requests for one in rows} == {"/a": 40, "/b": 40}


@pytest.mark.req("N8")
def test_two_installations_add_up(database_url):
    """What two processes count of one route on one day is one row."""
    here, there = FastAPI(), FastAPI()
    for app in (here, there):
        app.get("/x")(lambda: 1)
    first, _ = fitted(here, database_url), fitted(there, database_url)
    with TestClient(here) as one:
        with TestClient(there) as two:
            for _ in range(5):
                one.get("/x")
                two.get("/x")
        assert counted(first, one) == {("GET /x", "none", "", "open", "credential_missing"): 10}
