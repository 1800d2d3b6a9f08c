"""Where the club keeps its members."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

DATABASE_URL = "sqlite+aiosqlite:///./club.db"


class Base(DeclarativeBase):
    """All tables of the club."""


class User(SQLAlchemyBaseUserTableUUID, Base):
    """A member."""


engine = create_async_engine(DATABASE_URL)
open_session = async_sessionmaker(engine, expire_on_commit=False)


async def make_tables() -> None:
    """Make what is not there yet."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def get_session() -> AsyncGenerator[AsyncSession, None]:
    """Open a session for one request."""
    async with open_session() as session:
        yield session


async def get_user_db(session: Annotated[AsyncSession, Depends(get_session)]):
    """Reach the members."""
    yield SQLAlchemyUserDatabase(session, User)
