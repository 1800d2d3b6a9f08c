"""Tables of other systems, as those systems make them, with the hashes they write; and a look at ours."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from contextlib import closing
from unicodedata import normalize

import asyncpg
import bcrypt
from argon2 import PasswordHasher as Argon2
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import CurrentUser, Rimlock, Settings
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
PASSWORD = "sieben Brücken über den ﬂuss"
"""Not ASCII, and not the same in NFKC."""


def write(url: str, *statements: str) -> None:
    """Run statements on the source."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            for one in statements:
                connection.execute(one)
    else:
        asyncio.run(_written(url, statements))


def rows(url: str, query: str) -> list[tuple]:
    """Return what a query finds."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(query).fetchall()
    return asyncio.run(_found(url, query))


def insert(url: str, table: str, *given: dict) -> None:
    """Add rows to a table of the source."""
    for one in given:
        names = ", ".join(f'"{name}"' for name in one)
        write(url, f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(map(_literal, one.values()))})')


def client_on(url: str, **more) -> TestClient:
    """An application with Rimlock on it, over the tables at `url`."""
    app = FastAPI()
    auth = Rimlock(Settings(database=url, secrets=(SECRET,), **more), hasher=PasswordHashes(CHEAPEST_FOR_TESTS))
    auth.install(app)

    @app.get("/me")
    def me(user: CurrentUser):
        return {"id": user.id, "username": user.username}

    return TestClient(app)


def sign_in(client: TestClient, login: str, password: str = PASSWORD):
    """Try to sign in."""
    return client.post("/auth/login", json={"login": login, "password": password})


def argon2(password: str = PASSWORD) -> str:
    return Argon2(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def bcrypted(password: str = PASSWORD) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


def better_auth(password: str = PASSWORD) -> str:
    salt = hashlib.sha256(password.encode()).hexdigest()[:32]
    key = hashlib.scrypt(
        normalize("NFKC", password).encode(), salt=salt.encode(), n=16384, r=16, p=1, dklen=64, maxmem=1 << 27
    )
    return f"{salt}:{key.hex()}"


def django(kind: str, password: str = PASSWORD) -> str:
    secret = password.encode()
    if kind == "pbkdf2_sha256":
        digest = hashlib.pbkdf2_hmac("sha256", secret, b"salz", 1000)
        return f"pbkdf2_sha256$1000$salz${b64encode(digest).decode()}"
    if kind == "scrypt":
        digest = hashlib.scrypt(secret, salt=b"salz", n=1024, r=8, p=1, dklen=64)
        return f"scrypt$1024$salz$8$1${b64encode(digest).decode()}"
    if kind == "bcrypt_sha256":
        return f"bcrypt_sha256${bcrypted(hashlib.sha256(secret).hexdigest())}"
    return f"argon2{argon2(password)}"


def better_auth_key(text: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def fastapi_users(url: str) -> None:
    """The tables of fastapi-users-db-sqlalchemy, with OAuth and database tokens."""
    key = "CHAR(36)" if url.startswith("sqlite") else "UUID"
    write(
        url,
        f'CREATE TABLE "user" (id {key} PRIMARY KEY, email VARCHAR(320) NOT NULL UNIQUE, hashed_password VARCHAR(1024) '
        "NOT NULL, is_active BOOLEAN NOT NULL, is_superuser BOOLEAN NOT NULL, is_verified BOOLEAN NOT NULL)",
        f"CREATE TABLE oauth_account (id {key} PRIMARY KEY, user_id {key} NOT NULL, oauth_name VARCHAR(100) NOT NULL, "
        "access_token VARCHAR(1024) NOT NULL, expires_at INTEGER, refresh_token VARCHAR(1024), account_id VARCHAR(320) "
        "NOT NULL, account_email VARCHAR(320) NOT NULL)",
        f"CREATE TABLE accesstoken (token VARCHAR(43) PRIMARY KEY, user_id {key} NOT NULL, created_at TIMESTAMP)",
    )


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def person(number: int, email: str | None = None, **more) -> dict:
    """A row of FastAPI Users."""
    row = {"id": uuid(number), "email": email or f"u{number}@example.com", "hashed_password": "$2b$04$" + "a" * 53}
    return row | {"is_active": True, "is_superuser": False, "is_verified": True} | more


def _literal(value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, dict | list):
        value = json.dumps(value)
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


async def _written(url: str, statements) -> None:
    connection = await asyncpg.connect(url)
    for one in statements:
        await connection.execute(one)
    await connection.close()


async def _found(url: str, query: str) -> list[tuple]:
    connection = await asyncpg.connect(url)
    found = [tuple(row) for row in await connection.fetch(query)]
    await connection.close()
    return found
