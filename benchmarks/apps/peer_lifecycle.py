"""fastapi-users with its routes for registration, verification and reset, as its documentation sets them up.

The hash costs what the environment says, the same as ours. A new account is sent its link at once, by the hook that is
meant for that; no mail is kept, the secrets lie in memory for `/mailed`. The file is written ahead and flushed at each
commit, as ours is.
"""

# ruff: noqa: ARG002, B008 - an argument comes with the hook; as the documentation of the peer has it

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "wK3vX8qNfT5yLzR1jHcB6mPdG9sEaU2oVi7Q"
# Twice as many as there are clients: none is made and thrown away, and with it a thread whose time would be lost.
# It waits for the lock of the file for as long as a busy machine may take.
engine = create_async_engine(os.environ["BENCH_DATABASE"], pool_size=16, connect_args={"timeout": 60})
sessions = async_sessionmaker(engine, expire_on_commit=False)
passes, memory_kib = (1, 8) if os.environ["BENCH_HASH"] == "cheapest" else (2, 19_456)
helper = PasswordHelper(PasswordHash((Argon2Hasher(time_cost=passes, memory_cost=memory_kib, parallelism=1),)))
secrets: dict[str, str] = {}


@event.listens_for(engine.sync_engine, "connect")
def prepare(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class UserRead(schemas.BaseUser[uuid.UUID]):
    pass


class UserCreate(schemas.BaseUserCreate):
    pass


class Accounts(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET

    async def on_after_register(self, user: User, request: Request | None = None) -> None:
        await self.request_verify(user, request)

    async def on_after_request_verify(self, user: User, token: str, request: Request | None = None) -> None:
        secrets[user.email] = token

    async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None) -> None:
        secrets[user.email] = token


async def user_database() -> AsyncIterator[Any]:
    async with sessions() as session:
        yield SQLAlchemyUserDatabase(session, User)


async def accounts(database: Any = Depends(user_database)) -> AsyncIterator[Accounts]:
    yield Accounts(database, helper)


def strategy() -> JWTStrategy:
    return JWTStrategy(secret=SECRET, lifetime_seconds=36_000)


backend = AuthenticationBackend(name="jwt", transport=BearerTransport("auth/login"), get_strategy=strategy)
users = FastAPIUsers[User, uuid.UUID](accounts, [backend])


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(users.get_register_router(UserRead, UserCreate), prefix="/auth")
app.include_router(users.get_verify_router(UserRead), prefix="/auth")
app.include_router(users.get_reset_password_router(), prefix="/auth")


@app.get("/mailed")
async def mailed() -> dict[str, str]:
    found = dict(secrets)
    secrets.clear()
    return found
