"""Guessing is stopped by address, by account and by both, and nobody learns more than that."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import count

import httpx2
import pytest
from sqlalchemy import func, select

from features.password.office import ANN, GOOD, SECRET, CountingHasher, bearer, installed, of_kind, visiting
from limiting.counters import NOW, counting, fail
from rimlock.core.limits import AccountGuarded, AccountLockedOut, AccountUnlocked, LoginThrottled, TooManyAttempts
from rimlock.core.limits_naming import UNKNOWN_TOTALS, LimitRules, Naming
from rimlock.core.schema import limit as table
from rimlock.crypto.secret import RootSecret
from rimlock.features.admin import logic
from rimlock.testing.counting import count_statements

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13")]
PLACES = count(1)


def new_address():
    """Return an IPv4 address nobody came from yet."""
    number = next(PLACES)
    return f"198.{18 + number // 65_536}.{number // 256 % 256}.{number % 256}"


async def guess(app, login="ann@example.com", password="wrong", *, address=None, path="/auth/login", **more):
    """Try to sign in from an address, a new one unless given."""
    transport = httpx2.ASGITransport(app=app, client=(address or new_address(), 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        if path == "/auth/token":
            return await client.post(path, data={"grant_type": "password", "username": login, "password": password})
        return await client.post(path, json={"login": login, "password": password, **more})


async def statuses(app, times, **given):
    """Return the statuses of as many guesses, one after the other."""
    return [(await guess(app, **given)).status_code for _ in range(times)]


@pytest.mark.asvs("6.3.1")
@pytest.mark.attack("password guessing from one address")
async def test_one_address_fails_five_times_a_minute_whatever_it_tries(database_url, clock):
    """Five accounts are tried once each; the sixth try is turned away before anything is hashed, for a minute."""
    hasher = CountingHasher()
    app, auth, events = installed(database_url, hasher=hasher, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        hasher.work.clear()
        found = [(await guess(app, f"user{n}", address="192.0.2.1")).status_code for n in range(5)]
        assert found == [401] * 5
        answer = await guess(app, password=GOOD, address="192.0.2.1")
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (
            429,
            "too_many_attempts",
            "60",
        )
        assert len(hasher.work) == 5
        assert (await guess(app, password=GOOD)).status_code == 200
        clock.advance(60)
        assert (await guess(app, password=GOOD, address="192.0.2.1")).status_code == 200
        told = [(event.action, event.limit, event.address) for event in of_kind(events, LoginThrottled)]
        assert told == [("sign-in", "address", "192.0.2.1")]


@pytest.mark.asvs("6.3.1")
@pytest.mark.attack("password guessing from many addresses")
async def test_one_account_is_tried_five_times_a_minute_from_wherever(database_url, clock):
    """Ten addresses try one account: five are tested. A minute later five more."""
    app, auth, _ = installed(database_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        assert await statuses(app, 10) == [401] * 5 + [429] * 5
        clock.advance(60)
        assert await statuses(app, 10) == [401] * 5 + [429] * 5


async def test_five_failures_in_a_row_lock_an_address_out_of_an_account_for_a_quarter_of_an_hour(database_url, clock):
    """Slow guesses too, and the right password does not help; other addresses and other accounts go on."""
    app, auth, events = installed(database_url, clock=clock)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        await client.post("/auth/register", json={"email": "bo@example.com", "password": GOOD})
        for _ in range(5):
            assert (await guess(app, address="192.0.2.1")).status_code == 401
            clock.advance(70)
        locked = await guess(app, password=GOOD, address="192.0.2.1")
        assert (locked.status_code, locked.headers["retry-after"]) == (429, str(900 - 70))
        assert (await guess(app, password=GOOD)).status_code == 200
        assert (await guess(app, "bo@example.com", GOOD, address="192.0.2.1")).status_code == 200
        clock.advance(900 - 70)
        assert (await guess(app, password=GOOD, address="192.0.2.1")).status_code == 200
        told = [(event.limit, event.user_id, event.address) for event in of_kind(events, AccountLockedOut)]
        assert told == [("pair", user_id, "192.0.2.1")]


@pytest.mark.attack("limit cleared by own success")
async def test_a_success_clears_the_own_account_and_not_the_address(database_url, clock):
    """An attacker who signs in to an account of their own in between gets no further guess at somebody else's."""
    app, auth, _ = installed(database_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        await client.post("/auth/register", json={"email": "mallory@example.com", "password": GOOD})
        found = []
        for _ in range(8):
            found.append((await guess(app, address="192.0.2.1")).status_code)
            await guess(app, "mallory@example.com", GOOD, address="192.0.2.1")
        assert found == [401] * 5 + [429] * 3


async def test_four_mistakes_and_a_success_begin_anew(database_url, clock):
    """Somebody who mistypes now and then is never locked out."""
    app, auth, _ = installed(database_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        for _ in range(3):
            assert await statuses(app, 4, address="192.0.2.1") == [401] * 4
            assert (await guess(app, password=GOOD, address="192.0.2.1")).status_code == 200
            clock.advance(61)


SPELLINGS = ["ann@example.com", "ANN@Example.COM", "Ann", "ann", "ａｎｎ", "ann@EXAMPLE.com"]


@pytest.mark.attack("limit evasion by spelling")
async def test_every_spelling_of_an_account_is_one_account(database_url):
    """Case, width, username or address: the sixth try is turned away, whichever it is."""
    app, auth, _ = installed(database_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        found = [(await guess(app, spelling)).status_code for spelling in SPELLINGS]
        assert found == [401] * 5 + [429]


@pytest.mark.attack("limit evasion by spelling")
@pytest.mark.parametrize("login", ["nobody", "Nobody", "nobody ", " nobody", "ｎobody", "NOBODY"])
async def test_every_spelling_of_no_account_is_one_too(sqlite_url, login):
    """Otherwise the number of guesses would tell which names exist."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth):
        assert await statuses(app, 5, login="nobody") == [401] * 5
        assert (await guess(app, login)).status_code == 429


@pytest.mark.attack("limit evasion by path")
@pytest.mark.parametrize("path", ["/auth/token", "/auth//login", "/auth/login/", "/AUTH/login", "/auth/%6cogin"])
async def test_the_way_taken_makes_no_difference(sqlite_url, path):
    """A second spelling of the path reaches no route or the same counters; the password grant has the same."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        assert await statuses(app, 5, address="192.0.2.1") == [401] * 5
        answer = await guess(app, password=GOOD, address="192.0.2.1", path=path)
        assert answer.status_code in ({429} if path in {"/auth/token", "/auth/%6cogin"} else {404, 405, 307, 429})


def shown(answer):
    """Return everything a stranger sees."""
    return answer.status_code, answer.content, sorted(answer.headers.items())


@pytest.mark.asvs("6.3.8")
@pytest.mark.attack("account enumeration by limits")
async def test_the_database_is_asked_as_often_for_an_account_that_does_not_exist(database_url, clock):
    """Tested or turned away: one statement more would be time that can be measured as often as one likes."""
    app, auth, _ = installed(database_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        asked = {}
        for login in ("ann@example.com", "eve@example.com"):
            clock.advance(60)
            found = []
            for _ in range(8):
                with count_statements(auth) as statements:
                    await guess(app, login)
                found.append(statements.count)
            asked[login] = min(found[:5]), min(found[5:])  # what is written behind an answer only adds
        assert asked["ann@example.com"] == asked["eve@example.com"]


@pytest.mark.asvs("6.3.8")
@pytest.mark.attack("account enumeration by limits")
async def test_an_account_that_does_not_exist_answers_like_one_that_does(database_url, clock):
    """By the limit of the account, of the address, of both, and after a hundred failures: the same bytes and work."""
    hasher = CountingHasher()
    app, auth, _ = installed(database_url, clock=clock, hasher=hasher, failures_in_all=12)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        seen = {}
        for login in ("ann@example.com", "eve@example.com"):
            hasher.work.clear()
            answers = []
            for _ in range(3):
                answers += [await guess(app, login) for _ in range(7)]
                clock.advance(60)
            answers += [await guess(app, login, address=f"2001:db8:{len(login):x}::1") for _ in range(2)]
            seen[login] = [shown(answer) for answer in answers], list(hasher.work)
        assert seen["ann@example.com"] == seen["eve@example.com"]
        found = [answer[0] for answer in seen["ann@example.com"][0]]
        assert found == [401] * 5 + [429] * 2 + [401] * 5 + [429] * 2 + [401] * 2 + [429] * 7


async def test_a_hundred_failures_leave_the_account_to_known_devices_until_one_signs_in(sqlite_url, clock):
    """As NIST SP 800-63B-4 wants it; the owner's success opens the account for everybody again."""
    app, auth, events = installed(sqlite_url, clock=clock)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        device = (await guess(app, password=GOOD)).json()["device_token"]
        found = []
        for _ in range(21):
            found += await statuses(app, 5)
            clock.advance(61)
        assert found == [401] * 100 + [429] * 5
        assert [event.user_id for event in of_kind(events, AccountGuarded)] == [user_id]
        clock.advance(timedelta(days=30))
        closed = await guess(app, password=GOOD)
        assert (closed.status_code, closed.json()["code"]) == (429, "too_many_attempts")
        assert (await guess(app, password=GOOD, device=device)).status_code == 200
        assert (await guess(app, password=GOOD)).status_code == 200


@pytest.mark.parametrize("shared", [False, True])
async def test_an_administrator_lifts_every_limit_of_an_account(sqlite_url, redis_url, clock, shared):
    """The rate, the lock and the guard of a hundred; not the limit of the address."""
    given = {"limits_url": redis_url} if shared else {}
    app, auth, events = installed(sqlite_url, clock=clock, failures_in_all=5, **given)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        assert await statuses(app, 6, address="192.0.2.1") == [401] * 5 + [429]
        assert (await guess(app, password=GOOD)).status_code == 429
        await logic.unlock(auth.context, user_id, by=None)
        assert (await guess(app, password=GOOD, address="192.0.2.1")).status_code == 429
        assert (await guess(app, password=GOOD)).status_code == 200
        assert [event.user_id for event in of_kind(events, AccountUnlocked)] == [user_id]


@pytest.mark.asvs("2.4.1")
async def test_a_flood_of_made_up_logins_leaves_few_rows(sqlite_url, clock):
    """Who is turned away leaves nothing; what failed is forgotten, and the endless counters are a fixed number."""
    app, auth, _ = installed(sqlite_url, clock=clock)
    counted = select(func.count()).select_from(table)
    async with visiting(app, auth) as client:
        await client.get("/auth/registration")
        await asyncio.gather(*(guess(app, f"made-up-{n}", address="192.0.2.1") for n in range(60)))
        after_one_address = await auth.database.read(lambda tx: tx.value(counted))
        assert after_one_address == 1 + 3 * 5
        for n in range(40):
            await guess(app, f"made-up-{n}", address=f"2001:db8:0:{n:x}::1")
        clock.advance(timedelta(hours=1))
        await auth.database.write(auth.context.limits.forget_expired)
        rows = await auth.database.read(lambda tx: tx.all(select(table.c.key)))
        assert {row["key"].partition("@")[0] for row in rows} == {"total"}
        assert all(int(row["key"].removeprefix("total@slot")) < UNKNOWN_TOTALS for row in rows)


@pytest.mark.asvs("2.4.1")
async def test_signing_in_again_and_again_leaves_no_rows(sqlite_url, clock):
    """Every new device and every new session would be a row for ever, for whoever has one account."""
    app, auth, _ = installed(sqlite_url, clock=clock)
    counted = select(func.count()).select_from(table)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        for _ in range(3):
            device = (await guess(app, password=GOOD)).json()["device_token"]
            await guess(app, password=GOOD, device=device)
        clock.advance(61)
        await auth.database.write(auth.context.limits.forget_expired)
        assert await auth.database.read(lambda tx: tx.value(counted)) == 1  # of the registration, for an hour


@pytest.mark.asvs("2.4.1")
async def test_what_a_session_or_a_device_failed_is_forgotten_when_that_is_over(sqlite_url, clock):
    """Nobody comes with it any more; what is left is one row for the account."""
    app, auth, _ = installed(sqlite_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        for _ in range(3):
            signed_in = await guess(app, password=GOOD)
            await guess(app, device=signed_in.json()["device_token"])
            wrong = {"new_email": "bo@example.com", "password": "wrong"}
            await client.post("/auth/email", json=wrong, headers=bearer(signed_in))
        clock.advance(timedelta(days=180))
        await auth.database.write(auth.context.limits.forget_expired)
        rows = await auth.database.read(lambda tx: tx.all(select(table.c.key)))
        assert {row["key"].partition("@")[0] for row in rows} == {"total"}
        assert len(rows) == 1


async def test_names_that_share_a_row_are_not_refused_for_each_other_for_ever(counters_url):
    """Failures of years would close all rows of names that do not exist, and tell those from accounts."""
    rules = LimitRules(rate=5, lock_after=5, lock_seconds=900, in_all=12, visits=100, kept_seconds=1)
    named = Naming(rules, RootSecret([SECRET])).stranger("192.0.2.1", None, "nobody")
    shared = next(bucket for bucket in named if bucket.kind == "total")
    async with counting(counters_url) as counters:
        for day in range(12):
            await fail(counters, shared, at=NOW + day * 86_400)
        assert (await counters.take([shared], NOW + 300 * 86_400)).retry_after == 900
        assert await counters.take([shared], NOW + 366 * 86_400) is None


async def test_limits_tell_no_secret_and_no_name(sqlite_url, redis_url):
    """Neither the events nor the table hold what was typed; the table does not even say where it came from."""
    app, auth, events = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        for _ in range(7):
            await guess(app, "hunter2-typed-as-login", "hunter2", address="192.0.2.77")
            await guess(app, "ann@example.com", "hunter2", address="192.0.2.78")
        rows = await auth.database.read(lambda tx: [dict(row) for row in tx.all(select(table))])
        told = [event for event in events if isinstance(event, (LoginThrottled, AccountLockedOut))]
        assert told
        assert "hunter2" not in repr(told) + repr(rows)
        assert not any(word in repr(rows) for word in ("ann", "192.0.2"))


async def test_the_refusal_says_when_to_come_back_and_nothing_else(sqlite_url):
    """One body for every limit."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth):
        by_address = [await guess(app, f"user{n}", address="192.0.2.1") for n in range(6)][-1]
        by_account = [await guess(app, "bo") for _ in range(6)][-1]
        assert by_address.content == by_account.content
        assert by_address.json()["detail"] == TooManyAttempts.title
