"""What every suite may use: databases, a clock, one kind of event loop, and a network that ends at the machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from parts.ledger import Parts
from parts.postgres import Databases
from parts.valkey import emptied
from rimlock.testing import FrozenClock

pytest_plugins = ["parts.plugin"]

settings.register_profile("ci", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, the loop that uvicorn runs."""
    return "asyncio"


@pytest.fixture
def clock() -> FrozenClock:
    """A clock that stands still until the test moves it."""
    return FrozenClock()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written behind the answers waits until the test asks for it: so that statements can be counted."""
    monkeypatch.setattr("rimlock.auth.FLUSH_SECONDS", 3600.0)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'rimlock.db'}"


@pytest.fixture
def postgres_url(parts: Parts, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new PostgreSQL database, `postgresql://…`, dropped after the test."""
    yield from Databases(parts.use("postgres", request).url).fresh()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A new database of each kind in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def redis_url(parts: Parts, request: pytest.FixtureRequest, worker_id: str) -> Iterator[str]:
    """The URL of an empty Valkey or Redis database, `redis://…`, which no test running at this moment shares."""
    yield from emptied(parts.use("redis", request), int(worker_id.removeprefix("gw") if worker_id != "master" else 0))


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse connections and name look-ups that leave the machine, but for parts that the environment names."""
    named = (os.environ.get(name) for name in ("RIMLOCK_TEST_POSTGRES_URL", "RIMLOCK_TEST_REDIS_URL"))
    allowed = {urlsplit(url).hostname for url in named if url} | {None, "", "localhost"}
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((socket.socket, "connect"), (socket.socket, "connect_ex")):
            patch.setattr(owner, name, _checked_connection(getattr(owner, name), allowed))
        patch.setattr(socket, "getaddrinfo", _checked_lookup(socket.getaddrinfo, allowed))
        yield


def _checked_connection(connect: Any, allowed: set[str | None]) -> Any:
    def connect_nearby(self: socket.socket, address: Any) -> Any:
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _refuse_far(address[0], allowed)
        return connect(self, address)

    return connect_nearby


def _checked_lookup(look_up: Any, allowed: set[str | None]) -> Any:
    def look_up_nearby(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_far(host, allowed)
        return look_up(host, *args, **kwargs)

    return look_up_nearby


def _refuse_far(host: Any, allowed: set[str | None]) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in allowed or _is_loopback(name):
        return
    raise ConnectionRefusedError(f"tests do not leave the machine, and {name!r} is elsewhere")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
