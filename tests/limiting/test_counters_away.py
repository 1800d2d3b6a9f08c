"""What happens when Valkey or Redis does not answer is a setting, and letting everybody guess has to be asked for."""

from __future__ import annotations

import socket

import pytest
from sqlalchemy import func, select

from features.password.office import ANN, GOOD, SECRET, installed, of_kind, visiting
from limiting.test_lockout import guess, statuses
from rimlock import ConfigurationError, Settings
from rimlock.core.limits import AccountLockedOut
from rimlock.core.schema import limit as table

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13"), pytest.mark.attack("counters taken away")]


def nowhere():
    """Return the URL of a server that is not there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{free.getsockname()[1]}/0"


async def test_unless_said_otherwise_the_database_counts_then(sqlite_url):
    """The same limits."""
    app, auth, _ = installed(sqlite_url, limits_url=nowhere())
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        assert (await guess(app, password=GOOD)).status_code == 200
        assert await statuses(app, 7, address="192.0.2.1") == [401] * 5 + [429] * 2


async def test_refuse_answers_503(sqlite_url):
    """Nobody signs in, and nobody guesses."""
    app, auth, _ = installed(sqlite_url, limits_url=nowhere(), on_limits_down="refuse")
    async with visiting(app, auth):
        answer = await guess(app, password=GOOD)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_insecure_allow_counts_nothing(sqlite_url):
    """As its name says."""
    app, auth, _ = installed(sqlite_url, limits_url=nowhere(), on_limits_down="insecure_allow")
    async with visiting(app, auth):
        assert await statuses(app, 8, address="192.0.2.1") == [401] * 8


async def test_what_a_server_counts_stands_in_no_table(sqlite_url, redis_url):
    """And the events of a lock-out are told as they are with the database."""
    app, auth, events = installed(sqlite_url, limits_url=redis_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        assert await statuses(app, 6, address="192.0.2.1") == [401] * 5 + [429]
        assert len(of_kind(events, AccountLockedOut)) == 1
        assert await auth.database.read(lambda tx: tx.value(select(func.count()).select_from(table))) == 0


@pytest.mark.parametrize("url", ["memcached://127.0.0.1", "127.0.0.1:6379", "http://x", "redis+nonsense://x"])
def test_an_address_that_means_nothing_is_refused_at_once(sqlite_url, url):
    """And not shown: it may hold a password."""
    with pytest.raises(ConfigurationError) as refused:
        installed(sqlite_url, limits_url=url)
    assert url not in str(refused.value)


def test_the_address_stands_in_no_representation():
    """It may hold a password."""
    assert "hunter2" not in repr(Settings(secrets=[SECRET], limits_url="redis://:hunter2@127.0.0.1/0"))
