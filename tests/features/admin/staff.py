"""An application with everything that comes with Rimlock, an administrator in it, and ways to look inside."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager

import httpx2
from fastapi import FastAPI
from sqlalchemy import select

from rimlock import CurrentPrincipal, Principal, Rimlock, Settings
from rimlock.core import accounts, sessions
from rimlock.core.events import Event
from rimlock.core.schema import account, challenge, invitation, session, user
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.testing import sign_in, sign_in_async

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
GOOD = "seven green ladders"
BETTER = "eleven quiet harbours"
ROOT = "root@example.com"
BESIDE = ("JournalWritten", "Message")
"""How events begin that go with others: lines of the journal, and mails on their way."""

GENEROUS = {"login_rate": 100_000, "lockout_after": 100_000, "failures_in_all": 100_000}
"""Limits that nobody meets, for what happens forty times at once."""


def staffed(url, *, clock=None, policies=(), hasher=None, **settings):
    """Return a new application, its Rimlock, and the list its events are written to."""
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **{"hash_queue": 100, **settings}),
        hasher=hasher or PasswordHashes(CHEAPEST_FOR_TESTS),
        policies=policies,
        **({"clock": clock} if clock else {}),
    )
    events = []
    auth.on(Event, lambda event: events.append(event) if not type(event).__name__.startswith(BESIDE) else None)
    app = FastAPI()

    @app.get("/who")
    async def who(principal: CurrentPrincipal) -> dict[str, str | None]:
        return {"kind": principal.kind, "user": principal.user_id}

    assert Principal
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


def administrator(auth, client, email=ROOT):
    """Sign in an administrator, for synchronous tests."""
    return sign_in(auth, client, email=email, roles=["admin"])


async def administrator_async(auth, email=ROOT):
    """Sign in an administrator, for asynchronous tests."""
    return await sign_in_async(auth, email=email, roles=["admin"])


def registered(client, email="ann@example.com", password=GOOD, **more):
    """Register somebody and return their id."""
    answer = client.post("/auth/register", json={"email": email, "password": password, **more})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def signed_in(client, login="ann@example.com", password=GOOD, **more):
    """Return the answer to a sign-in."""
    return client.post("/auth/login", json={"login": login, "password": password, **more})


def temporary(client, visitor, user_id):
    """Give an account a temporary password and return it."""
    answer = client.post(f"/auth/admin/users/{user_id}/temporary-password", headers=visitor.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()["temporary_password"]


def pending(client, password, login="ann@example.com"):
    """Sign in with a temporary password and return what the next step is done with."""
    answer = signed_in(client, login, password)
    assert (answer.status_code, answer.json()["code"]) == (403, "password_change_required"), answer.text
    return answer.json()["pending_token"]


def chosen(client, token, password=BETTER, **more):
    """Return the answer to choosing another password."""
    return client.post("/auth/password/forced", json={"pending_token": token, "new_password": password, **more})


def bearer(answer):
    """Return the header that an answer with tokens is good for."""
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def outcome(answer):
    """Return the status and the code of an answer."""
    return answer.status_code, answer.json().get("code") if answer.content else None


def names(events):
    """Return what happened, by name."""
    return [type(event).__name__ for event in events]


def rows(table):
    """Return a reading of every row of a table."""
    return lambda tx: [dict(row) for row in tx.all(select(table))]


def administrators(tx):
    """Return the ids of those who may act as administrators."""
    found = tx.all(select(account).where(account.c.active, ~account.c.waiting))
    return [row["user_id"] for row in found if "admin" in row["roles"]]


def is_readable(text):
    """Say whether a text is a secret in groups of letters and digits that nobody mistakes for others."""
    return re.fullmatch(r"[a-hjkmnp-z2-9]{4}(-[a-hjkmnp-z2-9]{4}){6}", text) is not None


__all__ = ["account", "accounts", "challenge", "invitation", "session", "sessions", "user"]
