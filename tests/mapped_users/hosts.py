"""Applications with users of their own: FastAPI Users, the full-stack template, LAUNCH; and keys of other kinds."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import pbkdf2_hmac, sha256
from typing import Any

import bcrypt
import httpx2
from argon2 import PasswordHasher as PlainArgon2
from fastapi import FastAPI
from sqlalchemy import (
    CHAR,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    insert,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator

from features.password.office import SECRET, bearer
from migrations.neighbourhood import on
from rimlock import MappedUsers, Rimlock, Settings
from rimlock.core.events import Event
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes

__all__ = [
    "ALL",
    "BETTER",
    "GOOD",
    "GUID",
    "Host",
    "argon2",
    "bcrypted",
    "bearer",
    "blobs",
    "fastapi_users",
    "fitted",
    "launch",
    "made",
    "names",
    "number",
    "pbkdf2",
    "row_of",
    "seal",
    "signed_in",
    "strings",
    "template",
    "visiting",
]

GOOD, BETTER = "seven green ladders", "eleven quiet harbours"
BORN = datetime(2024, 5, 17, 8, 30)  # noqa: DTZ001 - as a host without time zones stores it
_argon = PlainArgon2(time_cost=1, memory_cost=64, parallelism=1)


def argon2(password):
    """The form pwdlib gives."""
    return _argon.hash(password)


def bcrypted(password):
    """The form passlib and pwdlib give for bcrypt."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def pbkdf2(password):
    """The form Django gives."""
    from base64 import b64encode

    found = pbkdf2_hmac("sha256", password.encode(), b"salt", 1000)
    return f"pbkdf2_sha256$1000$salt${b64encode(found).decode()}"


class GUID(TypeDecorator):
    """As FastAPI Users stores ids: native on PostgreSQL, 36 characters elsewhere."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect):
        return dialect.type_descriptor(postgresql.UUID() if dialect.name == "postgresql" else CHAR(36))

    def process_bind_param(self, value, dialect):
        return value if value is None or dialect.name == "postgresql" else str(value)

    def process_result_value(self, value, dialect):
        return value if value is None or isinstance(value, uuid.UUID) else uuid.UUID(value)


@dataclass
class Host:
    """A table of users, how it is mapped, and how a key of it is made. `beside`: another table that refers to it."""

    name: str
    table: Table
    beside: Table
    mapped: dict[str, Any]
    key: Callable[[int], Any]
    text: Callable[[Any], str] = str
    more: dict[str, Any] = field(default_factory=dict)

    def users(self, **more):
        return MappedUsers(self.table, **{**self.mapped, **more})

    def row(self, number, **values):
        """Return a row: the given values over what every user of this host has."""
        given = {"email": f"user{number}@example.com", "hashed_password": argon2(GOOD), **values}
        return {"id": self.key(number), **{n: v(number) if callable(v) else v for n, v in self.more.items()}, **given}


def number(n):
    return uuid.UUID(int=(0xAB << 120) | (n + 1))


def fastapi_users() -> Host:
    """`user` with a UUID, `oauth_account` beside it."""
    metadata = MetaData()
    table = Table(
        "user",
        metadata,
        Column("id", GUID, primary_key=True, default=uuid.uuid4),
        Column("email", String(320), nullable=False, unique=True, index=True),
        Column("hashed_password", String(1024), nullable=False),
        Column("is_active", Boolean, nullable=False, default=True),
        Column("is_superuser", Boolean, nullable=False, default=False),
        Column("is_verified", Boolean, nullable=False, default=False),
    )
    beside = Table(
        "oauth_account",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("user_id", GUID, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
        Column("oauth_name", String(100), nullable=False),
    )
    flags = {"is_active": True, "is_superuser": False, "is_verified": False}
    return Host("fastapi_users", table, beside, {}, number, more=flags)


def template() -> Host:
    """`user` with a UUID, a full name and a moment; `item` beside it."""
    metadata = MetaData()
    table = Table(
        "user",
        metadata,
        Column("id", Uuid, primary_key=True, default=uuid.uuid4),
        Column("email", String(255), nullable=False, unique=True, index=True),
        Column("is_active", Boolean, nullable=False, default=True),
        Column("is_superuser", Boolean, nullable=False, default=False),
        Column("full_name", String(255)),
        Column("hashed_password", String, nullable=False),
        Column("created_at", DateTime(timezone=True), default=lambda: datetime.now(UTC)),
    )
    beside = Table(
        "item",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("owner_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
        Column("title", String(255), nullable=False),
    )
    more = {"is_active": True, "is_superuser": False, "created_at": BORN.replace(tzinfo=UTC)}
    more["full_name"] = lambda n: f"User {n}"
    return Host("template", table, beside, {"display_name": "full_name", "created_at": "created_at"}, number, more=more)


def launch() -> Host:
    """`users` with an integer, a username and subscription columns; no flag for active or superuser."""
    metadata = MetaData()
    table = Table(
        "users",
        metadata,
        Column("id", Integer, primary_key=True, index=True),
        Column("username", String, unique=True, index=True),
        Column("email", String, unique=True, index=True),
        Column("hashed_password", String),
        Column("is_verified", Boolean, default=False),
        Column("is_oauth", Boolean, default=False),
        Column("google_sub", String(100), unique=True),
        Column("verification_token", String),
        Column("reset_token", String),
        Column("customer_id", String),
        Column("plan_id", String),
        Column("subscription_id", String),
        Column("subscription_status", String(64)),
        Column("subscription_last_renew", DateTime),
        Column("subscription_next_renew", DateTime),
    )
    beside = Table(
        "posts",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        Column("body", Text, nullable=False),
    )
    more = {"username": lambda n: f"User_{n}", "is_verified": True, "is_oauth": False, "customer_id": "cus_1"}
    more |= {"subscription_status": "active", "subscription_next_renew": BORN}
    return Host("launch", table, beside, {"username": "username"}, lambda n: n + 1, more=more)


def strings() -> Host:
    """Keys that are texts, columns with names of their own, and users who are marked as deleted."""
    metadata = MetaData()
    table = Table(
        "members",
        metadata,
        Column("member", String(40), primary_key=True, key="id"),
        Column("mail", Text, nullable=False, unique=True, key="email"),
        Column("secret", String(255), key="hashed_password"),
        Column("nick", String(30)),
        Column("enabled", Boolean, nullable=False, server_default=true()),
        Column("deleted_at", DateTime),
    )
    beside = Table("notes", metadata, Column("id", Integer, primary_key=True), Column("user_id", String(40)))
    mapped = {"email": "mail", "password": "secret", "username": "nick", "active": "enabled"}
    more = {"nick": lambda n: f"nick{n}", "enabled": True, "deleted_at": None}
    return Host("strings", table, beside, mapped, lambda n: f"m-{n}", more=more)


def blobs() -> Host:
    """Keys that are the sixteen bytes of a UUID."""
    metadata = MetaData()
    table = Table(
        "people",
        metadata,
        Column("id", LargeBinary(16), primary_key=True),
        Column("email", Text, nullable=False, unique=True),
        Column("hashed_password", Text, nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("is_deleted", Boolean, nullable=False),
    )
    beside = Table("papers", metadata, Column("id", Integer, primary_key=True), Column("user_id", LargeBinary(16)))
    mapped = {"deleted": "is_deleted"}
    more = {"is_active": True, "is_deleted": False}
    return Host("blobs", table, beside, mapped, lambda n: number(n).bytes, lambda k: str(uuid.UUID(bytes=k)), more=more)


ALL = [fastapi_users, template, launch, strings, blobs]


async def made(url, host: Host, rows):
    """Make the host's tables and fill them."""

    def work(connection):
        host.table.metadata.create_all(connection)
        if rows:
            connection.execute(insert(host.table), rows)
        if connection.dialect.name == "postgresql" and isinstance(host.table.c.id.type, Integer):
            last = f"setval(pg_get_serial_sequence('{host.table.name}', 'id'), 1 + coalesce(max(id), 0))"
            connection.execute(text(f"SELECT {last} FROM {host.table.name}"))

    await on(url, work)


def fitted(url, host, *, clock=None, mapped=None, policies=(), **settings):
    """Return an application with Rimlock on the host's users, and the list its events are written to."""
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, hash_queue=100, **settings),
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        users=host.users(**(mapped or {})),
        policies=policies,
        **({"clock": clock} if clock else {}),
    )
    events: list[Any] = []
    auth.on(Event, events.append)
    app = FastAPI()
    auth.install(app)
    return app, auth, events


@asynccontextmanager
async def visiting(app, auth):
    """Open a client on the running loop."""
    transport = httpx2.ASGITransport(app=app)
    try:
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            await auth.start()
            yield client
    finally:
        await auth.stop()


async def signed_in(client, login, password=GOOD):
    """Sign in; the answer, whatever it is."""
    return await client.post("/auth/login", json={"login": login, "password": password})


async def row_of(url, host, key):
    """Return a row of the host's as it stands there, None when it is gone."""
    query = select(host.table).where(host.table.c.id == key)
    return await on(url, lambda connection: connection.execute(query).mappings().one_or_none())


async def seal(url, host):
    """Return the number and a checksum of everything in the host's two tables."""

    def work(connection):
        lines = []
        for table in (host.table, host.beside):
            lines += [repr(tuple(row)) for row in connection.execute(select(table).order_by(table.c.id))]
        return len(lines), sha256("\n".join(lines).encode()).hexdigest()

    return await on(url, work)


def names(host):
    """The tables of a host."""
    return {host.table.name, host.beside.name}
