"""Old sessions of the application's own, exchanged for tokens."""

from __future__ import annotations

import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from features.password.office import ANN, GOOD, bearer, installed, of_kind
from rimlock import ConfigurationError
from rimlock.core import accounts
from rimlock.core.errors import EmailNotVerified
from rimlock.core.login import Allow, Deny
from rimlock.core.sessions import SessionStarted
from rimlock.features.password import PasswordFeature
from rimlock.features.profile import ProfileFeature
from rimlock.features.session_exchange import SessionExchange
from rimlock.features.session_exchange.events import SessionExchangeFailed
from rimlock.features.sessions import SessionsFeature

pytestmark = pytest.mark.req("F6")
OURS = {"X-Rimlock": "1", "Origin": "http://localhost:8000"}
PLACE = "/auth/exchange-session"


class Host:
    """An application's own sessions: what its cookie says, and whose that is."""

    def __init__(self):
        self.sessions = {}

    async def whose(self, request: Request) -> str | None:
        """Return whom the cookie names."""
        return self.sessions.get(request.cookies.get("legacy", ""))


def fitted(url, *, by="user_id", **settings):
    """Return an application with old sessions, those, its Rimlock and its events."""
    host = Host()
    features = [PasswordFeature(), ProfileFeature(), SessionsFeature(), SessionExchange(host.whose, by=by)]
    app, auth, events = installed(url, features=features, **settings)
    return app, host, auth, events


def registered(client):
    """Register Ann and return her id."""
    return client.post("/auth/register", json=ANN).json()["id"]


def exchanged(client, *, cookie="legacy=old-1", headers=OURS, **body):
    """Send the old cookie to the exchange."""
    sent = {**headers, "Cookie": cookie} if cookie else headers
    return client.post(PLACE, headers=sent, json=body or None)


def test_an_old_cookie_becomes_tokens(database_url):
    """Who has a session of the application's own is signed in here, by the method `session`, and it is audited."""
    app, host, _, events = fitted(database_url)
    with TestClient(app) as client:
        host.sessions["old-1"] = user_id = registered(client)
        answer = exchanged(client)
        assert answer.status_code == 200
        assert client.get("/auth/me", headers=bearer(answer)).json()["id"] == user_id
        refreshed = client.post("/auth/refresh", json={"refresh_token": answer.json()["refresh_token"]})
        assert refreshed.status_code == 200
    (started,) = of_kind(events, SessionStarted)
    assert (started.user_id, started.methods) == (user_id, "session")


def test_the_tokens_come_by_cookie_where_that_is_asked_for(sqlite_url):
    """The refresh token is in no body then."""
    app, host, _, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        host.sessions["old-1"] = registered(client)
        answer = exchanged(client, transport="cookie")
        assert "refresh_token" not in answer.json()
        assert answer.headers["set-cookie"].startswith("__Host-rimlock=")


@pytest.mark.asvs("7.5.1")
def test_an_old_session_is_no_fresh_sign_in(sqlite_url):
    """Nobody knows when it began: what asks for the password of a moment ago still does."""
    app, host, _, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        host.sessions["old-1"] = registered(client)
        refused = client.delete("/auth/me", headers=bearer(exchanged(client)))
        assert (refused.status_code, refused.json()["code"]) == (403, "fresh_login_required")


@pytest.mark.attack("login CSRF")
@pytest.mark.asvs("3.5.1", "3.5.3")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Rimlock": "1", "Origin": "https://evil.example"},
        {"X-Rimlock": "1", "Origin": "null"},
        {"X-Rimlock": "1", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://localhost:8000"},
    ],
)
def test_a_page_of_another_site_exchanges_nothing(sqlite_url, headers):
    """The application's cookie may travel from anywhere: the page has to be one of ours, and say so."""
    app, host, _, events = fitted(sqlite_url)
    with TestClient(app) as client:
        host.sessions["old-1"] = registered(client)
        refused = exchanged(client, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site_request")
        assert client.get(PLACE).status_code == 405
    assert not of_kind(events, SessionStarted)


def test_nobody_and_somebody_disabled_read_the_same(database_url):
    """No cookie, an unknown session, a user who is gone, one who may not act: one answer, 401."""
    app, host, auth, events = fitted(database_url)
    with TestClient(app) as client:
        user_id, now = registered(client), auth.context.now()
        host.sessions |= {"old-1": user_id, "gone": "nobody"}
        client.portal.call(auth.database.write, lambda tx: accounts.set_active(tx, user_id, active=False, now=now))
        answers = [exchanged(client, cookie=one) for one in (None, "legacy=x", "legacy=gone", "legacy=old-1")]
        assert {one.status_code for one in answers} == {401}
        assert len({one.text for one in answers}) == 1
        assert answers[0].json()["code"] == "old_session_invalid"
    assert len(of_kind(events, SessionExchangeFailed)) == 3


@pytest.mark.asvs("6.3.1")
def test_who_tries_on_and_on_waits(sqlite_url):
    """Guessing old sessions is limited as guessing any secret is."""
    app, host, _, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        host.sessions["old-1"] = registered(client)
        codes = [exchanged(client, cookie=f"legacy={number}").status_code for number in range(40)]
        assert codes[0] == 401
        assert codes[-1] == 429


def test_policies_decide_here_as_everywhere(sqlite_url):
    """A policy sees the method, and what it refuses is refused."""

    def wary(_, login):
        return Deny(EmailNotVerified()) if login.proof.method == "session" else Allow()

    app, host, _, _ = fitted(sqlite_url, policies=[wary])
    with TestClient(app) as client:
        host.sessions["old-1"] = registered(client)
        assert exchanged(client).json()["code"] == "email_not_verified"


def test_a_name_is_never_taken_for_an_id(sqlite_url):
    """By id only ids count, by login only logins: who calls themselves by another's id gains nothing."""
    app, host, _, _ = fitted(sqlite_url, by="login")
    with TestClient(app) as client:
        user_id = registered(client)
        mallory = {"email": "mallory@example.com", "username": user_id, "password": GOOD}
        mallorys = client.post("/auth/register", json=mallory).json()["id"]
        host.sessions |= {"old-1": user_id, "old-2": "ann@example.com", "old-3": mallorys}
        assert client.get("/auth/me", headers=bearer(exchanged(client))).json()["id"] == mallorys
        by_login = exchanged(client, cookie="legacy=old-2")
        assert client.get("/auth/me", headers=bearer(by_login)).json()["id"] == user_id
        assert exchanged(client, cookie="legacy=old-3").status_code == 401
    with pytest.raises(ConfigurationError):
        SessionExchange(host.whose, by="email")


def test_it_is_gone_when_the_feature_is(sqlite_url):
    """Without the feature there is no such route."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        assert client.post(PLACE, headers=OURS).status_code == 404


def test_the_function_sees_what_the_applications_middleware_made(sqlite_url):
    """Our route stands behind the middleware of the application: what it reads from the cookie is there."""
    sessions = {}

    class Reading:
        """Stands for an application's own session middleware."""

        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            scope["session"] = {"user": sessions.get("old-1")}
            await self.inner(scope, receive, send)

    async def whose(request):
        return request.session["user"]

    app, _, _ = installed(sqlite_url, features=[PasswordFeature(), ProfileFeature(), SessionExchange(whose)])
    app.add_middleware(Reading)
    with TestClient(app) as client:
        sessions["old-1"] = user_id = registered(client)
        answer = exchanged(client, cookie=None)
        assert client.get("/auth/me", headers=bearer(answer)).json()["id"] == user_id
