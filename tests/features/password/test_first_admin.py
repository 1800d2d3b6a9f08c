"""The first administrator's link: one at a time, one use, nothing spent for nothing, and a page without strangers."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from features.password.office import ANN, BETTER, GOOD, CountingHasher, bearer, installed, of_kind, visiting
from rimlock.core.registering import UserRegistered
from rimlock.core.schema import account
from rimlock.core.users import NewUser
from rimlock.features.password import logic

ROOT = {"email": "root@example.com", "username": "root", "password": GOOD}


def link(client, auth):
    """Return the secret of a new link, or None."""
    return client.portal.call(logic.first_admin_link, auth.context)


@pytest.mark.parametrize("as_form", [True, False])
def test_the_link_makes_one_administrator(database_url, as_form):
    """By the page's form or as JSON: an account with the role, which can sign in; the second use is refused."""
    app, auth, events = installed(database_url)
    with TestClient(app) as client:
        sent = {**ROOT, "token": link(client, auth)}
        body = {"data": sent} if as_form else {"json": sent}
        answer = client.post("/auth/first-admin", **body)
        assert answer.status_code == 201
        tokens = client.post("/auth/login", json={"login": "root", "password": GOOD})
        assert client.get("/auth/me", headers=bearer(tokens)).json()["roles"] == ["admin"]
        again = {**sent, "email": "eve@example.com", "username": "eve"}
        refused = client.post("/auth/first-admin", json=again)
        assert (refused.status_code, refused.json()["code"]) == (400, "challenge_refused")
        assert link(client, auth) is None
    assert [event.by for event in of_kind(events, UserRegistered)] == ["first_admin"]


def test_a_newer_link_makes_the_older_worthless(database_url):
    """Only the link that was printed last can be used."""
    app, auth, _ = installed(database_url)
    with TestClient(app) as client:
        old, new = link(client, auth), link(client, auth)
        assert client.post("/auth/first-admin", json={**ROOT, "token": old}).status_code == 400
        assert client.post("/auth/first-admin", json={**ROOT, "token": new}).status_code == 201


def test_a_link_lives_a_day(sqlite_url, clock):
    """A second before its end it works, at its end it does not."""
    app, auth, _ = installed(sqlite_url, clock=clock)
    with TestClient(app) as client:
        token = link(client, auth)
        clock.advance(timedelta(hours=24) - timedelta(seconds=1))
        assert client.get("/auth/first-admin", params={"token": token}).status_code == 200
        clock.advance(1)
        assert client.get("/auth/first-admin", params={"token": token}).status_code == 400
        assert client.post("/auth/first-admin", json={**ROOT, "token": token}).status_code == 400


def test_what_fails_spends_nothing(database_url):
    """A taken address, a weak password and a broken address leave the link as good as it was."""
    app, auth, _ = installed(database_url)
    with TestClient(app) as client:
        client.post("/auth/register", json=ANN)
        token = link(client, auth)
        for wrong, status in (
            ({"email": "ann@example.com"}, 409),
            ({"username": "ann"}, 409),
            ({"password": "short"}, 422),
            ({"email": "nothing"}, 422),
        ):
            answer = client.post("/auth/first-admin", json={**ROOT, "token": token, **wrong})
            assert answer.status_code == status
        assert client.get("/auth/first-admin", params={"token": token}).status_code == 200
        assert client.post("/auth/first-admin", json={**ROOT, "token": token}).status_code == 201


def test_with_an_administrator_a_link_is_worth_nothing(database_url):
    """A link that was printed before somebody became administrator in another way is refused, unspent or not."""
    app, auth, _ = installed(database_url)
    with TestClient(app) as client:
        token = link(client, auth)
        new = NewUser(email="op@example.com")
        made = client.portal.call(lambda: logic.create_user(auth.context, new, None, roles=("admin",)))
        answer = client.post("/auth/first-admin", json={**ROOT, "token": token})
        assert (answer.status_code, answer.json()["code"]) == (409, "first_admin_exists")
        assert client.get("/auth/first-admin", params={"token": token}).status_code == 409
        assert link(client, auth) is None

        def disable(tx):
            tx.change(update(account).where(account.c.user_id == made.user.id).values(active=False))

        client.portal.call(auth.database.write, disable)
        assert link(client, auth) is not None


@pytest.mark.parametrize("token", ["", "x", "0" * 32 + "." + "A" * 43, "a" * 200])
def test_a_guessed_link_costs_no_hashing(sqlite_url, token):
    """Whoever holds no secret makes nobody work."""
    hasher = CountingHasher()
    app, auth, _ = installed(sqlite_url, hasher=hasher)
    with TestClient(app) as client:
        link(client, auth)
        answer = client.post("/auth/first-admin", json={**ROOT, "token": token})
        assert (answer.status_code, answer.json()["code"]) == (400, "challenge_refused")
        assert client.get("/auth/first-admin", params={"token": token}).status_code == 400
    assert hasher.work == []


@pytest.mark.anyio
@pytest.mark.attack("one-time link race")
async def test_of_forty_simultaneous_uses_one_succeeds(database_url):
    """Forty people press the button of one link at once, each with a name of their own: one administrator."""
    app, auth, events = installed(database_url, login_rate=40)
    async with visiting(app, auth) as client:
        await client.get("/auth/first-admin")
        token = await logic.first_admin_link(auth.context)
        sent = [{"token": token, "email": f"root{count}@example.com", "password": GOOD} for count in range(40)]
        answers = await asyncio.gather(*(client.post("/auth/first-admin", json=one) for one in sent))
        users = await auth.database.read(lambda tx: auth.context.users.page(tx, after=None, limit=99))
    # Who is late finds the link spent (400), or hears before it is looked at that there is an administrator (409).
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(201) == 1
    assert set(statuses) <= {201, 400, 409}
    assert len(users) == 1
    assert len(of_kind(events, UserRegistered)) == 1


def test_the_page_brings_nothing_from_elsewhere_and_sends_nothing_there(sqlite_url):
    """No script, no foreign address, not to be framed or kept, no referrer; looking does not spend the link."""
    app, auth, _ = installed(sqlite_url)
    with TestClient(app) as client:
        token = link(client, auth)
        for _ in range(3):
            page = client.get("/auth/first-admin", params={"token": token})
            assert page.status_code == 200
        assert client.head("/auth/first-admin", params={"token": token}).status_code in {200, 405}
        assert f'value="{token}"' in page.text
        assert not re.search(r"<script|https?://|//[a-z]|\son[a-z]+=|<link|<img", page.text, re.IGNORECASE)
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert all(part in policy for part in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"))
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        assert client.post("/auth/first-admin", json={**ROOT, "token": token}).status_code == 201


def test_the_pages_style_is_the_one_its_policy_allows(sqlite_url):
    """The digest in the policy is that of the style in the page, so that a browser shows it."""
    from base64 import b64encode
    from hashlib import sha256

    app, auth, _ = installed(sqlite_url)
    with TestClient(app) as client:
        page = client.get("/auth/first-admin", params={"token": link(client, auth)})
    style = re.search(r"<style>(.*?)</style>", page.text, re.DOTALL)[1]
    expected = b64encode(sha256(style.encode()).digest()).decode()
    assert f"'sha256-{expected}'" in page.headers["content-security-policy"]


@pytest.mark.attack("markup injection")
def test_the_page_shows_mistakes_and_escapes_what_was_typed(sqlite_url):
    """The form comes back with the reasons and the names, as text; the password does not come back."""
    app, auth, _ = installed(sqlite_url)
    nasty = '"><script>alert(1)</script>'
    with TestClient(app) as client:
        token = link(client, auth)
        weak = client.post("/auth/first-admin", data={**ROOT, "token": token, "password": "w3ak-Q"})
        assert weak.status_code == 422
        assert 'role="alert"' in weak.text
        assert 'value="root@example.com"' in weak.text
        assert "w3ak-Q" not in weak.text
        for field in ("email", "username", "token", "password"):
            answer = client.post("/auth/first-admin", data={**ROOT, "token": token, field: nasty})
            assert answer.status_code in {400, 422} or field == "password"
            assert "<script" not in answer.text
            assert answer.headers["content-type"].startswith("text/html")
            assert "content-security-policy" in answer.headers
        incomplete = client.post("/auth/first-admin", data={"token": token})
        assert incomplete.status_code == 422


def test_an_empty_username_in_the_form_is_none(sqlite_url):
    """Browsers send fields that were left empty."""
    app, auth, _ = installed(sqlite_url)
    with TestClient(app) as client:
        sent = {**ROOT, "username": "", "token": link(client, auth)}
        assert client.post("/auth/first-admin", data=sent).status_code == 201
        headers = bearer(client.post("/auth/login", json={"login": ROOT["email"], "password": GOOD}))
        assert client.get("/auth/me", headers=headers).json()["username"] is None


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_other_kinds_of_bodies_are_refused(sqlite_url, kind):
    """What a page of another site can send without asking is not read as JSON."""
    app, auth, _ = installed(sqlite_url)
    with TestClient(app) as client:
        link(client, auth)
        answer = client.post("/auth/first-admin", content=b"{}", headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.attack("mass assignment")
@pytest.mark.parametrize("field", ["roles", "verified", "id", "display_name"])
def test_the_link_gives_what_it_gives(sqlite_url, field):
    """Even the first administrator chooses neither roles nor id."""
    app, auth, _ = installed(sqlite_url)
    with TestClient(app) as client:
        token = link(client, auth)
        answer = client.post("/auth/first-admin", json={**ROOT, "token": token, "password": BETTER, field: "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
