"""Small applications with accounts, and a hasher that counts what it is asked."""

from __future__ import annotations

from contextlib import asynccontextmanager
from threading import Lock

import httpx2
from fastapi import FastAPI

from rimlock import Rimlock, Settings
from rimlock.core.events import Event
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.password import PasswordFeature
from rimlock.features.profile import ProfileFeature

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
GOOD = "seven green ladders"
BETTER = "eleven quiet harbours"
ANN = {"email": "ann@example.com", "username": "Ann", "password": GOOD}


class CountingHasher:
    """A host's own hasher: ours at its cheapest, writing down each piece of work."""

    def __init__(self):
        self.inner, self.work, self._lock = PasswordHashes(CHEAPEST_FOR_TESTS), [], Lock()

    def hash(self, password):
        self._note("hash")
        return self.inner.hash(password)

    def verify(self, stored, password):
        self._note("verify")
        return self.inner.verify(stored, password)

    def dummy(self):
        return self.inner.dummy()

    def _note(self, kind):
        with self._lock:
            self.work.append(kind)


def installed(url, *, hasher=None, policies=(), clock=None, roles=None, features=None, **settings):
    """Return a new application with accounts, its Rimlock, and the list its events are written to."""
    settings = {"hash_queue": 100, "product": ["Rimlock"], **settings}
    timed = {"clock": clock} if clock else {}
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **settings),
        features=features or [PasswordFeature(), ProfileFeature()],
        hasher=hasher or PasswordHashes(CHEAPEST_FOR_TESTS),
        policies=policies,
        roles=roles,
        **timed,
    )
    events = []
    auth.on(Event, events.append)
    app = FastAPI()
    auth.install(app)
    return app, auth, events


@asynccontextmanager
async def visiting(app, auth):
    """Open a client on the running loop, for requests that are really simultaneous."""
    transport = httpx2.ASGITransport(app=app)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client
    finally:
        await auth.stop()


def of_kind(events, kind):
    """Return the events of one type."""
    return [event for event in events if type(event) is kind]


def bearer(answer):
    """Return the header that an answer with tokens is good for."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def codes(answer):
    """Return the codes of the fields an answer complains about."""
    return [field["code"] for field in answer.json()["errors"]]
