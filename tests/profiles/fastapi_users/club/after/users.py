"""Who may come in, and what happens when they do."""

import uuid
from datetime import date
from pathlib import Path
from typing import Annotated

from db import User, get_user_db
from fastapi import Depends, Request

from rimlock.profiles.fastapi_users import (
    AuthenticationBackend,
    BaseUserManager,
    BearerTransport,
    FastAPIUsers,
    JWTStrategy,
    UUIDIDMixin,
)
from rimlock.profiles.fastapi_users.db import SQLAlchemyUserDatabase

SECRET = "uR7-kQ3vT8zLw1XyRb5NcJ7fHs9Gd2Mp4Ae6"
LETTERS = Path("letters")
"""Stands for the club's mails: a file for each."""


def write(kind: str, email: str, token: str) -> None:
    """Send a letter."""
    LETTERS.mkdir(exist_ok=True)
    (LETTERS / f"{kind}-{email}").write_text(token)


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    """Writes the club's letters."""

    reset_password_token_secret = SECRET
    verification_token_secret = SECRET

    async def on_after_register(self, user: User, request: Request | None = None):
        write("welcome", user.email, str(user.id))

    async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None):
        write("reset", user.email, token)

    async def on_after_request_verify(self, user: User, token: str, request: Request | None = None):
        write("verify", user.email, token)


async def get_user_manager(user_db: Annotated[SQLAlchemyUserDatabase, Depends(get_user_db)]):
    """Make the manager for one request."""
    yield UserManager(user_db)


bearer_transport = BearerTransport(tokenUrl="auth/jwt/login")


def get_jwt_strategy() -> JWTStrategy:
    """Tell how tokens are made."""
    return JWTStrategy(secret=SECRET, lifetime_seconds=3600)


auth_backend = AuthenticationBackend(name="jwt", transport=bearer_transport, get_strategy=get_jwt_strategy)

fastapi_users = FastAPIUsers[User, uuid.UUID](
    get_user_manager,
    [auth_backend],
    legacy_until=date(2099, 12, 31),
    reset_secret=SECRET,
    verify_secret=SECRET,
)

current_active_user = fastapi_users.current_user(active=True)
