"""An attacker registers a stranger's address and waits. Once the stranger comes by the mailbox, nothing is left.

The five classes of "Pre-hijacked Accounts" (Sudhodanan, Paverd; USENIX Security 2022), each as an attack carried out.
"""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from features.email_verification.postbox import ANN, BETTER, GOOD, LOGIN, bearer, change, posted, standing, token_of
from rimlock.core import accounts, identities, sessions
from rimlock.core.login import Proof, complete
from rimlock.core.registering import open_user
from rimlock.core.sessions import Device
from rimlock.core.users import NewUser

pytestmark = [pytest.mark.req("F1", "F2"), pytest.mark.asvs("V7.4.3", "V6.8.1")]
ELSEWHERE = "https://accounts.example.org"


def link(tx, auth, user_id, subject, *, email="", verified=False):
    """Let a login elsewhere lead to a user."""
    identities.link(
        tx, user_id, ELSEWHERE, subject, provider="elsewhere", now=auth.context.now(), email=email, verified=verified
    )


def linked(client, auth, user_id):
    """Return the subjects of all logins elsewhere that lead to a user."""
    return [one.subject for one in client.portal.call(auth.database.read, lambda tx: identities.of_user(tx, user_id))]


def recovered(client, box):
    """Ann, who never registered, says that she forgot the password, and chooses one by the mail."""
    client.post("/auth/forgot-password", json={"email": "ann@example.com"})
    token = token_of(box, kind="reset_password")
    assert client.post("/auth/reset-password", json={"token": token, "password": BETTER}).status_code == 204
    assert client.post("/auth/login", json={**LOGIN, "password": BETTER}).status_code == 200


def enter(tx, auth, user_id):
    """Sign in by a login elsewhere, through the one door."""
    context = auth.context
    now = context.now()
    proof = Proof(user_id=user_id, method="social", at=now)
    return complete(tx, proof, device=Device(), lifetimes=context.lifetimes, policies=context.policies, now=now)


@pytest.mark.attack("pre-hijack 1: classic-federated merge")
def test_the_attackers_password_is_gone_after_recovery(database_url):
    """The password the account was registered with opens nothing any more, nor does a change by it."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        attacker = bearer(client.post("/auth/login", json=LOGIN))
        recovered(client, box)
        assert client.post("/auth/login", json=LOGIN).status_code == 401
        assert client.post("/auth/login", json={**LOGIN, "login": "Ann"}).status_code == 401
        sent = {"current_password": GOOD, "new_password": "thirteen odd teapots"}
        assert client.post("/auth/password", json=sent, headers=attacker).status_code == 401


@pytest.mark.attack("pre-hijack 2: unexpired session identifier")
def test_the_attackers_sessions_and_keys_are_gone_after_recovery(database_url):
    """Access token, refresh token and API key of before are refused at once."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        tokens = client.post("/auth/login", json=LOGIN)
        key = client.post("/auth/api-keys", json={"name": "back door"}, headers=bearer(tokens)).json()["key"]
        recovered(client, box)
        assert client.get("/auth/me", headers=bearer(tokens)).status_code == 401
        refresh = {"refresh_token": tokens.json()["refresh_token"]}
        assert client.post("/auth/refresh", json=refresh).status_code == 401
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            assert client.get("/auth/me", headers=headers).status_code == 401


@pytest.mark.attack("pre-hijack 3: trojan identifier")
@pytest.mark.parametrize("by", ["recovery", "verification"])
def test_the_attackers_login_elsewhere_is_gone_once_the_owner_comes(database_url, by):
    """What leads in from elsewhere goes, unless it proves the very address: that one is its owner's."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        key = client.post("/auth/api-keys", json={"name": "back door"}, headers=signed_in).json()["key"]

        def plant(tx):
            link(tx, auth, user_id, "eve", email="eve@example.com", verified=True)
            link(tx, auth, user_id, "claims-ann", email="ann@example.com", verified=False)
            link(tx, auth, user_id, "is-ann", email="ANN@example.com", verified=True)

        change(client, auth, plant)
        if by == "recovery":
            recovered(client, box)
        else:
            client.post("/auth/verify-email", json={"token": token_of(box)})
        assert linked(client, auth, user_id) == ["is-ann"]
        assert client.get("/auth/me", headers={"X-API-Key": key}).status_code == 401


@pytest.mark.attack("pre-hijack 4: unexpired email change")
@pytest.mark.parametrize("by", ["recovery", "verification"])
def test_the_attackers_waiting_change_of_address_is_cancelled(database_url, by):
    """A change that was begun before, and a link to reset that went out before, are worth nothing afterwards."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        attacker = bearer(client.post("/auth/login", json=LOGIN))
        sent = {"email": "eve@example.com", "current_password": GOOD}
        assert client.post("/auth/change-email", json=sent, headers=attacker).status_code == 202
        if by == "recovery":
            recovered(client, box)
        else:
            client.post("/auth/verify-email", json={"token": token_of(box, kind="verify_email")})
        late = client.post("/auth/change-email/confirm", json={"token": token_of(box, "eve@example.com")})
        assert (late.status_code, late.json()["code"]) == (400, "challenge_refused")
        user = client.portal.call(auth.database.read, lambda tx: auth.context.users.get(tx, user_id))
        assert user.email == "ann@example.com"


@pytest.mark.attack("pre-hijack 5: non-verifying identity provider")
@pytest.mark.parametrize("by", ["recovery", "verification"])
def test_a_login_elsewhere_that_proves_no_address_does_not_survive_its_owner(database_url, by):
    """An account made by a provider that checks no address: its sessions and its way in end when the owner comes."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:

        def make(tx):
            known = open_user(
                auth.context.users, tx, NewUser(email="ann@example.com"), now=auth.context.now(), by="social"
            )
            link(tx, auth, known.user.id, "eve", email="ann@example.com", verified=False)
            return known.user.id

        user_id = change(client, auth, make)
        eve = change(client, auth, lambda tx: enter(tx, auth, user_id)).session
        if by == "recovery":
            recovered(client, box)
        else:
            client.post("/auth/verify-email", json={"token": token_of(box)})
        assert standing(client, auth, user_id).verified
        assert linked(client, auth, user_id) == []
        living = client.portal.call(
            auth.database.read, lambda tx: sessions.living(tx, user_id, now=auth.context.now(), limit=10)
        )
        assert eve.id not in [one.id for one in living]


@pytest.mark.attack("pre-hijack: a pending login")
def test_what_was_handed_out_for_a_step_is_cancelled(database_url):
    """A login that waited for a step before the recovery never becomes a session after it."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        hashed, now = auth.context.passwords.hasher.hash(GOOD), auth.context.now()
        change(client, auth, lambda tx: accounts.set_password_hash(tx, user_id, hashed, now=now, must_change=True))
        pending = client.post("/auth/login", json=LOGIN).json()["pending_token"]
        recovered(client, box)
        sent = {"pending_token": pending, "new_password": "thirteen odd teapots"}
        assert client.post("/auth/password/forced", json=sent).status_code == 400


@pytest.mark.attack("pre-hijack: verified by a stranger's click")
def test_a_click_of_the_owner_leaves_the_attacker_no_more_than_the_password(database_url):
    """Ann confirms an account she did not make: keys and logins elsewhere go; the password goes when she recovers."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        attacker = bearer(client.post("/auth/login", json=LOGIN))
        client.post("/auth/api-keys", json={"name": "one"}, headers=attacker)
        client.post("/auth/verify-email", data={"token": token_of(box)})
        again = client.post("/auth/api-keys", json={"name": "two"}, headers=attacker).json()["key"]
        client.post("/auth/forgot-password", json={"email": "ann@example.com"})
        sent = {"token": token_of(box, kind="reset_password"), "password": BETTER, "everything": True}
        assert client.post("/auth/reset-password", json=sent).status_code == 204
        assert client.get("/auth/me", headers=attacker).status_code == 401
        assert client.get("/auth/me", headers={"X-API-Key": again}).status_code == 401
        assert linked(client, auth, user_id) == []
