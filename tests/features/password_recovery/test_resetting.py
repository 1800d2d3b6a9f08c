"""Choosing another password by the link in a mail: once, in time, and everything that rested on the old one ends."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.email_verification.postbox import (
    ANN,
    BETTER,
    GOOD,
    LOGIN,
    OURS,
    at_once,
    bearer,
    change,
    kinds,
    posted,
    standing,
    token_of,
)
from rimlock.core import accounts
from rimlock.core.registering import remove_user
from rimlock.core.sessions import SessionEnded
from rimlock.features.password_recovery.events import PasswordReset

pytestmark = [pytest.mark.req("F1", "L5"), pytest.mark.asvs("V6.4.3", "V6.5.1")]
REFUSED = (400, "challenge_refused")
SECOND = {"login": "ann@example.com", "password": BETTER}


def told(answer):
    """Return status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def asked(client, box, *, verified=True):
    """Register Ann, prove her address unless told otherwise, have a link mailed; return her id and its secret."""
    user_id = client.post("/auth/register", json=ANN).json()["id"]
    if verified:
        client.post("/auth/verify-email", json={"token": token_of(box)})
    assert client.post("/auth/forgot-password", json={"email": ANN["email"]}).status_code == 202
    return user_id, token_of(box, kind="reset_password")


def reset(client, token, **sent):
    """Use a link by the API."""
    return client.post("/auth/reset-password", json={"token": token, "password": BETTER, **sent})


def test_the_link_replaces_the_password_and_ends_every_session(database_url):
    """The new password signs in, the old one does not; both devices are out, and the user is told by mail."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        user_id, token = asked(client, box)
        assert box.link(kind="reset_password") == f"{OURS}/auth/reset-password?token={token}"
        devices = [client.post("/auth/login", json=LOGIN) for _ in range(2)]
        answer = reset(client, token)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "set-cookie" not in answer.headers
        assert [client.get("/auth/me", headers=bearer(device)).status_code for device in devices] == [401, 401]
        tokens = [{"refresh_token": device.json()["refresh_token"]} for device in devices]
        assert [client.post("/auth/refresh", json=one).status_code for one in tokens] == [401, 401]
        assert client.post("/auth/login", json=LOGIN).status_code == 401
        assert client.post("/auth/login", json=SECOND).status_code == 200
        assert kinds(box)[-1] == ("password_reset", "ann@example.com")
        assert box.messages[-1].facts == {"keys": 0, "logins": 0}
        assert standing(client, auth, user_id).epoch == 1
    done = [event for event in events if type(event) is PasswordReset]
    assert [(event.user_id, event.sessions_ended, event.claimed) for event in done] == [(user_id, 2, False)]
    assert {event.reason for event in events if type(event) is SessionEnded} == {"password"}


@pytest.mark.attack("replay of a reset link")
def test_a_link_works_once(database_url):
    """The second use is refused, by the API and on the page, and the password stays the first one's."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        _, token = asked(client, box)
        assert reset(client, token).status_code == 204
        assert told(reset(client, token, password="thirteen odd teapots")) == REFUSED
        assert client.get("/auth/reset-password", params={"token": token}).status_code == 400
        assert client.post("/auth/login", json=SECOND).status_code == 200


def test_a_link_lives_an_hour(sqlite_url, clock):
    """A second before its end it is good, at its end it is not."""
    app, _, _, box = posted(sqlite_url, clock=clock)
    with TestClient(app) as client:
        _, token = asked(client, box)
        clock.advance(timedelta(hours=1) - timedelta(seconds=1))
        assert client.get("/auth/reset-password", params={"token": token}).status_code == 200
        clock.advance(1)
        assert client.get("/auth/reset-password", params={"token": token}).status_code == 400
        assert told(reset(client, token)) == REFUSED


@pytest.mark.attack("one-time secret used by a race")
def test_of_fifty_resets_with_one_link_one_succeeds(database_url):
    """Fifty at once, each with a password of its own: one is set, and that one signs in."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        _, token = asked(client, box)
    wanted = [f"{BETTER} number {count}" for count in range(50)]
    answers = at_once(app, auth, "/auth/reset-password", [{"token": token, "password": one} for one in wanted])
    assert Counter(answer.status_code for answer in answers) == {204: 1, 400: 49}
    won = next(one for one, answer in zip(wanted, answers, strict=True) if answer.status_code == 204)
    with TestClient(app) as client:
        assert client.post("/auth/login", json={**LOGIN, "password": won}).status_code == 200
    assert len([event for event in events if type(event) is PasswordReset]) == 1


@pytest.mark.attack("a link that outlives what it was made under")
@pytest.mark.parametrize("event", ["password", "address", "role", "disabled", "deleted", "newer link", "signed out"])
def test_a_link_does_not_outlive_what_it_was_made_under(database_url, event):
    """Another password, address or role, no account, a newer link: it is worth nothing."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id, token = asked(client, box)
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        now = auth.context.now()
        if event == "password":
            sent = {"current_password": GOOD, "new_password": "thirteen odd teapots"}
            assert client.post("/auth/password", json=sent, headers=signed_in).status_code == 200
        elif event == "address":
            sent = {"new_email": "eve@example.com", "password": GOOD}
            assert client.post("/auth/email", json=sent, headers=signed_in).status_code == 200
        elif event == "role":
            change(client, auth, lambda tx: accounts.set_roles(tx, user_id, ["editor"], now=now))
        elif event == "disabled":
            change(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=now))
        elif event == "deleted":
            change(client, auth, lambda tx: remove_user(auth.context.users, tx, user_id, now=now))
        elif event == "newer link":
            client.post("/auth/forgot-password", json={"email": ANN["email"]})
        else:
            client.post("/auth/logout-all", headers=signed_in)
            change(client, auth, lambda tx: accounts.raise_epoch(tx, user_id, now=now))
        assert told(reset(client, token)) == REFUSED


@pytest.mark.req("L10")
@pytest.mark.parametrize(("password", "code"), [("short", "too_short"), ("ann@example.com", "context_word")])
def test_a_weak_password_spends_nothing(database_url, password, code):
    """The reason is named, the link stays as good as it was, and nothing was ended."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        _, token = asked(client, box)
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        refused = reset(client, token, password=password)
        assert told(refused) == (422, "password_refused")
        assert {(one["name"], one["code"]) for one in refused.json()["errors"]} >= {("password", code)}
        assert client.get("/auth/me", headers=signed_in).status_code == 200
        assert reset(client, token).status_code == 204


@pytest.mark.attack("link scanner")
def test_looking_at_a_link_uses_nothing_up(database_url):
    """Ten visits, then the button: the form comes again for what can be mended, without the password."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        _, token = asked(client, box)
        for _ in range(10):
            seen = client.get("/auth/reset-password", params={"token": token})
        assert seen.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in seen.headers["content-security-policy"]
        assert "script" not in seen.text.lower()
        assert re.findall(r'(?:href|src|action)="([^"]*)"', seen.text) == ["reset-password"]
        assert 'autocomplete="new-password"' in seen.text
        for wrong in ("", "tiny-one"):
            again = client.post("/auth/reset-password", data={"token": token, "password": wrong})
            assert (again.status_code, "tiny-one" in again.text, token in again.text) == (422, False, True)
        done = client.post("/auth/reset-password", data={"token": token, "password": BETTER})
        assert (done.status_code, token in done.text, BETTER in done.text) == (200, False, False)
        assert client.post("/auth/login", json=SECOND).status_code == 200


def test_a_reset_proves_the_address_and_lets_its_owner_in(database_url):
    """Who never proved the address does so by resetting: no other link is needed, and older ones did their work."""
    app, auth, _, box = posted(database_url, require_verified=True)
    with TestClient(app) as client:
        user_id, token = asked(client, box, verified=False)
        first = token_of(box, kind="verify_email")
        assert client.post("/auth/login", json=LOGIN).status_code == 403
        assert reset(client, token).status_code == 204
        assert standing(client, auth, user_id).verified
        assert client.post("/auth/login", json=SECOND).status_code == 200
        assert client.post("/auth/verify-email", json={"token": first}).json() == {"status": "already_verified"}


@pytest.mark.req("L9")
def test_a_reset_ends_a_temporary_password(database_url):
    """No step is left before the door, what was handed out for the step is worth nothing, and the old one is over."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id, _ = asked(client, box)
        temporary = "four wooden kettles"
        hashed = auth.context.passwords.hasher.hash(temporary)
        now = auth.context.now()

        def give(tx):
            accounts.set_password_hash(tx, user_id, hashed, now=now, must_change=True, expires_at=now + 3600)

        change(client, auth, give)
        pending = client.post("/auth/login", json={**LOGIN, "password": temporary}).json()["pending_token"]
        client.post("/auth/forgot-password", json={"email": ANN["email"]})
        assert reset(client, token_of(box, kind="reset_password")).status_code == 204
        assert client.post("/auth/login", json=SECOND).status_code == 200
        forced = {"pending_token": pending, "new_password": "thirteen odd teapots"}
        assert told(client.post("/auth/password/forced", json=forced)) == REFUSED
        assert client.post("/auth/login", json={**LOGIN, "password": temporary}).status_code == 401


@pytest.mark.req("L13")
def test_a_reset_lifts_a_lockout(database_url, clock):
    """Who failed too often chooses another password by mail, and is let in at once."""
    app, _, _, box = posted(database_url, clock=clock, login_rate=1_000, lockout_after=3)
    with TestClient(app) as client:
        _, token = asked(client, box)
        for _ in range(3):
            client.post("/auth/login", json={**LOGIN, "password": "not the right one"})
        assert client.post("/auth/login", json=LOGIN).status_code == 429
        assert reset(client, token).status_code == 204
        assert client.post("/auth/login", json=SECOND).status_code == 200


@pytest.mark.parametrize(("everything", "left"), [(False, 1), (True, 0)])
def test_keys_of_a_proven_account_stay_unless_they_are_to_go(database_url, everything, left):
    """A machine goes on after its owner forgot a password; the mail says what still leads in, and one field ends it."""
    app, _, events, box = posted(database_url)
    with TestClient(app) as client:
        _, token = asked(client, box)
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        key = client.post("/auth/api-keys", json={"name": "robot"}, headers=signed_in).json()["key"]
        assert reset(client, token, everything=everything).status_code == 204
        assert client.get("/auth/me", headers={"X-API-Key": key}).status_code in ({200, 403} if left else {401})
        assert box.messages[-1].facts == {"keys": left, "logins": 0}
    assert next(event for event in events if type(event) is PasswordReset).keys_revoked == 1 - left


@pytest.mark.parametrize("extra", ["user_id", "email", "verified", "roles", "keep_sessions"])
def test_the_body_has_no_other_field(sqlite_url, extra):
    """A reset says what it resets and nothing else; what was sent is not repeated."""
    app, _, _, box = posted(sqlite_url)
    with TestClient(app) as client:
        _, token = asked(client, box)
        refused = reset(client, token, **{extra: "sent text"})
        assert told(refused) == (422, "invalid_request")
        assert "sent text" not in refused.text
        assert BETTER not in refused.text
        assert reset(client, token).status_code == 204


def test_whoever_tries_and_has_no_link_makes_nobody_hash(sqlite_url):
    """A wrong secret is refused before the password is looked at: neither its policy nor its hash costs anything."""
    app, auth, _, _ = posted(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        done = []
        pool = auth.context.passwords
        inner, pool.hasher = pool.hasher, _Noting(pool.hasher, done)
        assert told(reset(client, f"{'0' * 32}.{'A' * 43}", password="x")) == REFUSED
        pool.hasher = inner
    assert done == []


class _Noting:
    """A hasher of a host's that writes down what it is asked."""

    def __init__(self, inner, done):
        self.inner, self.done = inner, done

    def hash(self, password):
        self.done.append("hash")
        return self.inner.hash(password)

    def verify(self, stored, password):
        self.done.append("verify")
        return self.inner.verify(stored, password)

    def dummy(self):
        return self.inner.dummy()
