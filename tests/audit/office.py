"""An application with everything on it, people in it, and the rows of its audit."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI
from sqlalchemy import select

from rimlock import CurrentPrincipal, Rimlock, Settings
from rimlock.core.audit import Filter, oldest
from rimlock.core.engines import open_database
from rimlock.core.events import Event
from rimlock.core.schema import audit
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
GOOD = "seven green ladders"
BETTER = "eleven quiet harbours"
ANN = {"email": "ann@example.com", "username": "Ann", "password": GOOD}


def fitted(url, *, rules=(), clock=None, features=None, policies=(), roles=None, **settings):
    """Return a new application with all features, its Rimlock, and the list its events are written to."""
    timed = {"clock": clock} if clock else {}
    settings = {"hash_queue": 200, **settings}
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **settings),
        rules=rules,
        roles=roles,
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        features=features,
        policies=policies,
        **timed,
    )
    events = []
    auth.on(Event, events.append)
    app = FastAPI()
    app.get("/open")(lambda: "open")
    app.get("/items/{item_id}")(lambda item_id: item_id)

    @app.get("/mine")
    def mine(principal: CurrentPrincipal):
        return principal.subject

    auth.install(app)
    return app, auth, events


def rows(client, auth, **wanted):
    """Return the audit, oldest first."""
    return client.portal.call(auth.database.read, lambda tx: oldest(tx, Filter(**wanted), after=None, limit=10_000))


def rows_of(url):
    """Return the audit of a database nobody has open."""

    async def read():
        database = open_database(url, lambda _: None)
        found = await database.read(lambda tx: tx.all(select(audit).order_by(audit.c.id)))
        await database.close()
        return found

    return asyncio.run(read())


def bearer(answer):
    """Return the header that an answer with tokens is good for."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def admin(client, auth, email="root@example.com"):
    """Return the headers of an administrator."""
    from rimlock.testing import sign_in

    return sign_in(auth, client, roles=["admin"], email=email).headers
