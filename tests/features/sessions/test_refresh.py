"""`POST /refresh` and the refresh grant: one use, one successor, from the body or from the cookie."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.sessions import Device
from rimlock.crypto.opaque import mint_refresh
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import FrozenClock, count_statements, sign_in

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
PAGE = {"X-Rimlock": "1", "Origin": "http://localhost:8000"}
COOKIE = Device(transport="cookie")


def fitted(database_url, clock=None, **settings):
    """Return an installation with sessions alone, and a client of its application."""
    chosen = {"secrets": [SECRET], "database": database_url, "create_tables": True, "insecure_cookies": True}
    auth = Rimlock(Settings(**chosen, **settings), features=[SessionsFeature()], clock=clock or FrozenClock())
    app = FastAPI()
    auth.install(app)
    return auth, TestClient(app)


def refresh(client, token):
    """Refresh by the body."""
    return client.post("/auth/refresh", json={"refresh_token": token})


def with_cookie(client, token, headers=PAGE, **more):
    """Refresh by the cookie."""
    return client.post("/auth/refresh", headers={**headers, "Cookie": f"rimlock={token}"}, **more)


def cookie_of(auth, client):
    """Sign in a browser; return what its cookie holds."""
    visitor = sign_in(auth, client, device=COOKIE)
    assert visitor.refresh_token is None
    return mint_refresh(auth.context.root, visitor.session_id, 0)


@pytest.mark.req("L6")
def test_a_refresh_rotates_and_the_new_access_token_works(database_url):
    """The successor differs, and the access token beside it is accepted."""
    auth, client = fitted(database_url)
    with client:
        visitor = sign_in(auth, client)
        answer = refresh(client, visitor.refresh_token)
        assert answer.status_code == 200
        body = answer.json()
        assert body["refresh_token"] != visitor.refresh_token
        assert body["expires_in"] == 900
        assert body["token_type"] == "Bearer"
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers
        listed = client.get("/auth/sessions", headers={"Authorization": f"Bearer {body['access_token']}"})
        assert listed.json()["items"][0]["id"] == visitor.session_id


@pytest.mark.req("L6")
def test_a_lost_answer_is_asked_for_again(database_url):
    """Within the grace the same token gets the same successor, however often."""
    auth, client = fitted(database_url)
    with client:
        token = sign_in(auth, client).refresh_token
        successors = {refresh(client, token).json()["refresh_token"] for _ in range(5)}
        assert len(successors) == 1
        assert refresh(client, successors.pop()).status_code == 200


@pytest.mark.req("L6")
@pytest.mark.attack("refresh replay")
def test_a_replay_after_the_grace_ends_the_session(database_url, clock):
    """Afterwards a used token ends the session: the thief's, and the owner's, who signs in again."""
    auth, client = fitted(database_url, clock)
    with client:
        visitor = sign_in(auth, client)
        successor = refresh(client, visitor.refresh_token).json()["refresh_token"]
        clock.advance(31)
        refused = refresh(client, visitor.refresh_token)
        assert (refused.status_code, refused.json()["code"]) == (401, "credential_invalid")
        assert refresh(client, successor).status_code == 401
        assert client.get("/auth/sessions", headers=visitor.headers).status_code == 401


def test_a_refresh_is_one_statement(database_url):
    """The busiest route asks the database once."""
    auth, client = fitted(database_url)
    with client:
        token, counts = sign_in(auth, client).refresh_token, []
        for _ in range(5):
            with count_statements(auth) as asked:
                token = refresh(client, token).json()["refresh_token"]
            counts.append(asked.count)
        assert min(counts) == 1, "the follower asks beside it now and then, but not five times"


def test_a_disabled_account_refreshes_no_more(database_url):
    """What an account may do is asked with every refresh."""
    auth, client = fitted(database_url)
    with client:
        visitor = sign_in(auth, client)
        client.portal.call(
            lambda: auth.database.write(
                lambda tx: accounts.set_active(tx, visitor.user.id, active=False, now=auth.context.now())
            )
        )
        assert refresh(client, visitor.refresh_token).status_code == 401


@pytest.mark.parametrize("after", [14 * 86400, 30 * 86400])
def test_lifetimes_end_a_session(sqlite_url, clock, after):
    """Idle for too long, or simply over: both are told apart from a bad token, and neither starts anew."""
    auth, client = fitted(sqlite_url, clock)
    with client:
        token = sign_in(auth, client).refresh_token
        clock.advance(after)
        assert refresh(client, token).json()["code"] == "credential_expired"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'"rr1"',
        b'[["refresh_token","a"]]',
        b'{"refresh_token":1}',
        b'{"refresh_token":null}',
        b'{"token":"a"}',
        b'{"refresh_token":"a","scope":"b"}',
        b'{"refresh_token":"a","refresh_token":"b"}',
        b"[" * 60_000,
        b"\xff",
    ],
)
def test_a_body_of_another_form_is_refused_and_not_repeated(sqlite_url, body):
    """Only an object with one string is read."""
    _, client = fitted(sqlite_url)
    with client:
        answer = client.post("/auth/refresh", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_a_form_is_no_json(sqlite_url):
    """What a page of another site can send without asking is not read."""
    _, client = fitted(sqlite_url)
    with client:
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = client.post("/auth/refresh", content=b'{"refresh_token":"a"}', headers={"Content-Type": kind})
            assert answer.status_code == 415


@pytest.mark.parametrize("token", ["", "x", "rr1." + "0" * 32 + ".0." + "A" * 43, "é" * 20, "a" * 5000])
def test_what_is_no_token_of_ours_is_refused_without_a_query(sqlite_url, token):
    """A forged token never reaches the database."""
    auth, client = fitted(sqlite_url)
    with client:
        before = auth.database.executed
        assert refresh(client, token).json()["code"] == "credential_invalid"
        assert auth.database.executed == before


def test_no_token_at_all(sqlite_url):
    """Nothing in the cookie and nothing in the body: 401, and nothing is dropped."""
    _, client = fitted(sqlite_url)
    with client:
        for more in ({}, {"json": {}}):
            answer = client.post("/auth/refresh", **more)
            assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")
            assert "set-cookie" not in answer.headers


@pytest.mark.req("L14")
def test_the_cookie_is_renewed_in_the_cookie(database_url):
    """A browser's token stays out of the body, and the page sends an empty one."""
    auth, client = fitted(database_url)
    with client:
        token = cookie_of(auth, client)
        answer = with_cookie(client, token)
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()
        kept = answer.headers["set-cookie"]
        assert kept.startswith("rimlock=rr1.")
        assert "HttpOnly" in kept
        assert "SameSite=Strict" in kept
        assert token not in kept


@pytest.mark.req("L14")
@pytest.mark.attack("cross-site refresh")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8000"},
        {"X-Rimlock": "1", "Origin": "https://evil.example"},
        {"X-Rimlock": "1", "Origin": "null"},
        {"X-Rimlock": "1", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_another_site_cannot_refresh(sqlite_url, headers):
    """The cookie counts only from a page that may use it, and is neither used nor dropped otherwise."""
    auth, client = fitted(sqlite_url)
    with client:
        token = cookie_of(auth, client)
        answer = with_cookie(client, token, headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site_request")
        assert "set-cookie" not in answer.headers
        assert with_cookie(client, token).status_code == 200


def test_two_tokens_are_refused(sqlite_url):
    """Which of them is meant cannot be known."""
    auth, client = fitted(sqlite_url)
    with client:
        token = cookie_of(auth, client)
        answer = with_cookie(client, token, json={"refresh_token": token})
        assert (answer.status_code, answer.json()["code"]) == (400, "two_refresh_tokens")


def test_a_bad_cookie_is_dropped(sqlite_url):
    """A browser does not go on sending what will never work again."""
    _, client = fitted(sqlite_url)
    with client:
        answer = with_cookie(client, "rr1.nonsense")
        assert (answer.status_code, answer.json()["code"]) == (401, "credential_invalid")
        assert "rimlock=;" in answer.headers["set-cookie"]
        assert "Max-Age=0" in answer.headers["set-cookie"]


@pytest.mark.req("L6")
def test_the_token_endpoint_refreshes_too(database_url):
    """`grant_type=refresh_token`, with the errors of RFC 6749."""
    auth, client = fitted(database_url)
    with client:
        token = sign_in(auth, client).refresh_token
        form = {"grant_type": "refresh_token", "refresh_token": token}
        assert client.post("/auth/token", data=form).json()["refresh_token"].startswith("rr1.")
        refused = client.post("/auth/token", data={**form, "refresh_token": "x"})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
        missing = client.post("/auth/token", data={"grant_type": "refresh_token"})
        assert (missing.status_code, missing.json()["error"]) == (400, "invalid_request")


def test_the_document_shows_the_body(sqlite_url):
    """OpenAPI says what to send, though no model reads it."""
    _, client = fitted(sqlite_url)
    with client:
        operation = client.get("/openapi.json").json()["paths"]["/auth/refresh"]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert list(schema["properties"]) == ["refresh_token"]
        assert "200" in operation["responses"]
