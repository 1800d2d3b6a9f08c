"""An application that people sign in to through the stub, and the steps a browser takes."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from features.social.stub import CLIENT, SECRET, standing
from rimlock import Rimlock, Settings
from rimlock.core import accounts, identities
from rimlock.core.events import Event
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.password import PasswordFeature
from rimlock.features.profile import ProfileFeature
from rimlock.features.sessions import SessionsFeature
from rimlock.features.social import Provider, SocialFeature

ROOT = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
APP = "https://app.example.com"
API = "https://api.example.com"
GOOD = "seven green ladders"


@pytest.fixture
def stub(clock):
    """A provider that does as it is told."""
    with standing(clock) as one:
        yield one


def at(stub, name="stub", **given):
    """Return our registration with the provider."""
    plain = {"name": name, "client_id": CLIENT, "client_secret": SECRET, "issuer": stub.url}
    return Provider(**{**plain, **given})


def installed(url, clock, *providers, policies=(), send=None, features=(), **settings):
    """Return a new application, its Rimlock, and the list its events are written to."""
    plain = {"frontend_url": APP, "backend_url": API, "issuer": API, "login_rate": 1000, "registration_rate": 1000}
    social = SocialFeature(providers, send=send)
    auth = Rimlock(
        Settings(secrets=[ROOT], database=url, create_tables=True, **{**plain, **settings}),
        features=[PasswordFeature(), ProfileFeature(), SessionsFeature(), social, *features],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        policies=policies,
        clock=clock,
    )
    events = []
    auth.on(Event, events.append)
    app = FastAPI()
    auth.install(app)
    return app, auth, events


def browser(app):
    """Return a browser at our address, over TLS."""
    return TestClient(app, base_url=API, follow_redirects=False)


def leave(client, provider="stub", **asked):
    """Begin a sign-in; return where the browser is sent."""
    answer = client.get(f"/auth/oauth/{provider}", params=asked)
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


def come_back(client, brought, provider="stub"):
    """Bring what the provider said; return our answer."""
    return client.get(f"/auth/oauth/callback/{provider}", params=brought)


def told(answer):
    """Return what our redirect says in the address of the page."""
    assert answer.status_code == 302, answer.text
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def attempt(client, stub, provider="stub", **asked):
    """Go to the provider and come back; return what the page's address says."""
    return told(come_back(client, stub.authorize(leave(client, provider, **asked)), provider))


def fetch(client, code, **form):
    """Exchange the code of the address."""
    return client.post("/auth/oauth/exchange", json={"code": code, **form})


def signed_in(client, stub, provider="stub", **form):
    """Sign in through the provider; return the answer with the tokens, or what refused them."""
    found = attempt(client, stub, provider)
    assert "code" in found, found
    return fetch(client, found["code"], **form)


def bearer(answer):
    """Return the header that an answer with tokens is good for."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def of_kind(events, kind):
    """Return the events of one type."""
    return [event for event in events if type(event) is kind]


def whose(client, auth, stub, subject="subject-1"):
    """Return the identity, as the database has it."""
    return client.portal.call(auth.database.read, lambda tx: identities.find(tx, stub.url, subject))


def registered(client, auth, email="ann@example.com", *, verified=False, password=GOOD):
    """Register by password; return the user's id."""
    user_id = client.post("/auth/register", json={"email": email, "password": password}).json()["id"]
    if verified:
        now = auth.context.now()
        work = lambda tx: accounts.set_verified(tx, user_id, verified=True, now=now)
        client.portal.call(auth.database.write, work)
    return user_id


def by_password(client, email="ann@example.com", password=GOOD):
    """Sign in by password; return the answer."""
    return client.post("/auth/login", json={"login": email, "password": password})
