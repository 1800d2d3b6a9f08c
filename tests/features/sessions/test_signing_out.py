"""Signing out here and everywhere, and the list of where one is signed in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.sessions import Device, SessionEnded
from rimlock.crypto.opaque import mint_refresh
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import FrozenClock, sign_in

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
PAGE = {"X-Rimlock": "1", "Origin": "http://localhost:8000"}


def fitted(database_url, clock=None):
    """Return an installation with sessions alone, and a client of its application."""
    settings = Settings(secrets=[SECRET], database=database_url, create_tables=True, insecure_cookies=True)
    auth = Rimlock(settings, features=[SessionsFeature()], clock=clock or FrozenClock())
    app = FastAPI()
    auth.install(app)
    return auth, TestClient(app)


def refreshes(client, token):
    """Say whether a refresh token still works."""
    return client.post("/auth/refresh", json={"refresh_token": token}).status_code == 200


def listed(client, visitor, **query):
    """Return a page of a visitor's sessions."""
    answer = client.get("/auth/sessions", headers=visitor.headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.req("L5")
def test_signing_out_ends_access_and_refresh_at_once(database_url):
    """204, and neither token works any more; a second time changes nothing and is 204 too."""
    auth, client = fitted(database_url)
    ended = []
    auth.on(SessionEnded, lambda event: ended.append((event.session_id, event.reason)))
    with client:
        visitor = sign_in(auth, client)
        assert client.post("/auth/logout", headers=visitor.headers).status_code == 204
        assert client.get("/auth/sessions", headers=visitor.headers).status_code == 401
        assert not refreshes(client, visitor.refresh_token)
        again = client.post("/auth/logout", headers=visitor.headers)
        assert again.status_code == 204
        assert "clear-site-data" not in again.headers
    assert ended == [(visitor.session_id, "logout")]


def test_signing_out_by_the_refresh_token(database_url, clock):
    """Enough when the access token has expired; a token of ours that is dead, or none of ours, is no error."""
    auth, client = fitted(database_url, clock)
    with client:
        visitor = sign_in(auth, client)
        clock.advance(3600)
        expired = client.post("/auth/logout", headers=visitor.headers)
        assert (expired.status_code, expired.json()["code"]) == (401, "credential_expired")
        body = {"refresh_token": visitor.refresh_token}
        assert client.post("/auth/logout", headers=visitor.headers, json=body).status_code == 204
        assert not refreshes(client, visitor.refresh_token)
        assert client.post("/auth/logout", json=body).status_code == 204
        assert client.post("/auth/logout", json={"refresh_token": "nonsense"}).status_code == 204


def test_signing_out_with_nothing_is_told(sqlite_url):
    """A client that forgot its token is not told that it is signed out."""
    _, client = fitted(sqlite_url)
    with client:
        assert client.post("/auth/logout").json()["code"] == "credential_missing"
        assert client.post("/auth/logout", headers={"Authorization": "Bearer a.b.c"}).status_code == 401


def test_signing_out_after_a_change_of_roles(sqlite_url):
    """An access token that died of a raised epoch still ends its own session."""
    auth, client = fitted(sqlite_url)
    with client:
        visitor = sign_in(auth, client)
        client.portal.call(
            lambda: auth.database.write(
                lambda tx: accounts.set_roles(tx, visitor.user.id, ["editor"], now=auth.context.now())
            )
        )
        assert client.get("/auth/sessions", headers=visitor.headers).status_code == 401
        assert client.post("/auth/logout", headers=visitor.headers).status_code == 204
        assert not refreshes(client, visitor.refresh_token)


@pytest.mark.req("L14", "L17")
def test_signing_out_drops_the_cookie(database_url):
    """The session of the cookie is ended and the cookie taken away; another site can do neither."""
    auth, client = fitted(database_url)
    with client:
        visitor = sign_in(auth, client, device=Device(transport="cookie"))
        token = mint_refresh(auth.context.root, visitor.session_id, 0)
        cookie = {"Cookie": f"rimlock={token}"}
        assert client.post("/auth/logout", headers=cookie).status_code == 403
        assert listed(client, visitor)["items"]
        answer = client.post("/auth/logout", headers={**PAGE, **cookie})
        assert answer.status_code == 204
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert client.get("/auth/sessions", headers=visitor.headers).status_code == 401


@pytest.mark.req("L5")
def test_signing_out_everywhere(database_url):
    """All sessions of this user end, or all but this one; nobody else's."""
    auth, client = fitted(database_url)
    with client:
        phone, desk, tablet = (sign_in(auth, client) for _ in range(3))
        other = sign_in(auth, client, email="bob@example.com")
        kept = client.post("/auth/logout-all", headers=desk.headers, json={"keep_current": True})
        assert (kept.status_code, kept.json()) == (200, {"ended": 2})
        assert client.get("/auth/sessions", headers=phone.headers).status_code == 401
        assert [one["id"] for one in listed(client, desk)["items"]] == [desk.session_id]
        assert client.post("/auth/logout-all", headers=desk.headers).json() == {"ended": 1}
        assert not refreshes(client, tablet.refresh_token)
        assert not refreshes(client, desk.refresh_token)
        assert refreshes(client, other.refresh_token)


def test_signing_out_everywhere_wants_a_plain_answer(sqlite_url):
    """Unknown fields and things that only look like a choice are refused."""
    auth, client = fitted(sqlite_url)
    with client:
        visitor = sign_in(auth, client)
        for body in ({"keep_current": "yes"}, {"keep": True}, []):
            assert client.post("/auth/logout-all", headers=visitor.headers, json=body).status_code == 422
        assert client.post("/auth/logout-all").status_code == 401


def test_the_list_shows_each_device(database_url, clock):
    """Where one is signed in, since when, with what; times in UTC; which of them is this one."""
    auth, client = fitted(database_url, clock)
    with client:
        agent = Device(agent="Firefox\x00 on Linux", address="192.0.2.7", remembered=False)
        first = sign_in(auth, client, device=agent)
        began = datetime.fromtimestamp(clock(), UTC)
        clock.advance(60)
        second = sign_in(auth, client)
        page = listed(client, second)
        assert page["next"] is None
        assert [(one["id"], one["current"]) for one in page["items"]] == [
            (first.session_id, False),
            (second.session_id, True),
        ]
        shown = page["items"][0]
        assert shown["created_at"] == began.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert shown["last_used_at"] == shown["created_at"]
        assert shown["expires_at"] == (began + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert (shown["device"], shown["address"]) == ("Firefox on Linux", "192.0.2.7")
        assert (shown["remembered"], shown["methods"]) == (False, ["test"])


def test_the_list_is_paged(database_url, clock):
    """Every session once, in order, however small the pages; a cursor of another form is refused."""
    auth, client = fitted(database_url, clock)
    with client:
        visitors = []
        for _ in range(5):
            visitors.append(sign_in(auth, client))
            clock.advance(1)
        seen, cursor = [], {}
        while True:
            page = listed(client, visitors[0], limit=2, **cursor)
            seen += [one["id"] for one in page["items"]]
            if page["next"] is None:
                break
            cursor = {"after": page["next"]}
        assert seen == [one.session_id for one in visitors]
        for query in ({"limit": 0}, {"limit": 101}, {"after": "' OR 1=1"}):
            assert client.get("/auth/sessions", headers=visitors[0].headers, params=query).status_code == 422


@pytest.mark.req("L5")
@pytest.mark.attack("somebody else's session by its id")
def test_one_session_is_ended_by_its_owner_alone(database_url):
    """Own: 204, at once. Another's, an ended one and an unknown one: the same 404."""
    auth, client = fitted(database_url)
    with client:
        phone, desk = sign_in(auth, client), sign_in(auth, client)
        other = sign_in(auth, client, email="bob@example.com")
        theirs = client.delete(f"/auth/sessions/{other.session_id}", headers=desk.headers)
        unknown = client.delete(f"/auth/sessions/{'0' * 32}", headers=desk.headers)
        assert (theirs.status_code, unknown.status_code) == (404, 404)
        assert theirs.content == unknown.content
        assert refreshes(client, other.refresh_token)
        assert client.delete(f"/auth/sessions/{phone.session_id}", headers=desk.headers).status_code == 204
        assert client.get("/auth/sessions", headers=phone.headers).status_code == 401
        assert client.delete(f"/auth/sessions/{phone.session_id}", headers=desk.headers).status_code == 404
        assert client.delete("/auth/sessions/nonsense", headers=desk.headers).status_code == 422


def test_ending_the_present_session_takes_its_cookie(sqlite_url):
    """The browser that ends its own session does not keep a dead token."""
    auth, client = fitted(sqlite_url)
    with client:
        visitor = sign_in(auth, client, device=Device(transport="cookie"))
        cookie = {"Cookie": f"rimlock={mint_refresh(auth.context.root, visitor.session_id, 0)}"}
        answer = client.delete(f"/auth/sessions/{visitor.session_id}", headers={**visitor.headers, **cookie})
        assert "Max-Age=0" in answer.headers["set-cookie"]
