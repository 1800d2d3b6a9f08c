"""An application with accounts and mailed links, and what a test needs to see of both."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx2
from fastapi import FastAPI
from sqlalchemy import func, select

from rimlock import Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.events import Event
from rimlock.core.schema import challenge, outbox
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.api_keys import ApiKeys
from rimlock.features.email_verification import EmailVerification
from rimlock.features.password import PasswordFeature
from rimlock.features.password_recovery import PasswordRecovery
from rimlock.features.profile import ProfileFeature
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import Outbox

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
GOOD = "seven green ladders"
BETTER = "eleven quiet harbours"
ANN = {"email": "ann@example.com", "username": "Ann", "password": GOOD}
LOGIN = {"login": "ann@example.com", "password": GOOD}
OURS = "https://api.example.com"
CALM = {"poll_interval": timedelta(hours=1), "max_staleness": timedelta(hours=2), "listen": False}
"""No look at the journal falls between two counts of statements."""


def posted(url, *, clock=None, policies=(), **settings):
    """Return a new application, its Rimlock, the list its events are written to, and the messages it posts."""
    settings = {"hash_queue": 100, "backend_url": OURS, "login_rate": 1_000, "registration_rate": 1_000, **settings}
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **settings),
        features=[
            PasswordFeature(),
            ProfileFeature(),
            SessionsFeature(),
            ApiKeys(()),
            EmailVerification(),
            PasswordRecovery(),
        ],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        policies=policies,
        **({"clock": clock} if clock else {}),
    )
    events = []
    auth.on(Event, events.append)
    app = FastAPI()
    auth.install(app)
    return app, auth, events, Outbox(auth)


def token_of(box, address="ann@example.com", kind=None):
    """Return the secret in the newest link that was mailed to an address."""
    return box.link(address, kind).partition("?token=")[2]


def bearer(answer):
    """Return the header that an answer with tokens is good for."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def standing(client, auth, user_id):
    """Return the standing of a user."""
    return client.portal.call(auth.database.read, lambda tx: accounts.standing(tx, user_id))


def change(client, auth, work):
    """Change something by a function of a transaction."""
    return client.portal.call(auth.database.write, work)


def kinds(box):
    """Return what was said to whom, in order."""
    return [(message.kind, message.to) for message in box.messages]


def counted(client, auth):
    """Return how many challenges there are, and how many rows in the outbox."""
    return client.portal.call(
        auth.database.read,
        lambda tx: tuple(tx.value(select(func.count()).select_from(table)) for table in (challenge, outbox)),
    )


def at_once(app, auth, path, bodies):
    """Send requests that are really simultaneous, from many addresses; return the answers."""

    async def run():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=OURS) as client:
            answers = await asyncio.gather(*(client.post(path, json=body) for body in bodies))
        await auth.stop()
        return answers

    return asyncio.run(run())
