"""One application for the whole run, one fresh database for each test.

LAB_APP names the application under test, "module:attribute"; the attribute may be a factory without arguments.
LAB_TEST_HEADERS, a JSON object, is sent with every request, as a proxy in front of a deployment would add headers.
LAB_API_KEY is the key; without it the tests choose one, before the application is imported.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from lab import database

KEY = os.environ.setdefault("LAB_API_KEY", "lab-key-for-the-tests")
HEADERS: dict[str, str] = json.loads(os.environ.get("LAB_TEST_HEADERS") or "{}")


@pytest.fixture(scope="session")
def app() -> Any:
    """Return the application under test."""
    module, _, attribute = os.environ.get("LAB_APP", "lab.main:app").partition(":")
    found = getattr(import_module(module), attribute)
    return found() if isfunction(found) and not signature(found).parameters else found


@pytest.fixture(autouse=True)
def fresh_database(tmp_path: Path) -> Iterator[str]:
    """Yield an empty database of the test's own, as a URL."""
    url = f"sqlite:///{tmp_path / 'lab.db'}"
    database.configure(url)
    yield url
    database.current_engine().dispose()


@pytest.fixture
def client(app: Any) -> TestClient:
    """Return a caller without the key."""
    return TestClient(app, headers=HEADERS)


@pytest.fixture
def keyed(app: Any) -> TestClient:
    """Return a caller with the key."""
    return TestClient(app, headers={**HEADERS, "X-API-Key": KEY})


@pytest.fixture
def instrument(keyed: TestClient) -> int:
    """Return the id of an instrument that exists."""
    answer = keyed.post("/instruments", json={"name": "IC 1", "model": "Anholt IC 2100", "location": "Room 12"})
    assert answer.status_code == 201
    return int(answer.json()["id"])


@pytest.fixture
def record(keyed: TestClient, instrument: int) -> Callable[..., dict[str, Any]]:
    """Return a function that records a result and returns it; its arguments replace the usual values."""

    def record_one(**changes: Any) -> dict[str, Any]:
        usual = {
            "sample": "RIV-1",
            "instrument_id": instrument,
            "method": "nitrate",
            "result": 10.0,
            "recorded_at": "2026-03-02T09:30:00Z",
        }
        answer = keyed.post("/analyses", json=usual | changes)
        assert answer.status_code == 201, answer.text
        recorded: dict[str, Any] = answer.json()
        return recorded

    return record_one
