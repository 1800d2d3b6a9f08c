"""fastapi-users with its JWT strategy and SQLAlchemy adapter, as its documentation sets it up."""

# ruff: noqa: ARG001, B008, FAST002 - an argument is asked for its effect; as the documentation of the peer has it

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "wK3vX8qNfT5yLzR1jHcB6mPdG9sEaU2oVi7Q"
PEOPLE = 500
engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_FOLDER']}/fastapi-users-{os.getpid()}.db")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class Accounts(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def user_database() -> AsyncIterator[Any]:
    async with sessions() as session:
        yield SQLAlchemyUserDatabase(session, User)


async def accounts(database: Any = Depends(user_database)) -> AsyncIterator[Accounts]:
    yield Accounts(database)


def strategy() -> JWTStrategy:
    return JWTStrategy(secret=SECRET, lifetime_seconds=36_000)


backend = AuthenticationBackend(name="jwt", transport=BearerTransport("auth/login"), get_strategy=strategy)
users = FastAPIUsers[User, uuid.UUID](accounts, [backend])
password = "seven grey herons wait by the weir"


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    hashed = PasswordHelper().hash(password)
    people = [
        User(id=uuid.uuid4(), email=f"person{number}@example.com", hashed_password=hashed) for number in range(PEOPLE)
    ]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions() as session:
        session.add_all(people)
        await session.commit()
    tokens = [await strategy().write_token(person) for person in people]
    Path(os.environ["BENCH_TOKENS"]).write_text("\n".join(tokens))
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(users.get_auth_router(backend), prefix="/auth")


@app.get("/open")
async def answer() -> dict[str, Any]:
    return {"ok": True, "id": 1}


@app.get("/gated")
async def gated(user: User = Depends(users.current_user(active=True))) -> dict[str, Any]:
    return {"ok": True, "id": 1}
