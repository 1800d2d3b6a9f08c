"""Changing an address: the password first, the new mailbox second, and nothing before both."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.email_verification.postbox import (
    ANN,
    BETTER,
    CALM,
    GOOD,
    LOGIN,
    OURS,
    at_once,
    bearer,
    change,
    counted,
    kinds,
    posted,
    token_of,
)
from rimlock.core import accounts
from rimlock.core.accounts import EmailChanged
from rimlock.features.email_verification.events import EmailChangeAsked

pytestmark = [pytest.mark.req("F1", "L11"), pytest.mark.asvs("V6.3.7", "V7.5.1")]
NEW = "ann.new@example.com"
WANTED = {"email": NEW, "current_password": GOOD}
BEN = {"email": "ben@example.com", "username": "Ben", "password": GOOD}


def begun(client, **sent):
    """Register Ann, sign her in and let her ask for another address; return her header."""
    client.post("/auth/register", json=ANN)
    signed_in = bearer(client.post("/auth/login", json=LOGIN))
    answer = client.post("/auth/change-email", json={**WANTED, **sent}, headers=signed_in)
    assert answer.status_code == 202, answer.text
    return signed_in


def test_nothing_changes_before_the_new_mailbox_confirms(database_url):
    """The old address is told, the new one gets the link; until that is used everything is as it was."""
    app, _, events, box = posted(database_url)
    with TestClient(app) as client:
        signed_in = begun(client)
        assert kinds(box)[1:] == [("confirm_email", NEW), ("email_change_asked", ANN["email"])]
        assert box.link(NEW) == f"{OURS}/auth/change-email?token={token_of(box, NEW)}"
        assert client.get("/auth/me", headers=signed_in).json()["email"] == ANN["email"]
        assert client.post("/auth/login", json={**LOGIN, "login": NEW}).status_code == 401
    assert not [event for event in events if NEW in repr(event) or ANN["email"] in repr(event)]


def test_the_link_changes_the_address_and_proves_it(database_url):
    """The new address signs in and is verified, the old one does not and is told; the session goes on."""
    app, _, events, box = posted(database_url)
    with TestClient(app) as client:
        signed_in = begun(client)
        token = token_of(box, NEW)
        done = client.post("/auth/change-email/confirm", json={"token": token}).json()
        assert (done["email"], done["verified"]) == (NEW, True)
        assert client.get("/auth/me", headers=signed_in).json()["email"] == NEW
        assert client.post("/auth/login", json=LOGIN).status_code == 401
        assert client.post("/auth/login", json={**LOGIN, "login": NEW}).status_code == 200
        assert kinds(box)[-1] == ("email_changed", ANN["email"])
        assert client.post("/auth/change-email/confirm", json={"token": token}).status_code == 400
        client.post("/auth/change-email", json={**WANTED, "email": "x@example.com"}, headers=signed_in)
    assert [event.verified for event in events if type(event) is EmailChanged] == [True]


def test_the_page_has_a_button_and_shows_the_address(database_url):
    """Looking changes nothing; the button's POST does it."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        signed_in = begun(client)
        token = token_of(box, NEW)
        seen = client.get("/auth/change-email", params={"token": token})
        assert (seen.status_code, NEW in seen.text, "<script" in seen.text) == (200, True, False)
        assert client.get("/auth/me", headers=signed_in).json()["email"] == ANN["email"]
        assert client.post("/auth/change-email/confirm", data={"token": token}).status_code == 200
        assert client.get("/auth/me", headers=signed_in).json()["email"] == NEW
        assert client.get("/auth/change-email", params={"token": token}).status_code == 400


@pytest.mark.parametrize("password", ["", "wrong password of hers", "x" * 2000])
def test_without_the_password_nothing_begins(database_url, password):
    """A token alone starts no change: 403, and nobody is written to."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        answer = client.post("/auth/change-email", json={**WANTED, "current_password": password}, headers=signed_in)
        assert (answer.status_code, answer.json()["code"]) == (403, "current_password_wrong")
        assert client.post("/auth/change-email", json=WANTED).status_code == 401
    assert len(box.messages) == 1


@pytest.mark.attack("enumeration by a change of address")
@pytest.mark.asvs("V6.3.8")
def test_a_taken_address_is_told_to_its_owner_alone(database_url):
    """The same answer and the same statements; the owner hears of it, and no link leads to the address."""
    app, auth, events, box = posted(database_url, **CALM)
    with TestClient(app) as client:
        client.post("/auth/register", json=BEN)
        signed_in = begun(client, email="free0@example.com")
        seen = []
        for email in ("free1@example.com", "BEN@example.com"):
            rows, before = counted(client, auth), auth.database.executed
            answer = client.post("/auth/change-email", json={**WANTED, "email": email}, headers=signed_in)
            statements = auth.database.executed - before
            more = tuple(after - old for after, old in zip(counted(client, auth), rows, strict=True))
            seen.append((answer.status_code, answer.content, statements, more))
        assert seen[0] == seen[1]
        assert kinds(box)[-2:] == [("email_taken", "ben@example.com"), ("email_change_asked", ANN["email"])]
    assert [event.mailed for event in events if type(event) is EmailChangeAsked] == [True, True, False]


def test_an_address_taken_meanwhile_is_refused_and_spends_nothing(database_url):
    """Two links to one address: the first use wins, the second is 409, and both accounts stay whole."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=BEN)
        bens = bearer(client.post("/auth/login", json={**LOGIN, "login": "ben@example.com"}))
        begun(client)
        first = token_of(box, NEW)
        assert client.post("/auth/change-email", json=WANTED, headers=bens).status_code == 202
        second = token_of(box, NEW)
        assert client.post("/auth/change-email/confirm", json={"token": first}).status_code == 200
        refused = client.post("/auth/change-email/confirm", json={"token": second})
        assert (refused.status_code, refused.json()["code"]) == (409, "registration_conflict")
        assert client.get("/auth/me", headers=bens).json()["email"] == "ben@example.com"


@pytest.mark.parametrize("event", ["password", "role", "disabled", "another change", "time"])
def test_a_change_does_not_outlive_what_it_was_made_under(database_url, clock, event):
    """Another password, other roles, a disabled account, a newer change, half an hour: the link is worth nothing."""
    app, auth, _, box = posted(database_url, clock=clock)
    with TestClient(app) as client:
        signed_in = begun(client)
        user_id = client.get("/auth/me", headers=signed_in).json()["id"]
        now = auth.context.now()
        if event == "password":
            sent = {"current_password": GOOD, "new_password": BETTER}
            assert client.post("/auth/password", json=sent, headers=signed_in).status_code == 200
        elif event == "role":
            change(client, auth, lambda tx: accounts.set_roles(tx, user_id, ["editor"], now=now))
        elif event == "disabled":
            change(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=now))
        elif event == "another change":
            client.post("/auth/change-email", json={**WANTED, "email": "third@example.com"}, headers=signed_in)
        else:
            clock.advance(timedelta(minutes=30))
        refused = client.post("/auth/change-email/confirm", json={"token": token_of(box, NEW)})
        assert (refused.status_code, refused.json()["code"]) == (400, "challenge_refused")


@pytest.mark.attack("one-time secret used by a race")
def test_of_fifty_confirmations_of_a_change_one_does_it(database_url):
    """Fifty at once: one changes the address, the others are refused."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        begun(client)
    answers = at_once(app, auth, "/auth/change-email/confirm", [{"token": token_of(box, NEW)}] * 50)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 49}
    assert len([event for event in events if type(event) is EmailChanged]) == 1


@pytest.mark.attack("header injection in an address")
@pytest.mark.parametrize(
    "email",
    [
        "a@example.com\r\nBcc: eve@example.com",
        "a@example.com\nX: y",
        "a@example.com,eve@example.com",
        "a@example.com;eve@example.com",
        "a@example.com eve@example.com",
        "Ann <a@example.com>",
        '"a\\r\\n"@example.com',
        '"a b"@example.com',
        "a@example.com%0d%0aBcc:eve@example.com",
        "a\0@example.com",
        "a\u2028@example.com",
        "a@exam\u202eple.com",
        "a@[127.0.0.1]",
        ["a@example.com", "eve@example.com"],
        {"email": "a@example.com"},
    ],
)
def test_an_address_is_one_address(sqlite_url, email):
    """What could be two recipients, a header or another text is refused everywhere, and nobody is written to."""
    app, _, _, box = posted(sqlite_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        box.clear()
        answers = [
            client.post("/auth/change-email", json={**WANTED, "email": email}, headers=signed_in),
            client.post("/auth/verify-email/request", json={"email": email}),
            client.post("/auth/forgot-password", json={"email": email}),
            client.post("/auth/register", json={**ANN, "username": "eve", "email": email}),
        ]
    assert [answer.status_code for answer in answers] == [422] * 4
    assert box.messages == []


def test_strangers_mailboxes_are_not_flooded_by_changes(database_url, clock):
    """Ten accounts want one address: it gets five mails within the hour, and the callers hear nothing of it."""
    app, _, _, box = posted(database_url, clock=clock)
    with TestClient(app) as client:
        for count in range(7):
            sent = {"email": f"a{count}@example.com", "password": GOOD}
            client.post("/auth/register", json=sent)
            tokens = bearer(client.post("/auth/login", json={"login": sent["email"], "password": GOOD}))
            assert client.post("/auth/change-email", json=WANTED, headers=tokens).status_code == 202
        assert len(box.to(NEW)) == 5
        clock.advance(3601)
        again = bearer(client.post("/auth/login", json={"login": "a6@example.com", "password": GOOD}))
        client.post("/auth/change-email", json=WANTED, headers=again)
    assert len(box.to(NEW)) == 6
