"""Changing the password and the address: asked for again, once, and everything that rested on the old one ends."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.testclient import TestClient

from features.password.office import (
    ANN,
    BETTER,
    GOOD,
    CountingHasher,
    bearer,
    codes,
    installed,
    of_kind,
    visiting,
)
from rimlock.core import accounts, sessions
from rimlock.core.proving import PasswordRecheckFailed
from rimlock.core.sessions import SessionEnded
from rimlock.features.password.events import EmailChanged, PasswordChanged

THIRD = "thirteen odd teapots"
LOGIN = {"login": "ann", "password": GOOD}
CHANGE = {"current_password": GOOD, "new_password": BETTER}


@pytest.mark.req("L5")
def test_a_new_password_ends_every_other_session_and_every_old_token(database_url):
    """The present session goes on with the token of the answer; the other device and both old tokens are refused."""
    app, _auth, events = installed(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        here, there = (client.post("/auth/login", json=LOGIN) for _ in range(2))
        answer = client.post("/auth/password", json=CHANGE, headers=bearer(here))
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
        assert "set-cookie" not in answer.headers
        seen = client.get("/auth/me", headers=bearer(answer))
        assert (seen.status_code, seen.json()["session_id"]) == (200, here.json()["refresh_token"].split(".")[1])
        assert [client.get("/auth/me", headers=bearer(old)).status_code for old in (here, there)] == [401, 401]
        assert client.post("/auth/login", json=LOGIN).status_code == 401
        assert client.post("/auth/login", json={**LOGIN, "password": BETTER}).status_code == 200
    assert [(event.user_id, event.sessions_ended) for event in of_kind(events, PasswordChanged)] == [(user_id, 1)]
    ended = of_kind(events, SessionEnded)
    assert [(event.session_id, event.reason) for event in ended] == [
        (there.json()["refresh_token"].split(".")[1], "password")
    ]


def test_other_sessions_may_be_kept(database_url):
    """Kept sessions can be refreshed; their access tokens of before are worth nothing all the same."""
    app, _, events = installed(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        here, there = (client.post("/auth/login", json=LOGIN) for _ in range(2))
        sent = {**CHANGE, "keep_other_sessions": True}
        assert client.post("/auth/password", json=sent, headers=bearer(here)).status_code == 200
        assert client.get("/auth/me", headers=bearer(there)).status_code == 401
    assert of_kind(events, SessionEnded) == []


@pytest.mark.parametrize("password", ["x", "", "x" * 1025, "a\0b", BETTER])
def test_without_the_present_password_nothing_changes(database_url, password):
    """A token alone takes no account over: 403, an event, and the old password goes on."""
    app, _auth, events = installed(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        tokens = client.post("/auth/login", json=LOGIN)
        attempts = [
            ("/auth/password", {"current_password": password, "new_password": BETTER}),
            ("/auth/email", {"new_email": "eve@example.com", "password": password}),
        ]
        for path, sent in attempts:
            answer = client.post(path, json=sent, headers=bearer(tokens))
            assert (answer.status_code, answer.json()["code"]) == (403, "current_password_wrong")
        me = client.get("/auth/me", headers=bearer(tokens)).json()
        assert me["email"] == "ann@example.com"
        assert client.post("/auth/login", json=LOGIN).status_code == 200
    assert [event.user_id for event in of_kind(events, PasswordRecheckFailed)] == [user_id] * 2
    assert of_kind(events, PasswordChanged) + of_kind(events, EmailChanged) == []


@pytest.mark.req("L10")
@pytest.mark.parametrize(
    ("new", "reason", "work"),
    [
        ("tiny", "too_short", []),
        ("Rimlock", "too_short", []),
        ("ann@example.com", "context_word", []),
        (GOOD, "unchanged", ["verify"]),
    ],
)
def test_a_new_password_meets_the_policy_and_is_new(sqlite_url, new, reason, work):
    """What the policy refuses is refused before hashing, the password one has after it; the field is named."""
    hasher = CountingHasher()
    app, _, _ = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        tokens = client.post("/auth/login", json=LOGIN)
        hasher.work.clear()
        sent = {"current_password": GOOD, "new_password": new}
        answer = client.post("/auth/password", json=sent, headers=bearer(tokens))
        assert (answer.status_code, answer.json()["code"]) == (422, "password_refused")
        assert answer.json()["errors"][0]["name"] == "new_password"
        assert reason in codes(answer)
        assert hasher.work == work
        assert client.get("/auth/me", headers=bearer(tokens)).status_code == 200


@pytest.mark.parametrize("path", ["/auth/password", "/auth/email"])
def test_changes_need_an_access_token(sqlite_url, path):
    """Nobody, and somebody with a revoked or broken token, gets a challenge and nothing else."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        assert client.post(path, json=CHANGE).status_code == 401
        answer = client.post(path, json=CHANGE, headers={"Authorization": "Bearer a.b.c"})
        assert answer.status_code == 401
        assert "bearer" in answer.headers["www-authenticate"].lower()


@pytest.mark.anyio
@pytest.mark.attack("password change race")
async def test_of_simultaneous_changes_one_counts(database_url):
    """Ten changes from the same password: one is made, the others find it replaced, and nobody is locked out."""
    app, auth, events = installed(database_url)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        headers = bearer(await client.post("/auth/login", json=LOGIN))
        wanted = [f"{BETTER} number {count}" for count in range(10)]
        sent = [{"current_password": GOOD, "new_password": new} for new in wanted]
        answers = await asyncio.gather(*(client.post("/auth/password", json=one, headers=headers) for one in sent))
        taken = [new for new, answer in zip(wanted, answers, strict=True) if answer.status_code == 200]
        others = {answer.json()["code"] for answer in answers if answer.status_code != 200}
        assert len(taken) == 1
        assert others <= {"current_password_wrong", "credential_invalid"}
        answer = await client.post("/auth/login", json={"login": "ann", "password": taken[0]})
        assert answer.status_code == 200
        found = await auth.database.read(lambda tx: accounts.standing(tx, user_id))
    assert found.epoch == 1
    assert len(of_kind(events, PasswordChanged)) == 1


@pytest.mark.anyio
@pytest.mark.attack("deadlock")
async def test_changes_and_sign_ins_of_many_devices_never_wait_for_each_other(database_url):
    """While a password goes back and forth, sign-ins, profile edits and changes of address all end by themselves."""
    app, auth, _ = installed(database_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        headers = bearer(await client.post("/auth/login", json=LOGIN))
        login = [client.post("/auth/login", json=LOGIN) for _ in range(10)]
        edits = [client.patch("/auth/me", json={"profile": {str(n): n}}, headers=headers) for n in range(10)]
        mails = [
            client.post("/auth/email", json={"new_email": f"a{n}@example.com", "password": GOOD}, headers=headers)
            for n in range(5)
        ]
        changes = [client.post("/auth/password", json=CHANGE, headers=headers) for _ in range(5)]
        answers = await asyncio.gather(*login, *edits, *mails, *changes)
    assert {answer.status_code for answer in answers} <= {200, 401, 403}


@pytest.mark.anyio
@pytest.mark.attack("deadlock")
async def test_sign_outs_and_a_change_of_password_never_wait_for_each_other(database_url):
    """Every device signs out while the password and the roles change: each takes the journal before a row."""
    app, auth, events = installed(database_url)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        devices = [await client.post("/auth/login", json=LOGIN) for _ in range(16)]
        now, write = auth.context.now(), auth.database.write
        ids = [device.json()["refresh_token"].split(".")[1] for device in devices]
        ends = [write(lambda tx, one=one: sessions.end(tx, one, reason="logout", now=now)) for one in ids]
        roles = [write(lambda tx: accounts.set_roles(tx, user_id, ["editor"], now=now)) for _ in range(4)]

        def end_all(tx):
            sessions.end_all(tx, user_id, reason="logout_all", now=now)
            accounts.raise_epoch(tx, user_id, now=now)

        alls = [write(end_all) for _ in range(4)]
        hashed = await auth.context.passwords.hash(BETTER)
        change = write(lambda tx: accounts.set_password_hash(tx, user_id, hashed, now=now))
        mixed = [one for group in zip(ends[::4], roles, alls, ends[1::4], strict=True) for one in group]
        await asyncio.gather(*mixed, *ends[2::4], *ends[3::4], change)
        found = await auth.database.read(lambda tx: accounts.standing(tx, user_id))
    assert found.epoch == 9
    assert sorted(event.session_id for event in of_kind(events, SessionEnded)) == sorted(ids)


@pytest.mark.req("L11")
def test_a_new_address_is_unverified_and_signs_in(database_url):
    """The old address stops, the new one works, verification starts anew, and no event holds an address."""
    app, auth, events = installed(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        client.portal.call(
            auth.database.write,
            lambda tx: accounts.set_verified(tx, user_id, verified=True, now=auth.context.now()),
        )
        tokens = client.post("/auth/login", json=LOGIN)
        assert client.get("/auth/me", headers=bearer(tokens)).json()["verified"] is True
        sent = {"new_email": "Ann.New@EXAMPLE.com", "password": GOOD}
        answer = client.post("/auth/email", json=sent, headers=bearer(tokens))
        assert (answer.status_code, answer.json()["email"], answer.json()["verified"]) == (
            200,
            "Ann.New@example.com",
            False,
        )
        assert client.get("/auth/me", headers=bearer(tokens)).json()["verified"] is False
        assert client.post("/auth/login", json={**LOGIN, "login": "ann@example.com"}).status_code == 401
        assert client.post("/auth/login", json={**LOGIN, "login": "ann.new@example.com"}).status_code == 200
    assert [event.user_id for event in of_kind(events, EmailChanged)] == [user_id]
    assert not [event for event in events if "example.com" in repr(event)]


def test_a_taken_or_broken_address_changes_nothing(database_url):
    """409 for one in use, 422 for one that is none; user and verification stay as they were."""
    app, auth, events = installed(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        client.post("/auth/register", json={"email": "bo@example.com", "password": GOOD})
        client.portal.call(
            auth.database.write,
            lambda tx: accounts.set_verified(tx, user_id, verified=True, now=auth.context.now()),
        )
        headers = bearer(client.post("/auth/login", json=LOGIN))
        for address, status, code in (
            ("BO@example.com", 409, "registration_conflict"),
            ("nothing", 422, "invalid_request"),
        ):
            answer = client.post("/auth/email", json={"new_email": address, "password": GOOD}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        me = client.get("/auth/me", headers=headers).json()
    assert (me["email"], me["verified"]) == ("ann@example.com", True)
    assert of_kind(events, EmailChanged) == []


@pytest.mark.attack("mass assignment")
@pytest.mark.parametrize("field", ["user_id", "verified", "roles", "email", "epoch", "must_change_password"])
def test_changes_take_no_other_field(sqlite_url, field):
    """A change says what it changes and nothing else."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        headers = bearer(client.post("/auth/login", json=LOGIN))
        for path, sent in (
            ("/auth/password", CHANGE),
            ("/auth/email", {"new_email": "x@example.com", "password": GOOD}),
        ):
            answer = client.post(path, json={**sent, field: True}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
