"""Keys in a table of the application are taken over, and that table is only read."""

from __future__ import annotations

from hashlib import sha256

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from features.api_keys.fitted import fitted, person, written
from rimlock.core import keys
from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.keys import import_plain_column, import_sha256_column

STRONG = [f"lab-{number:03}-9fX2mQ7vKz4tLw8r" for number in range(3)]


@pytest.mark.req("L12")
@pytest.mark.anyio
async def test_keys_in_clear_go_on_working_by_digest(database_url, tmp_path):
    """Every caller's key is taken over with its name; what is no key is reported; the file stays byte for byte."""
    rows = [*((key, f"client {key[4:7]}") for key in STRONG), ("abc", "old script"), ("", "none"), (STRONG[0], "copy")]
    url = table_of(tmp_path, rows)
    before = (tmp_path / "host.db").read_bytes()
    auth, app = fitted(database_url)
    await auth.start()
    planned = await import_plain_column(auth.database, url, "api_keys", "key", name_column="label", dry_run=True)
    nothing = await auth.database.read(lambda tx: keys.page(tx, None, after=None, limit=9))
    done = await import_plain_column(auth.database, url, "api_keys", "key", name_column="label")
    again = await import_plain_column(auth.database, url, "api_keys", "key", name_column="label")
    await auth.stop()
    assert nothing == []
    assert (planned.read, planned.added, planned.known) == (done.read, done.added, done.known) == (6, 4, 0)
    assert (again.added, again.known) == (0, 4)
    assert done.weak == ("old script",)
    assert dict(done.skipped) == {"none": "empty", "copy": "repeated"}
    assert (tmp_path / "host.db").read_bytes() == before
    assert all(key not in repr((planned, done, again)) for key in STRONG)
    with TestClient(app) as client:
        labels = [client.get("/me", headers={"X-API-Key": key}).json()["label"] for key in [*STRONG, "abc"]]
        kept = written(client, auth, lambda tx: str(tx.all(text("SELECT * FROM auth_api_key"))))
    assert labels == ["client 000", "client 001", "client 002", "old script"]
    assert all(key not in kept for key in STRONG)


@pytest.mark.req("L12")
@pytest.mark.anyio
async def test_digests_are_taken_over_in_any_case(database_url, tmp_path):
    """A hexadecimal SHA-256 in capitals is the same; anything else is reported as no digest."""
    digests = [sha256(STRONG[0].encode()).hexdigest(), sha256(STRONG[1].encode()).hexdigest().upper(), "0" * 63]
    url = table_of(tmp_path, [(digest, None) for digest in digests])
    auth, app = fitted(database_url)
    await auth.start()
    scopes = frozenset({"analyses:read"})
    done = await import_sha256_column(auth.database, url, "api_keys", "key", scopes=scopes)
    await auth.stop()
    assert (done.added, done.weak, done.skipped) == (2, (), (("row 3", "no_digest"),))
    with TestClient(app) as client:
        answers = [client.get("/scoped", headers={"X-API-Key": key}).status_code for key in STRONG]
    assert answers == [200, 200, 401]


def test_keys_with_an_owner_belong_to_the_account(database_url, tmp_path):
    """The key acts as its owner; the key of somebody without an account is not taken over, and reported."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        url = table_of(tmp_path, [(STRONG[0], ann.id), (STRONG[1], "4711")])
        done = client.portal.call(
            lambda: import_plain_column(auth.database, url, "api_keys", "key", owner_column="label")
        )
        me = client.get("/me", headers={"X-API-Key": STRONG[0]}).json()
        other = client.get("/me", headers={"X-API-Key": STRONG[1]})
    assert (done.added, done.skipped) == (1, (("row 2", "owner_unknown"),))
    assert (me["subject"], me["label"]) == (ann.id, "row 1")
    assert other.status_code == 401


@pytest.mark.anyio
async def test_many_keys_are_taken_over_in_batches(sqlite_url, tmp_path):
    """More keys than one batch holds; a report never names a key, even where the name is the key."""
    url = table_of(tmp_path, [(f"{number}-9fX2mQ7vKz4tLw8r", f"{number}-9fX2mQ7vKz4tLw8r") for number in range(1201)])
    auth, _ = fitted(sqlite_url)
    await auth.start()
    done = await import_plain_column(auth.database, url, "api_keys", "key", name_column="label")
    names = {key.name for key in await auth.database.read(lambda tx: keys.page(tx, None, after=None, limit=2000))}
    await auth.stop()
    assert (done.read, done.added) == (1201, 1201)
    assert names == {f"row {number}" for number in range(1, 1202)}


@pytest.mark.anyio
async def test_a_revoked_key_is_not_brought_back(database_url, tmp_path):
    """Importing again changes nothing about a key that was revoked meanwhile."""
    url = table_of(tmp_path, [(STRONG[0], "a")])
    auth, _ = fitted(database_url)
    await auth.start()
    await import_plain_column(auth.database, url, "api_keys", "key")
    (key,) = await auth.database.read(lambda tx: keys.page(tx, None, after=None, limit=9))
    await auth.database.write(lambda tx: keys.revoke(tx, key.id, now=auth.context.now()))
    again = await import_plain_column(auth.database, url, "api_keys", "key")
    living = await auth.database.read(lambda tx: keys.page(tx, None, after=None, limit=9))
    await auth.stop()
    assert (again.added, again.known, living) == (0, 1, [])


@pytest.mark.parametrize(("table", "column"), [("api_keys", "secret"), ("nothing", "key")])
@pytest.mark.anyio
async def test_a_place_that_is_not_there_is_named(sqlite_url, tmp_path, table, column):
    """The sentence names table and column, never the address."""
    url = table_of(tmp_path, [])
    auth, _ = fitted(sqlite_url)
    await auth.start()
    with pytest.raises(ConfigurationError, match=f"column {column} of the table {table}") as refused:
        await import_plain_column(auth.database, url, table, column)
    await auth.stop()
    assert "host.db" not in str(refused.value)


@pytest.mark.anyio
async def test_a_table_in_postgres_is_read_by_its_schema(postgres_url, sqlite_url):
    """The application's table may be in PostgreSQL, in a schema of its own, while ours are elsewhere."""
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA lab"))
        await connection.execute(text('CREATE TABLE lab.keys (id serial, "Key" text)'))
        await connection.execute(text('INSERT INTO lab.keys ("Key") VALUES (:key)'), [{"key": key} for key in STRONG])
    await engine.dispose()
    auth, _ = fitted(sqlite_url)
    await auth.start()
    done = await import_plain_column(auth.database, postgres_url, "lab.keys", "Key")
    await auth.stop()
    assert (done.read, done.added) == (3, 3)


def table_of(place, rows):
    """Make the application's own table and return the address of its database."""
    url = f"sqlite:///{place / 'host.db'}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE api_keys (key TEXT, label TEXT)"))
        if rows:
            connection.execute(
                text("INSERT INTO api_keys VALUES (:key, :label)"),
                [{"key": key, "label": label} for key, label in rows],
            )
    engine.dispose()
    return url
