"""The tests that the documents of the LAUNCH API show: the same requests, the same answers."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI

from rimlock.features.social import Endpoints, Provider
from rimlock.profiles.fastlaunch import FastLaunch
from rimlock.testing import Outbox

pytestmark = pytest.mark.anyio
GOOGLE = Provider(
    name="google",
    client_id="launch",
    client_secret="of the tests",
    issuer="https://accounts.google.com",
    endpoints=Endpoints(
        authorization="https://accounts.google.com/o/oauth2/v2/auth",
        token="https://oauth2.googleapis.com/token",
        user="https://openidconnect.googleapis.com/v1/userinfo",
    ),
)
"""Named in full, so that nobody is asked over the network where it is."""

NEW = {"username": "testuser", "email": "test@example.com", "password": "password123"}


@pytest.fixture
async def caller(make: Callable[..., FastAPI]):
    """Return an async client of the application with the documented passwords allowed, and its mails."""
    app = make(FastLaunch(insecure_weak_passwords=True, providers=[GOOGLE]))
    auth = app.state.auth
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://test") as client:
        client.outbox = Outbox(auth)
        yield client
    await auth.stop()


async def test_create_user(caller) -> None:
    """Somebody registers: 201, and a message."""
    response = await caller.post("/auth/create-user", json=NEW)
    assert response.status_code == 201
    assert "message" in response.json()


async def test_login(caller) -> None:
    """Somebody who is verified signs in: 200, and both tokens."""
    await caller.post("/auth/create-user", json=NEW)
    parts = urlsplit(caller.outbox.link(NEW["email"]))
    await caller.get(f"{parts.path}?{parts.query}")
    response = await caller.post("/auth/token", data={"username": NEW["username"], "password": NEW["password"]})
    assert response.status_code == 200
    data = response.json()
    assert "access_token" in data
    assert "refresh_token" in data


async def test_oauth_google(caller) -> None:
    """Somebody signs in by Google: a redirect there."""
    response = await caller.get("/auth/oauth/google", follow_redirects=False)
    assert response.status_code in {302, 307}
    assert response.headers["location"].startswith("https://accounts.google.com/")
