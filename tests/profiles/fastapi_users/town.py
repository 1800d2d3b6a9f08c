"""A small application that left FastAPI Users: people with old hashes and old ids, and tokens as they were issued."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import jwt
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import insert

from rimlock import CurrentUser, Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.schema import user as user_table
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.profiles.fastapi_users import (
    AuthenticationBackend,
    BaseUserManager,
    BearerTransport,
    CookieTransport,
    FastAPIUsersProfile,
    LegacyTokens,
    UUIDIDMixin,
)

OLD = "kQ3vT8zLw1XyRb5NcJ7fHs9Gd2Mp4Ae6"
OURS = "ours-9fK2mQ7xV4bT1nR8cW5yZ3hJ6pL0sDgA"
GOOD = "seven green ladders"
BETTER = "eleven quiet harbours"
PLAIN = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
BACKENDS = {
    "/auth/jwt": AuthenticationBackend("jwt", BearerTransport("auth/jwt/login")),
    "/auth/cookie": AuthenticationBackend("cookie", CookieTransport()),
}


class Manager(UUIDIDMixin, BaseUserManager[Any, uuid.UUID]):
    """Hooks that write down what they are told."""

    def __init__(self, told: list[tuple[str, ...]]) -> None:
        super().__init__()
        self.told = told

    async def on_after_forgot_password(self, user: Any, token: str, request: Any = None) -> None:
        self.told.append(("forgot", user.email, token))

    async def on_after_request_verify(self, user: Any, token: str, request: Any = None) -> None:
        self.told.append(("verify", user.email, token))

    async def on_before_delete(self, user: Any, request: Any = None) -> None:
        self.told.append(("before delete", user.email))

    async def on_after_delete(self, user: Any, request: Any = None) -> None:
        self.told.append(("after delete", user.email))

    async def on_after_register(self, user: Any, request: Any = None) -> None:
        self.told.append(("register", user.email))

    async def on_after_login(self, user: Any, request: Any = None, response: Any = None) -> None:
        self.told.append(("login", user.email, str(response.status_code)))


def town(
    url: str, clock: Any, *, hooks: bool = True, native: bool = False, options: Any = None, **settings: Any
) -> Any:
    """Return the application, its Rimlock, and the list of what its hooks were told."""
    told: list[tuple[str, ...]] = []
    until = datetime.fromtimestamp(clock() + 86400 * 30, UTC).date()
    legacy = LegacyTokens(secret=OLD, until=until, reset_secret=OLD, verify_secret=OLD)
    given = {"backends": BACKENDS, "legacy": legacy, **(options or {})}
    if hooks:
        given["manager"] = lambda: Manager(told)
    settings = {"mail_url": "none:", "password_minimum": 8, **settings}
    auth = Rimlock(
        Settings(secrets=[OURS], database=url, create_tables=True, **settings),
        profiles=[FastAPIUsersProfile(**given)],
        native=native,
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        clock=clock,
    )
    app = FastAPI()

    @app.get("/native")
    async def native_user(user: CurrentUser) -> dict[str, str]:
        return {"id": user.id}

    auth.install(app)
    return app, auth, told


def moved(client: Any, auth: Rimlock, email: str, *, roles: tuple[str, ...] = (), verified: bool = False) -> uuid.UUID:
    """Bring somebody over with the id and the hash they had; return the id."""
    which, now, hashed = uuid.uuid4(), auth.context.now(), PLAIN.hash(GOOD)

    def work(tx: Any) -> None:
        row = {"id": str(which), "email": email, "email_key": email.casefold(), "created_at": now, "updated_at": now}
        tx.change(insert(user_table), {**row, "profile": {}})
        accounts.open_account(tx, str(which), now=now, password_hash=hashed, roles=roles, verified=verified)

    client.portal.call(auth.database.write, work)
    return which


def hash_of(client: Any, auth: Rimlock, which: uuid.UUID) -> str:
    """Return the stored hash of somebody."""
    found = client.portal.call(auth.database.read, lambda tx: accounts.standing(tx, str(which)))
    return found.password_hash


def old_token(which: object, *, secret: str = OLD, audience: Any = ("fastapi-users:auth",), **claims: Any) -> str:
    """Return a token as FastAPI Users signs it."""
    aud = list(audience) if isinstance(audience, tuple) else audience
    return jwt.encode({"sub": str(which), "aud": aud, **claims}, secret, algorithm="HS256")


def bearing(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
