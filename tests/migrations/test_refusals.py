"""What a migration refuses to do, and that a refusal changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, make_url

from migrations.neighbourhood import on, row_counts, tables
from rimlock import migrations
from rimlock.core import schema
from rimlock.core.errors import ConfigurationError, SchemaMismatch, Unavailable

Step = Callable[..., Awaitable[object]]


def run(*statements: str) -> Callable[[Connection], None]:
    """Make work of plain statements."""

    def work(connection: Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return work


@pytest.mark.anyio
async def test_a_table_of_our_name(database_url: str) -> None:
    """Where the host has a table named like ours, nothing is built, and the sentence names it."""
    await on(database_url, run("CREATE TABLE auth_user (id INTEGER)", "INSERT INTO auth_user VALUES (7)"))
    with pytest.raises(ConfigurationError, match="tables named auth_user and no record"):
        await migrations.upgrade(database_url)
    assert await migrations.create_if_absent(database_url) is False
    await migrations.downgrade(database_url)
    assert await on(database_url, row_counts) == {"auth_user": 1}


@pytest.mark.anyio
async def test_a_host_that_refers_to_us(database_url: str) -> None:
    """While a host's table refers to ours, leaving is refused: its rows would be deleted or point at nothing."""
    await migrations.upgrade(database_url)
    owned = "CREATE TABLE owned (id INTEGER PRIMARY KEY, owner VARCHAR(64) REFERENCES auth_user(id) ON DELETE CASCADE)"
    person = "INSERT INTO auth_user (id, email, email_key, created_at, updated_at) VALUES ('u', 'a@b.c', 'a@b.c', 1, 1)"
    await on(database_url, run(owned, person, "INSERT INTO owned VALUES (1, 'u')"))
    with pytest.raises(ConfigurationError, match="owned refers to Rimlock's tables"):
        await migrations.downgrade(database_url)
    counted = await on(database_url, row_counts)
    assert (counted["owned"], counted["auth_user"], counted[schema.VERSION_TABLE]) == (1, 1, 1)
    await on(database_url, run("DROP TABLE owned"))
    await migrations.downgrade(database_url)
    assert await on(database_url, tables) == set()


@pytest.mark.parametrize("step", [migrations.upgrade, migrations.downgrade])
@pytest.mark.anyio
async def test_a_newer_database(database_url: str, step: Step) -> None:
    """A database that a newer version made is left alone in both directions."""
    await migrations.upgrade(database_url)
    await on(database_url, run(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match="newer than this version"):
        await step(database_url)
    assert await migrations.current(database_url) == "9999"
    assert set(schema.metadata.tables) < await on(database_url, tables)


@pytest.mark.parametrize("step", [migrations.upgrade, migrations.downgrade, migrations.sql])
@pytest.mark.anyio
async def test_an_unknown_revision(sqlite_url: str, step: Step) -> None:
    """A revision that does not exist is refused with those that do."""
    with pytest.raises(ConfigurationError, match=r"no schema revision '0815'.*base, 0001, .*head"):
        await step(sqlite_url, "0815")


@pytest.mark.parametrize(
    "url, says",
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("mysql://root:hunter2@db/app", "not in 'mysql'"),
        ("hunter2", "not a database address"),
    ],
)
@pytest.mark.anyio
async def test_an_address_we_cannot_use(url: str, says: str) -> None:
    """An address of another kind is refused before anything is opened, and is not repeated in the sentence."""
    for step in (
        migrations.upgrade,
        migrations.downgrade,
        migrations.current,
        migrations.create_if_absent,
        migrations.sql,
    ):
        with pytest.raises(ConfigurationError, match=says) as refused:
            await step(url)
        assert "hunter2" not in str(refused.value)


@pytest.mark.anyio
async def test_a_database_that_does_not_answer(postgres_url: str, tmp_path: Path) -> None:
    """No server, no such database, no folder for the file: unavailable, and no password in the sentence."""
    nowhere = make_url(postgres_url).set(port=1, password="hunter2")  # port 1 has no listener
    unknown = make_url(postgres_url).set(database="rimlock_no_such_database")
    addresses = [address.render_as_string(hide_password=False) for address in (nowhere, unknown)]
    for url in (*addresses, f"sqlite:///{tmp_path}/no/such/folder/app.db"):
        with pytest.raises(Unavailable) as refused:
            await migrations.upgrade(url)
        assert "hunter2" not in str(refused.value)


@pytest.mark.anyio
async def test_a_file_held_by_another(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that does not let go of the file makes the migration give up instead of hang, and nothing changes."""
    monkeypatch.setattr("rimlock.migrations.connecting.WAIT_FOR_OTHERS_SECONDS", 0.1)
    with closing(sqlite3.connect(str(make_url(sqlite_url).database), isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="held for too long"):
            await migrations.upgrade(sqlite_url)
    assert await on(sqlite_url, tables) == set()


@pytest.mark.anyio
async def test_a_table_held_by_another(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that keeps one of our tables makes the migration give up soon, and nothing changes."""
    monkeypatch.setattr("rimlock.migrations.connecting.WAIT_FOR_TABLE_SECONDS", 0.1)
    await migrations.upgrade(postgres_url)
    holder = await asyncpg.connect(postgres_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE auth_user")
        with pytest.raises(Unavailable, match="held for too long"):
            await migrations.downgrade(postgres_url)
    await holder.close()
    assert await on(postgres_url, tables) == {*schema.metadata.tables, schema.VERSION_TABLE}


@pytest.mark.anyio
async def test_a_migration_that_does_not_end(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process waits for another's migration, and not for ever."""
    monkeypatch.setattr("rimlock.migrations.connecting.WAIT_FOR_OTHERS_SECONDS", 0.1)
    holder = await asyncpg.connect(postgres_url)
    async with holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('rimlock.migrations', 0))")
        with pytest.raises(Unavailable, match="held for too long"):
            await migrations.upgrade(postgres_url)
    await holder.close()
    assert await on(postgres_url, tables) == set()
