"""One application for each test, on a database of its own, with the mails it posts."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from launch.main import create_app

from rimlock import Settings
from rimlock.profiles.fastlaunch import FastLaunch
from rimlock.testing import Outbox

WEBHOOK_SECRET = "what the payment provider and we know"


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
    """Return what makes an application; the profile and settings may be others than in service."""
    monkeypatch.setenv("LAUNCH_WEBHOOK_SECRET", WEBHOOK_SECRET)

    def made(profile: FastLaunch | None = None, **settings: Any) -> FastAPI:
        plain = {"database": f"sqlite:///{tmp_path / 'launch.db'}", "frontend_url": "http://localhost:3000"}
        whole = {**plain, "prefix": "/account", "require_verified": True, "mail_url": "none:", **settings}
        return create_app(Settings(secrets=["hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"], **whole), profile)

    return made


@pytest.fixture
def app(make: Callable[..., FastAPI]) -> FastAPI:
    """Return the application as it is in service."""
    return make()


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Return a caller who follows no redirects."""
    with TestClient(app, follow_redirects=False) as one:
        yield one


@pytest.fixture
def outbox(app: FastAPI) -> Outbox:
    """Return the mails that are posted from now on."""
    return Outbox(app.state.auth)


@pytest.fixture
def member(client: TestClient, outbox: Outbox) -> dict[str, str]:
    """Return what a request of a verified user carries."""
    body = {"username": "ann", "email": "ann@example.com", "password": "seven green ladders"}
    assert client.post("/auth/create-user", json=body).status_code == 201
    parts = urlsplit(outbox.link("ann@example.com"))
    assert client.get(f"{parts.path}?{parts.query}").status_code == 307
    answer = client.post("/auth/token", data={"username": "ann", "password": "seven green ladders"})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture
def notify(client: TestClient) -> Callable[..., Any]:
    """Return what sends a notice of the payment provider; `signed=False` sends one of somebody else."""

    def send(*, signed: bool = True, **notice: Any) -> Any:
        usual = {"created": 1_000, "customer_id": "cus_1", "subscription_id": "sub_1", "plan_id": "pro"}
        body = json.dumps({**usual, "status": "active", **notice}).encode()
        signature = hmac.new(WEBHOOK_SECRET.encode(), body, sha256).hexdigest() if signed else "0" * 64
        return client.post("/billing/webhook", content=body, headers={"X-Signature": signature})

    return send
