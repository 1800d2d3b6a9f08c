"""Proving an address: by the link that was mailed there, once, in time, and by nothing else."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from features.email_verification.postbox import (
    ANN,
    BETTER,
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
from rimlock.core import accounts, challenges
from rimlock.core.registering import open_user, remove_user
from rimlock.core.schema import challenge
from rimlock.core.users import NewUser
from rimlock.features.email_verification.events import EmailVerified
from rimlock.testing import FrozenClock

pytestmark = [pytest.mark.req("F1", "F3"), pytest.mark.asvs("V6.4.3", "V6.5.1")]
REFUSED = (400, "challenge_refused")


def told(answer):
    """Return status and code of a refusal."""
    return answer.status_code, answer.json()["code"]


def test_a_new_account_gets_a_link_and_is_verified_by_it(database_url):
    """The mail is posted with the account; the link proves the address, and coming back with it changes nothing."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        user = client.post("/auth/register", json=ANN).json()
        assert (user["verified"], kinds(box)) == (False, [("verify_email", "ann@example.com")])
        assert box.messages[0].facts == {"link": box.link(), "minutes": 30}
        token = token_of(box)
        assert box.link() == f"{OURS}/auth/verify-email?token={token}"
        assert client.post("/auth/verify-email", json={"token": token}).json() == {"status": "verified"}
        assert standing(client, auth, user["id"]).verified
        assert client.post("/auth/verify-email", json={"token": token}).json() == {"status": "already_verified"}
    assert [event.user_id for event in events if type(event) is EmailVerified] == [user["id"]]


def test_an_account_that_is_not_made_gets_no_mail(database_url):
    """The address is taken: the transaction is undone, and the mail with it."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        assert client.post("/auth/register", json={**ANN, "username": "other"}).status_code == 409
    assert len(box.messages) == 1


def test_a_link_lives_thirty_minutes(sqlite_url, clock):
    """A second before its end it is good, at its end it is not, on the page and in the API."""
    app, _, _, box = posted(sqlite_url, clock=clock)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        token = token_of(box)
        clock.advance(timedelta(minutes=30) - timedelta(seconds=1))
        assert client.get("/auth/verify-email", params={"token": token}).status_code == 200
        clock.advance(1)
        assert client.get("/auth/verify-email", params={"token": token}).status_code == 400
        assert told(client.post("/auth/verify-email", json={"token": token})) == REFUSED
    assert box.messages[0].expires_at == int(clock())


def test_a_newer_link_makes_the_older_worthless(database_url):
    """Only the newest link proves anything; once it did, the older one says so too."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        old = token_of(box)
        assert client.post("/auth/verify-email/request", json={"email": ANN["email"]}).status_code == 202
        assert told(client.post("/auth/verify-email", json={"token": old})) == REFUSED
        assert client.get("/auth/verify-email", params={"token": old}).status_code == 400
        assert client.post("/auth/verify-email", json={"token": token_of(box)}).status_code == 200
        assert client.post("/auth/verify-email", json={"token": old}).json() == {"status": "already_verified"}


@pytest.mark.attack("cross-purpose use of a link")
def test_a_link_is_good_for_its_purpose_alone(database_url):
    """A link that resets proves no address, one that proves resets nothing, and both are as good as before."""
    app, _, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        client.post("/auth/forgot-password", json={"email": ANN["email"]})
        verify, reset = token_of(box, kind="verify_email"), token_of(box, kind="reset_password")
        assert told(client.post("/auth/verify-email", json={"token": reset})) == REFUSED
        assert told(client.post("/auth/change-email/confirm", json={"token": verify})) == REFUSED
        crossed = client.post("/auth/reset-password", json={"token": verify, "password": BETTER})
        assert told(crossed) == REFUSED
        assert client.post("/auth/verify-email", json={"token": verify}).status_code == 200


@pytest.mark.attack("swap of the address")
@pytest.mark.parametrize("how", ["by its owner", "by the host"])
def test_a_link_proves_the_address_it_went_to(database_url, how):
    """The account takes another address meanwhile: the old link proves nothing, the new address gets its own."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user = client.post("/auth/register", json=ANN).json()
        old = token_of(box)
        new = {"email": "eve@example.com"}
        if how == "by its owner":
            signed_in = bearer(client.post("/auth/login", json=LOGIN))
            sent = {"new_email": "eve@example.com", "password": ANN["password"]}
            assert client.post("/auth/email", json=sent, headers=signed_in).status_code == 200
        else:
            users, now = auth.context.users, auth.context.now()
            change(client, auth, lambda tx: users.change(tx, user["id"], new, now))
        assert told(client.post("/auth/verify-email", json={"token": old})) == REFUSED
        assert not standing(client, auth, user["id"]).verified
        client.post("/auth/verify-email/request", json=new)
        assert client.post("/auth/verify-email", json={"token": token_of(box, "eve@example.com")}).status_code == 200


@pytest.mark.parametrize("fate", ["disabled", "deleted"])
def test_a_link_of_an_account_that_may_not_act_is_worth_nothing(database_url, fate):
    """Disabled or deleted: the link that was mailed before is refused, and no new one is mailed."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        now = auth.context.now()
        if fate == "disabled":
            change(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=now))
        else:
            change(client, auth, lambda tx: remove_user(auth.context.users, tx, user_id, now=now))
        assert told(client.post("/auth/verify-email", json={"token": token_of(box)})) == REFUSED
        assert client.post("/auth/verify-email/request", json={"email": ANN["email"]}).status_code == 202
    assert len(box.messages) == 1


@pytest.mark.req("N7")
def test_who_waits_to_be_let_in_gets_the_link_when_they_are(database_url):
    """Nothing at registration and nothing on request; the link comes with the approval, in its transaction."""
    app, auth, _, box = posted(database_url, registration="approval")
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        assert client.post("/auth/verify-email/request", json={"email": ANN["email"]}).status_code == 202
        assert box.messages == []
        change(client, auth, lambda tx: accounts.approve(tx, user_id, now=auth.context.now()))
        assert kinds(box) == [("verify_email", "ann@example.com")]


@pytest.mark.parametrize(
    ("by", "verified", "mails"),
    [("social", False, 1), ("social", True, 0), ("import", False, 0), ("command", False, 0)],
)
def test_accounts_made_in_other_ways_get_the_link_when_it_is_theirs_to_prove(sqlite_url, by, verified, mails):
    """Nobody is written to who came by an import or a command, or whose address is proven already."""
    app, auth, _, box = posted(sqlite_url)
    with TestClient(app) as client:
        new = NewUser(email="bo@example.com")

        def make(tx):
            open_user(auth.context.users, tx, new, now=auth.context.now(), by=by, verified=verified)

        change(client, auth, make)
    assert len(box.messages) == mails


@pytest.mark.attack("link scanner")
def test_looking_at_a_link_uses_nothing_up(database_url):
    """Ten visits and a HEAD change nothing: the page has one button, no script, and lets no secret out."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        token = token_of(box)
        for _ in range(10):
            seen = client.get("/auth/verify-email", params={"token": token})
            assert seen.status_code == 200
        client.head("/auth/verify-email", params={"token": token})
        assert not standing(client, auth, user_id).verified
        assert seen.headers["referrer-policy"] == "no-referrer"
        assert seen.headers["cache-control"] == "no-store"
        policy = seen.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "script" not in seen.text.lower()
        assert not re.search(r"(?:href|src|action)=\"[^\"]*" + token[:8], seen.text)
        assert re.findall(r'<form method="post" action="([^"]*)"', seen.text) == ["verify-email"]
        done = client.post("/auth/verify-email", data={"token": token})
        assert (done.status_code, "is confirmed" in done.text) == (200, True)
        assert standing(client, auth, user_id).verified
        assert "before" in client.get("/auth/verify-email", params={"token": token}).text


def test_the_page_speaks_the_visitors_language_and_escapes(sqlite_url):
    """German is German, an unknown language is the installation's, and a strange secret stays text."""
    app, _, _, box = posted(sqlite_url, locale="fr")
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        asked = {"params": {"token": token_of(box)}}
        german = client.get("/auth/verify-email", headers={"Accept-Language": "de-AT,en;q=0.5"}, **asked)
        other = client.get("/auth/verify-email", headers={"Accept-Language": "xx"}, **asked)
        assert ('lang="de"' in german.text, 'lang="fr"' in other.text) == (True, True)
        odd = client.get("/auth/verify-email", params={"token": '"><script>alert(1)</script>'})
        assert (odd.status_code, "<script" in odd.text) == (400, False)


@pytest.mark.attack("host header poisoning")
@pytest.mark.asvs("V4.2.1")
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "8080"},
        {"Forwarded": "host=evil.example;proto=http"},
        {"X-Original-URL": "https://evil.example/", "X-Rewrite-URL": "https://evil.example/"},
        {"Origin": "https://evil.example", "Referer": "https://evil.example/"},
    ],
)
def test_no_header_leads_a_link_elsewhere(sqlite_url, headers):
    """Whatever a request says of where it went, links lead to the configured address."""
    app, _, _, box = posted(sqlite_url, trusted_proxies=["127.0.0.0/8"])
    with TestClient(app, client=("127.0.0.1", 50000)) as client:
        client.post("/auth/register", json=ANN, headers=headers)
        client.post("/auth/verify-email/request", json={"email": ANN["email"]}, headers=headers)
        client.post("/auth/forgot-password", json={"email": ANN["email"]}, headers=headers)
    links = [message.facts["link"] for message in box.messages]
    assert len(links) == 3
    assert all(link.startswith(f"{OURS}/auth/") and "evil" not in link for link in links)


@pytest.mark.attack("open redirect")
@pytest.mark.parametrize("name", ["next", "redirect", "redirect_to", "return_to", "url", "callbackURL", "domain"])
def test_no_parameter_leads_anybody_elsewhere(sqlite_url, name):
    """The pages redirect nowhere, and a request for a link takes no address of a page."""
    app, _, _, box = posted(sqlite_url)
    with TestClient(app, follow_redirects=False) as client:
        client.post("/auth/register", json=ANN)
        extra = {name: "https://evil.example/"}
        seen = client.get("/auth/verify-email", params={"token": token_of(box), **extra})
        assert (seen.status_code, "evil" in seen.text) == (200, False)
        assert client.post("/auth/verify-email/request", json={"email": ANN["email"], **extra}).status_code == 422
        done = client.post("/auth/verify-email", data={"token": token_of(box), **extra})
        assert (done.status_code, "location" in done.headers) == (422, False)


@pytest.mark.parametrize("base", ["https://app.example.com", "https://app.example.com/", "https://example.com/app/"])
def test_links_lead_to_the_hosts_own_pages_where_it_has_some(sqlite_url, base):
    """With `frontend_url`, the host's page takes the secret and sends it to the API."""
    app, _, _, box = posted(sqlite_url, frontend_url=base)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
    assert box.link() == f"{base.rstrip('/')}/verify-email?token={token_of(box)}"


def test_the_secret_is_in_no_table_and_no_event(database_url):
    """The database has a digest and a sealed message; neither holds what the link holds."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        client.post("/auth/forgot-password", json={"email": ANN["email"]})
        secrets = [message.facts["link"].rpartition(".")[2] for message in box.messages]
        rows = client.portal.call(auth.database.read, lambda tx: [dict(one) for one in tx.all(select(challenge))])
        sealed = client.portal.call(auth.database.read, lambda tx: [dict(one) for one in tx.all(select(_outbox()))])
    assert len(secrets) == 2
    for secret in secrets:
        assert secret not in repr(rows) + repr(sealed) + repr(events) + repr(box.messages)


def _outbox():
    from rimlock.core.schema import outbox

    return outbox


@pytest.mark.attack("one-time secret used by a race")
def test_of_fifty_confirmations_one_does_it(database_url):
    """Fifty at once with one link: one finds the address unproven, the others find it proven."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
    answers = at_once(app, auth, "/auth/verify-email", [{"token": token_of(box)}] * 50)
    assert Counter(answer.json().get("status") for answer in answers) == {"verified": 1, "already_verified": 49}
    assert len([event for event in events if type(event) is EmailVerified]) == 1


@pytest.mark.attack("guessing a link")
@pytest.mark.asvs("V2.4.1", "V6.6.3")
def test_guesses_are_limited(database_url):
    """Five wrong secrets a minute from one address; then also a right one waits, and is as good as before."""
    clock = FrozenClock()
    app, _, _, box = posted(database_url, clock=clock, login_rate=5)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        token = token_of(box)
        wrong = f"{token[:-1]}{'A' if token[-1] != 'A' else 'B'}"
        for path in ("/auth/verify-email", "/auth/reset-password", "/auth/change-email/confirm"):
            sent = {"token": wrong} | ({"password": BETTER} if "reset" in path else {})
            answers = [client.post(path, json=sent).status_code for _ in range(6)]
            assert answers == [400] * 5 + [429]
        assert client.post("/auth/verify-email", json={"token": token}).status_code == 429
        clock.advance(61)
        assert client.post("/auth/verify-email", json={"token": token}).status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "0" * 32,
        f"{'0' * 32}.{'A' * 43}",
        f"{'0' * 32}.{'A' * 42}=",
        "'; --",
        "\N{GREEK SMALL LETTER MU}" * 40,
    ],
)
def test_what_is_no_secret_is_refused_like_a_wrong_one(sqlite_url, token):
    """One answer for whatever it is, on the page and in the API."""
    app, _, _, _ = posted(sqlite_url)
    with TestClient(app) as client:
        assert told(client.post("/auth/verify-email", json={"token": token})) == REFUSED
        assert client.get("/auth/verify-email", params={"token": token}).status_code == 400


@pytest.mark.parametrize(
    "sent", [{}, {"token": 1}, {"token": None}, {"token": ["a"]}, {"token": "a", "user_id": "b"}, []]
)
def test_the_body_has_a_token_and_nothing_else(sqlite_url, sent):
    """Anything else is 422, without repeating what was sent."""
    app, _, _, _ = posted(sqlite_url)
    with TestClient(app) as client:
        assert told(client.post("/auth/verify-email", json=sent)) == (422, "invalid_request")


def test_only_the_proven_sign_in_where_that_is_asked_for(database_url):
    """A right password gets `email_not_verified`, a wrong one learns nothing, and the link opens the door."""
    app, _, events, box = posted(database_url, require_verified=True)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        assert told(client.post("/auth/login", json={**LOGIN, "password": BETTER})) == (401, "invalid_login")
        assert told(client.post("/auth/login", json=LOGIN)) == (403, "email_not_verified")
        form = {"grant_type": "password", "username": LOGIN["login"], "password": LOGIN["password"]}
        assert client.post("/auth/token", data=form).status_code in {400, 403}
        client.post("/auth/verify-email", json={"token": token_of(box)})
        assert client.post("/auth/login", json=LOGIN).status_code == 200
    refusals = [event.code for event in events if type(event).__name__ == "LoginRefused"]
    assert refusals == ["email_not_verified"] * 2


def test_who_is_signed_in_keeps_what_they_have(database_url):
    """Confirming while signed in to the account ends nothing: the same person did both."""
    app, auth, events, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        signed_in = bearer(client.post("/auth/login", json=LOGIN))
        key = client.post("/auth/api-keys", json={"name": "mine"}, headers=signed_in)
        assert key.status_code == 201, key.text
        client.post("/auth/verify-email", json={"token": token_of(box)}, headers=signed_in)
        me = client.get("/auth/me", headers=signed_in).json()
        assert me["verified"] is True
        now = auth.context.now()
        change(client, auth, lambda tx: accounts.set_verified(tx, me["id"], verified=False, now=now))
        assert told(client.post("/auth/verify-email", json={"token": token_of(box)})) == REFUSED
    proven = next(event for event in events if type(event) is EmailVerified)
    assert (proven.attended, proven.keys_revoked, proven.sessions_ended) == (True, 0, 0)


def test_a_link_that_is_spent_stays_no_secret_of_a_waiting_one(database_url):
    """`recall` tells of a spent secret only to who holds it: another secret under the same id is refused."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        token = token_of(box)
        client.post("/auth/verify-email", json={"token": token})
        forged = f"{token.partition('.')[0]}.{'A' * 43}"

        def recalled(tx):
            return challenges.recall(tx, "verify-email", forged, now=auth.context.now())

        with pytest.raises(challenges.ChallengeRefused):
            client.portal.call(auth.database.read, recalled)
