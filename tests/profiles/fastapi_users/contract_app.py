"""One application, over FastAPI Users or over Rimlock: `SIDE=theirs`, `SIDE=ours` (its routers) or `SIDE=profile`.

Run by uvicorn in the environment of its side. The routes below `/test` are the test's own: they hand out what the
hooks were given, and set standings that the dialect gives no way to set.
"""

from __future__ import annotations

import os
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI

SIDE = os.environ["SIDE"]
FOLDER = Path(os.environ["FOLDER"])
SECRET = "kQ3vT8zLw1XyRb5NcJ7fHs9Gd2Mp4Ae6"
LIFETIME = 3600

if SIDE == "theirs":
    from fastapi_users import BaseUserManager, FastAPIUsers, InvalidPasswordException, UUIDIDMixin, schemas
    from fastapi_users.authentication import AuthenticationBackend, BearerTransport, CookieTransport, JWTStrategy
else:
    from rimlock.profiles.fastapi_users import (
        DOCUMENTED,
        AuthenticationBackend,
        BaseUserManager,
        BearerTransport,
        CookieTransport,
        FastAPIUsers,
        FastAPIUsersProfile,
        InvalidPasswordException,
        JWTStrategy,
        UUIDIDMixin,
        schemas,
    )


class UserRead(schemas.BaseUser[uuid.UUID]):
    """A user in an answer, with a field of the application's own."""

    nickname: str | None = None


class UserCreate(schemas.BaseUserCreate):
    """Somebody who registers."""

    nickname: str | None = None


class UserUpdate(schemas.BaseUserUpdate):
    """A change."""

    nickname: str | None = None


told: dict[str, str] = {}


class UserManager(UUIDIDMixin, BaseUserManager):
    """Hooks that keep what they are given."""

    reset_password_token_secret = SECRET
    verification_token_secret = SECRET

    async def validate_password(self, password: str, user: Any) -> None:
        """Refuse what the contract calls weak."""
        if "weak" in password:
            raise InvalidPasswordException(reason="Password should not be weak")

    async def on_after_forgot_password(self, user: Any, token: str, request: Any = None) -> None:
        """Keep the link's secret."""
        told[f"reset:{user.email}"] = token

    async def on_after_request_verify(self, user: Any, token: str, request: Any = None) -> None:
        """Keep the link's secret."""
        told[f"verify:{user.email}"] = token


bearer = BearerTransport(tokenUrl="auth/jwt/login")
cookie = CookieTransport(cookie_max_age=LIFETIME)


def get_strategy() -> JWTStrategy:
    """Tell how tokens are made."""
    return JWTStrategy(secret=SECRET, lifetime_seconds=LIFETIME)


by_bearer = AuthenticationBackend(name="jwt", transport=bearer, get_strategy=get_strategy)
by_cookie = AuthenticationBackend(name="cookie", transport=cookie, get_strategy=get_strategy)

if SIDE == "theirs":
    from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
    from sqlalchemy import String, update
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    class Base(DeclarativeBase):
        """Their tables."""

    class User(SQLAlchemyBaseUserTableUUID, Base):
        """Their user."""

        nickname: Mapped[str | None] = mapped_column(String(100), nullable=True)

    engine = create_async_engine(f"sqlite+aiosqlite:///{FOLDER / 'theirs.db'}")
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def get_manager():
        """Open a session for the request."""
        async with sessions() as session:
            yield UserManager(SQLAlchemyUserDatabase(session, User))

    async def set_flags(email: str, flags: dict[str, bool]) -> None:
        """Write the columns."""
        async with sessions() as session:
            await session.execute(update(User).where(User.email == email).values(**flags))
            await session.commit()

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        """Make the tables."""
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield

else:
    lifespan = None

    async def get_manager():
        """Make one."""
        yield UserManager()

    async def set_flags(email: str, flags: dict[str, bool]) -> None:
        """Change the standing, without the events that would end tokens: as theirs does."""
        from sqlalchemy import update

        from rimlock.core.schema import account

        def work(tx: Any) -> None:
            user = auth.context.users.find(tx, email)
            values: dict[str, Any] = {"active": flags.get("is_active"), "verified": flags.get("is_verified")}
            values["roles"] = ["admin"] if flags.get("is_superuser") else None
            given = {name: value for name, value in values.items() if value is not None}
            tx.change(update(account).where(account.c.user_id == user.id).values(**given))

        await auth.database.write(work)


app = FastAPI(lifespan=lifespan)

if SIDE == "profile":
    profile = FastAPIUsersProfile(
        backends={"/auth/jwt": by_bearer, "/auth/cookie": by_cookie},
        user=UserRead,
        create=UserCreate,
        update=UserUpdate,
        manager=get_manager,
    )
else:
    asked = {} if SIDE == "theirs" else {"documented": list(DOCUMENTED)}
    fastapi_users = FastAPIUsers(get_manager, [by_bearer, by_cookie], **asked)
    app.include_router(fastapi_users.get_auth_router(by_bearer), prefix="/auth/jwt", tags=["auth"])
    app.include_router(fastapi_users.get_auth_router(by_cookie), prefix="/auth/cookie", tags=["auth"])
    app.include_router(fastapi_users.get_register_router(UserRead, UserCreate), prefix="/auth", tags=["auth"])
    app.include_router(fastapi_users.get_reset_password_router(), prefix="/auth", tags=["auth"])
    app.include_router(fastapi_users.get_verify_router(UserRead), prefix="/auth", tags=["auth"])
    app.include_router(fastapi_users.get_users_router(UserRead, UserUpdate), prefix="/users", tags=["users"])
    app.include_router(
        fastapi_users.get_auth_router(by_bearer, requires_verification=True), prefix="/strict", tags=["strict"]
    )
    app.include_router(
        fastapi_users.get_users_router(UserRead, UserUpdate, requires_verification=True), prefix="/strict/users"
    )

    @app.get("/hello")
    async def hello(user: Annotated[Any, Depends(fastapi_users.current_user(active=True))]) -> dict[str, str]:
        """Greet whoever is signed in."""
        return {"message": f"Hello {user.email}!"}

    @app.get("/hello/optional")
    async def hello_anybody(user: Annotated[Any, Depends(fastapi_users.current_user(optional=True))]) -> dict[str, Any]:
        """Greet anybody."""
        return {"email": user.email if user else None}

    @app.get("/hello/superuser")
    async def hello_superuser(
        user: Annotated[Any, Depends(fastapi_users.current_user(active=True, superuser=True))],
    ) -> dict[str, str]:
        """Greet superusers."""
        return {"message": user.email}


@app.get("/test/told/{key}")
async def test_told(key: str) -> dict[str, str | None]:
    """Return what a hook was given."""
    return {"token": told.get(key)}


@app.post("/test/flags/{email}")
async def test_flags(email: str, flags: dict[str, bool]) -> None:
    """Set a standing."""
    await set_flags(email, flags)


if SIDE != "theirs":
    from rimlock import Rimlock, Settings

    auth = Rimlock(
        Settings(
            secrets=["ours-9fK2mQ7xV4bT1nR8cW5yZ3hJ6pL0sDgA"],
            database=f"sqlite:///{FOLDER / SIDE}.db",
            mail_url="none:",
            login_rate=1000,
            registration_rate=1000,
            lockout_after=1000,
        ),
        profiles=[profile if SIDE == "profile" else fastapi_users.profile],
        native=False,
    )
    auth.install(app)
