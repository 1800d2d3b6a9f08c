"""A host's observers hear of what is true, in order, on their own loop, and can break nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient

from audit.office import ANN, GOOD, bearer, fitted
from rimlock.core.events import Event
from rimlock.core.proving import PasswordRecheckFailed
from rimlock.core.sessions import SessionEnded, SessionStarted
from rimlock.features.profile.events import ProfileChanged
from rimlock.testing import sign_in, sign_in_async

pytestmark = pytest.mark.req("T4")


@dataclass(frozen=True, slots=True, kw_only=True)
class RichProfileChanged(ProfileChanged):
    """A host's kind of change."""

    colour: str


def test_a_handler_hears_of_its_type_and_of_those_below_it(database_url):
    """The root hears everything; a type hears its subtypes and no others."""
    app, auth, everything = fitted(database_url)
    changes, starts = [], []
    auth.on(ProfileChanged, changes.append)
    auth.on(SessionStarted, starts.append)
    with TestClient(app) as client:
        sign_in(auth, client, email="ann@example.com")
        rich = RichProfileChanged(at=1, user_id="u", fields=("colour",), colour="red")
        client.portal.call(auth.database.write, lambda tx: tx.emit(rich))
    assert changes == [rich]
    assert len(starts) == 1
    assert {rich, starts[0]} <= set(everything)


def test_handlers_sync_and_async_run_on_the_loop_of_the_host(database_url):
    """An async handler is a task of the running loop; both may ask for it, and see who acted and from where."""
    app, auth, _ = fitted(database_url)
    loops, acted = [], []

    def plain(event):
        loops.append(asyncio.get_running_loop())
        acted.append((event.acting.actor.partition(":")[0], event.acting.address, event.acting.agent))

    async def waiting(event):
        await asyncio.sleep(0)
        plain(event)

    auth.on(PasswordRecheckFailed, plain)
    auth.on(PasswordRecheckFailed, waiting)
    with TestClient(app, client=("203.0.113.9", 1), headers={"User-Agent": "Desk"}) as client:
        client.post("/auth/register", json=ANN)
        headers = bearer(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        client.post("/auth/password", json={"current_password": "nope", "new_password": GOOD}, headers=headers)
        home = client.portal.call(_loop)
    assert loops == [home, home]
    assert acted == [("user", "203.0.113.9", "Desk")] * 2


async def _loop():
    return asyncio.get_running_loop()


def test_nothing_is_told_of_what_was_undone_and_order_is_kept(database_url):
    """An event of a transaction that fails is never told; those of one that commits come in the order of emission."""
    app, auth, _ = fitted(database_url)
    heard = []
    auth.on(ProfileChanged, lambda event: heard.append(event.at))

    def work(tx, numbers, error=None):
        for number in numbers:
            tx.emit(ProfileChanged(at=number, user_id="u", fields=()))
        if error:
            raise error

    with TestClient(app) as client:
        with pytest.raises(LookupError):
            client.portal.call(auth.database.write, lambda tx: work(tx, [1, 2], LookupError()))
        client.portal.call(auth.database.write, lambda tx: work(tx, [3, 4, 5]))
    assert heard == [3, 4, 5]


@pytest.mark.asvs("16.5.3")
def test_a_handler_that_fails_breaks_nothing_and_is_logged(database_url, caplog):
    """Sync and async failures are lines of the log without their text; others hear, the caller is answered."""
    app, auth, _ = fitted(database_url)

    def broken(_):
        raise RuntimeError("text with a secret")

    async def broken_later(_):
        raise RuntimeError("text with a secret")

    def cancelled(_):
        raise asyncio.CancelledError

    auth.on(SessionStarted, cancelled)
    auth.on(SessionStarted, broken)
    auth.on(SessionStarted, broken_later)
    heard = []
    auth.on(SessionStarted, heard.append)
    with TestClient(app) as client, caplog.at_level(logging.ERROR, "rimlock"):
        client.post("/auth/register", json=ANN)
        assert client.post("/auth/login", json={"login": "ann", "password": GOOD}).status_code == 200
    assert len(heard) == 1
    said = [record.getMessage() for record in caplog.records if record.name == "rimlock"]
    assert len([text for text in said if "RuntimeError" in text]) == 2
    assert not [text for text in said if "secret" in text]


def test_what_an_observer_is_carrying_away_is_not_cut_off_by_the_stop(database_url):
    """An async handler that is not done when the server stops gets a moment to finish."""
    app, auth, _ = fitted(database_url)
    carried = []

    async def carry(event):
        await asyncio.sleep(0.05)
        carried.append(event)

    auth.on(SessionEnded, carry)
    with TestClient(app) as client:
        ann = sign_in(auth, client, email="ann@example.com")
        client.post("/auth/logout", headers=ann.headers)
    assert len(carried) == 1


def test_hosts_without_a_running_application_hear_as_well(sqlite_url):
    """A script's own loop, ended right after the change: plain handlers heard of it."""
    _, auth, events = fitted(sqlite_url)

    async def script():
        visitor = await sign_in_async(auth, email="ann@example.com")
        await auth.stop()
        return visitor

    visitor = asyncio.run(script())
    assert [event.session_id for event in events if isinstance(event, SessionStarted)] == [visitor.session_id]
    assert all(isinstance(event, Event) for event in events)
