"""Signing in by password: in every spelling, at one cost, and never with a password that is no longer the one."""

from __future__ import annotations

import asyncio
from threading import Event as Gate
from threading import Thread

import pytest
from argon2 import PasswordHasher as PlainArgon2
from fastapi.testclient import TestClient

from features.password.office import ANN, BETTER, GOOD, CountingHasher, bearer, installed, of_kind, visiting
from rimlock.core import accounts, sessions
from rimlock.core.errors import AccountDisabled
from rimlock.core.login import Allow, Deny, LoginRefused
from rimlock.core.users import NewUser
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.password import logic
from rimlock.features.password.events import LoginFailed

PAGE = {"X-Rimlock": "1", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}


def standing(client, auth, user_id):
    """Return the standing of a user."""
    return client.portal.call(auth.database.read, lambda tx: accounts.standing(tx, user_id))


def living(client, auth, user_id):
    """Return the living sessions of a user."""
    now = auth.context.now()
    return client.portal.call(auth.database.read, lambda tx: sessions.living(tx, user_id, now=now))


@pytest.mark.req("L11")
@pytest.mark.parametrize("login", ["ann@example.com", "ANN@Example.com", "Ann", "ann", "ａｎｎ"])
def test_email_and_username_sign_in_in_any_spelling(database_url, login):
    """The answer is a bearer token that our own routes take, and a refresh token; one session was started."""
    app, auth, _ = installed(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        answer = client.post("/auth/login", json={"login": login, "password": GOOD})
        assert answer.status_code == 200
        assert set(answer.json()) == {
            "access_token",
            "token_type",
            "expires_in",
            "refresh_token",
            "refresh_expires_in",
            "device_token",
        }
        assert answer.headers["cache-control"] == "no-store"
        assert client.get("/auth/me", headers=bearer(answer)).json()["id"] == user_id
        (session,) = living(client, auth, user_id)
    assert (session.methods, session.transport, session.remembered) == ("pwd", "body", True)


@pytest.mark.parametrize("login", ["аnn", "ann ", "ann\0", "", "@", "ann@example.com, eve@example.com", "x" * 320])
def test_what_is_no_spelling_of_a_name_is_unknown(sqlite_url, login):
    """Letters of another script, spaces and lists lead to the one refusal, after the one piece of work."""
    hasher = CountingHasher()
    app, _, _ = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        hasher.work.clear()
        answer = client.post("/auth/login", json={"login": login, "password": GOOD})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")
    assert hasher.work == ["verify"]


@pytest.mark.attack("enumeration")
@pytest.mark.parametrize("path", ["/auth/login", "/auth/token"])
def test_nobody_learns_why_a_sign_in_failed(database_url, path):
    """Unknown, wrong, disabled, without a password, unreadable hash: same bytes, same headers, same work.

    The events tell them apart.
    """
    hasher = CountingHasher()
    app, auth, events = installed(database_url, hasher=hasher, login_rate=100, lockout_after=100)

    def attempt(client, login, password):
        hasher.work.clear()
        if path == "/auth/login":
            answer = client.post(path, json={"login": login, "password": password})
        else:
            answer = client.post(path, data={"grant_type": "password", "username": login, "password": password})
        return answer.status_code, answer.content, tuple(sorted(answer.headers.items())), tuple(hasher.work)

    with TestClient(app) as client:
        ids = {}
        for name in ("ann", "disabled"):
            sent = {"email": f"{name}@example.com", "password": GOOD}
            ids[name] = client.post("/auth/register", json=sent).json()["id"]
        for name in ("bare", "broken"):
            made = client.portal.call(logic.create_user, auth.context, NewUser(email=f"{name}@example.com"), None)
            ids[name] = made.user.id

        def spoil(tx):
            now = auth.context.now()
            accounts.set_active(tx, ids["disabled"], active=False, now=now)
            accounts.set_password_hash(tx, ids["broken"], "nonsense", now=now)

        client.portal.call(auth.database.write, spoil)
        tries = [("nobody", GOOD), ("ann", "wrong " + GOOD), ("disabled", GOOD), ("disabled", "x"), ("bare", GOOD)]
        found = {attempt(client, f"{name}@example.com", password)[:3] for name, password in tries}
        work = {attempt(client, f"{name}@example.com", password)[3] for name, password in tries}
        broken = attempt(client, "broken@example.com", GOOD)
    assert len(found) == 1
    assert work == {("verify",)}
    assert broken[:3] in found
    assert next(iter(found))[0] == (401 if path == "/auth/login" else 400)
    told = [(event.reason, event.user_id) for event in of_kind(events, LoginFailed)[:5]]
    assert told == [
        ("unknown_account", None),
        ("wrong_password", ids["ann"]),
        ("disabled", ids["disabled"]),
        ("disabled", ids["disabled"]),
        ("no_password", ids["bare"]),
    ]


@pytest.mark.req("L10")
@pytest.mark.attack("long password")
@pytest.mark.parametrize("password", ["x" * 1025, "ж" * 513, "x" * 4000, "a\0b"])
@pytest.mark.parametrize("login", ["ann", "nobody"])
def test_what_no_password_can_be_is_never_hashed(sqlite_url, login, password):
    """Over 1,024 bytes, or with a NUL: the one refusal at once, for known and unknown accounts."""
    hasher = CountingHasher()
    app, _, events = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        hasher.work.clear()
        answer = client.post("/auth/login", json={"login": login, "password": password})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")
    assert hasher.work == []
    assert [(event.reason, event.user_id) for event in of_kind(events, LoginFailed)] == [("impossible_password", None)]


@pytest.mark.attack("long password")
def test_a_body_of_megabytes_is_refused_unread(sqlite_url):
    """Twenty megabytes end at the door; nothing is hashed."""
    hasher = CountingHasher()
    app, _, _ = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        answer = client.post("/auth/login", json={"login": "ann", "password": "x" * 20_000_000})
    assert answer.status_code == 413
    assert hasher.work == []


@pytest.mark.req("N2")
def test_a_foreign_hash_signs_in_and_is_replaced_once(database_url):
    """An Argon2id hash of another system is verified, replaced by today's form, and old tokens live on."""
    hasher = CountingHasher()
    app, auth, _ = installed(database_url, hasher=hasher)
    old = PlainArgon2(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    with TestClient(app) as client:
        made = client.portal.call(logic.create_user, auth.context, NewUser(email="ann@example.com"), None)
        user_id = made.user.id
        client.portal.call(
            auth.database.write,
            lambda tx: accounts.set_password_hash(tx, user_id, old, now=auth.context.now()),
        )
        epoch = standing(client, auth, user_id).epoch
        hasher.work.clear()
        sent = {"login": "ann@example.com", "password": GOOD}
        first = client.post("/auth/login", json=sent)
        assert (first.status_code, hasher.work) == (200, ["verify", "hash"])
        kept = standing(client, auth, user_id)
        assert kept.password_hash != old
        assert kept.password_hash.startswith("nfc1$argon2id$")
        assert kept.epoch == epoch
        assert client.post("/auth/login", json=sent).status_code == 200
        assert hasher.work == ["verify", "hash", "verify"]
        assert client.get("/auth/me", headers=bearer(first)).status_code == 200


@pytest.mark.anyio
@pytest.mark.req("N2")
async def test_simultaneous_first_sign_ins_after_an_import_all_succeed(database_url):
    """Ten devices upgrade the same hash at once: every one is signed in, none is told the password is wrong."""
    app, auth, events = installed(database_url)
    old = PlainArgon2(time_cost=1, memory_cost=8, parallelism=1).hash(GOOD)
    async with visiting(app, auth) as client:
        sent = {"login": "ann@example.com", "password": GOOD}
        assert (await client.post("/auth/login", json=sent)).status_code == 401
        made = await logic.create_user(auth.context, NewUser(email="ann@example.com"), None)
        now, user_id = auth.context.now(), made.user.id
        await auth.database.write(lambda tx: accounts.set_password_hash(tx, user_id, old, now=now))
        answers = await asyncio.gather(*(client.post("/auth/login", json=sent) for _ in range(10)))
        assert [answer.status_code for answer in answers] == [200] * 10
        found = await auth.database.read(lambda tx: sessions.living(tx, user_id, now=now))
    assert len(found) == 10
    assert len(of_kind(events, LoginFailed)) == 1


class HeldHasher(CountingHasher):
    """Stops after a verification until it is let go, so that a test can act in between."""

    def __init__(self):
        super().__init__()
        self.verified, self.go = Gate(), Gate()

    def verify(self, stored, password):
        found = super().verify(stored, password)
        self.verified.set()
        assert self.go.wait(20)
        return found


@pytest.mark.anyio
@pytest.mark.attack("sign-in with a password that is being replaced")
@pytest.mark.parametrize("replaced", [True, False])
async def test_a_password_replaced_between_check_and_session_starts_none(database_url, replaced):
    """What was verified is compared again inside the transaction; a better hash of the same password does not count."""
    hasher = HeldHasher()
    app, auth, events = installed(database_url, hasher=hasher)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        waiting = asyncio.ensure_future(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        assert await asyncio.to_thread(hasher.verified.wait, 20)
        now, other = auth.context.now(), PasswordHashes(CHEAPEST_FOR_TESTS).hash(BETTER if replaced else GOOD)

        def meanwhile(tx):
            if replaced:
                accounts.set_password_hash(tx, user_id, other, now=now)
                return sessions.end_all(tx, user_id, reason="password", now=now)
            old = accounts.standing(tx, user_id).password_hash
            return accounts.upgrade_password_hash(tx, user_id, old, other)

        await auth.database.write(meanwhile)
        hasher.go.set()
        answer = await waiting
        found = await auth.database.read(lambda tx: sessions.living(tx, user_id, now=now))
    if replaced:
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")
        assert found == []
        assert [event.reason for event in of_kind(events, LoginFailed)] == ["wrong_password"]
    else:
        assert answer.status_code == 200
        assert len(found) == 1


@pytest.mark.attack("sign-in with a password that is being replaced")
def test_a_session_of_the_old_password_does_not_outlive_the_change(database_url):
    """A change that arrives while a sign-in is being written waits for it, and ends its session with the others."""
    writing, changed = Gate(), Gate()

    def slow(tx, login):
        if writing_armed.is_set():
            writing.set()
            changed.wait(1.5)
        return Allow()

    writing_armed = Gate()
    app, auth, _ = installed(database_url, policies=[slow])
    other_app, _, _ = installed(database_url)
    answers = []
    with TestClient(app) as client, TestClient(other_app) as other:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        headers = bearer(other.post("/auth/login", json={"login": "ann", "password": GOOD}))
        writing_armed.set()
        sign_in = Thread(
            target=lambda: answers.append(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        )
        sign_in.start()
        assert writing.wait(20)
        sent = {"current_password": GOOD, "new_password": BETTER}
        answer = other.post("/auth/password", json=sent, headers=headers)
        changed.set()
        sign_in.join(20)
        assert (answers[0].status_code, answer.status_code) == (200, 200)
        left = living(client, auth, user_id)
    assert len(left) == 1
    assert left[0].transport == "body"
    assert left[0].id != _session_of(answers[0])


def _session_of(answer):
    return answer.json()["refresh_token"].split(".")[1]


def test_a_policy_can_refuse_a_proven_user(database_url):
    """The policy's own error reaches the caller, no session is started, and the refusal is an event."""
    app, auth, events = installed(database_url, policies=[lambda tx, login: Deny(AccountDisabled())])
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        answer = client.post("/auth/login", json={"login": "ann", "password": GOOD})
        assert (answer.status_code, answer.json()["code"]) == (403, "account_disabled")
        assert living(client, auth, user_id) == []
    assert [(event.user_id, event.code) for event in of_kind(events, LoginRefused)] == [(user_id, "account_disabled")]


@pytest.mark.req("L14")
def test_in_a_browser_the_refresh_token_is_a_cookie_alone(sqlite_url):
    """By cookie the body holds no refresh token; without remember the cookie ends with the browser."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        sent = {"login": "ann", "password": GOOD, "transport": "cookie"}
        for remember, lasting in ((None, False), (False, False), (True, True)):
            answer = client.post("/auth/login", json={**sent, "remember": remember}, headers=PAGE)
            assert answer.status_code == 200
            assert set(answer.json()) == {"access_token", "token_type", "expires_in"}
            cookie, device = answer.headers.get_list("set-cookie")
            assert cookie.startswith("__Host-rimlock=rr1.")
            assert device.startswith("__Host-rimlock-device=rd1.")
            for one in (cookie, device):
                assert all(part in one for part in ("; HttpOnly", "; SameSite=Strict", "; Secure", "; Path=/"))
            assert ("Max-Age" in cookie) is lasting


@pytest.mark.attack("login CSRF")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Rimlock": "1", "Origin": "https://evil.example"},
        {"X-Rimlock": "1", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8000"},
        {"X-Rimlock": "1", "Origin": "null"},
    ],
)
def test_another_sites_page_signs_nobody_in(sqlite_url, headers):
    """The cookie is only set for pages that may send it, and nothing is hashed for others."""
    hasher = CountingHasher()
    app, _, _ = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        hasher.work.clear()
        sent = {"login": "ann", "password": GOOD, "transport": "cookie"}
        answer = client.post("/auth/login", json=sent, headers=headers)
        as_form = client.post("/auth/login", data=sent, headers=PAGE)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
    assert "set-cookie" not in answer.headers
    assert as_form.status_code == 415
    assert hasher.work == []


@pytest.mark.req("N1")
def test_the_password_grant_answers_as_the_standard_has_it(database_url):
    """RFC 6749 section 5.1, by email or username, with or without grant_type; a scope changes nothing."""
    app, _, _ = installed(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        for more in ({}, {"grant_type": "password"}, {"scope": "admin everything"}):
            answer = client.post("/auth/token", data={"username": "ann", "password": GOOD, **more})
            assert answer.status_code == 200
            assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 900)
            assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
            assert client.get("/auth/me", headers=bearer(answer)).json()["roles"] == []
        missing = client.post("/auth/token", data={"grant_type": "password", "username": "ann"})
        assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


@pytest.mark.anyio
@pytest.mark.attack("hash flooding")
async def test_a_full_queue_turns_away_at_once(sqlite_url):
    """With one place and no queue the second sign-in gets 503 with Retry-After, and is not hashed."""
    hasher = HeldHasher()
    app, auth, _ = installed(sqlite_url, hasher=hasher, hash_workers=1, hash_queue=0)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        sent = {"login": "ann", "password": GOOD}
        waiting = asyncio.ensure_future(client.post("/auth/login", json=sent))
        assert await asyncio.to_thread(hasher.verified.wait, 20)
        refused = await client.post("/auth/login", json=sent)
        form = await client.post("/auth/token", data={"username": "ann", "password": GOOD})
        hasher.go.set()
        assert (await waiting).status_code == 200
    for answer in (refused, form):
        assert (answer.status_code, answer.json()["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
    assert hasher.work == ["hash", "verify"]


@pytest.mark.attack("mass assignment")
@pytest.mark.parametrize("field", ["user_id", "roles", "active", "epoch", "session_id", "auth_time", "username"])
def test_a_sign_in_takes_no_other_field(sqlite_url, field):
    """Whoever signs in cannot say who they are by anything but login and password."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        answer = client.post("/auth/login", json={"login": "ann", "password": GOOD, field: "1"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_sign_in_is_few_statements(sqlite_url):
    """Two reads, a place among the attempts, and one transaction.

    It holds the account, judges it, starts the session, gives the place back and writes the line of the audit.
    """
    app, auth, _ = installed(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        before = auth.database.executed
        client.post("/auth/login", json={"login": "ann", "password": GOOD})
        assert auth.database.executed - before == 8
