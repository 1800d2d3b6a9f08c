"""The revisions make the schema that the code uses, and unmake it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url

from migrations.neighbourhood import definitions, on, tables
from rimlock import migrations
from rimlock.core import schema
from rimlock.core.errors import SchemaMismatch
from rimlock.migrations.revisions import REVISIONS


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "version_table": schema.VERSION_TABLE}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata))


async def run_by_hand(url: str, statements: str) -> None:
    if url.startswith("postgresql"):
        connection = await asyncpg.connect(url)
        await connection.execute(statements)
        await connection.close()
    else:
        await on(url, lambda connection: connection.connection.driver_connection.executescript(statements))


@pytest.mark.req("L7")
@pytest.mark.anyio
async def test_alembic_finds_no_difference(database_url: str) -> None:
    """After an upgrade, comparing the database with the tables of the code proposes nothing."""
    await migrations.upgrade(database_url)
    assert await on(database_url, differences) == []


@pytest.mark.anyio
async def test_the_database_defines_them_alike(database_url: str) -> None:
    """Migrated tables and tables made from the code have the same definitions, down to constraint names and indexes."""
    await migrations.upgrade(database_url)
    migrated = await on(database_url, definitions)
    await migrations.downgrade(database_url)
    await on(database_url, schema.metadata.create_all)
    assert migrated == await on(database_url, definitions)
    assert {row[0] for row in migrated} == set(schema.metadata.tables)


@pytest.mark.req("L7")
@pytest.mark.anyio
async def test_up_down_up(database_url: str) -> None:
    """The revision is told truly on the way, repeating a step changes nothing, and after base no table is left."""
    told = [await migrations.current(database_url)]
    for step in (
        migrations.upgrade,
        migrations.upgrade,
        migrations.downgrade,
        migrations.downgrade,
        migrations.upgrade,
    ):
        await step(database_url)
        told.append(await migrations.current(database_url))
    assert told == [None, migrations.head(), migrations.head(), None, None, migrations.head()]
    await migrations.downgrade(database_url)
    assert await on(database_url, tables) == set()


@pytest.mark.anyio
async def test_named_revisions(database_url: str) -> None:
    """A revision can be named; going up to where the database is already keeps it there."""
    await migrations.upgrade(database_url, "0001")
    await migrations.downgrade(database_url, "0001")
    assert await migrations.current(database_url) == "0001"
    await migrations.upgrade(database_url, "base")
    assert await migrations.current(database_url) == "0001"


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg2", "postgresql"])
@pytest.mark.anyio
async def test_any_driver_in_a_postgres_address(postgres_url: str, driver: str) -> None:
    """The host's address serves as it is, whichever driver it names."""
    url = make_url(postgres_url).set(drivername=driver).render_as_string(hide_password=False)
    await migrations.upgrade(url)
    assert await migrations.current(postgres_url) == migrations.head()


@pytest.mark.anyio
async def test_any_driver_in_a_sqlite_address(sqlite_url: str) -> None:
    """The address of an asynchronous SQLite driver names the same file."""
    await migrations.upgrade(sqlite_url.replace("sqlite:", "sqlite+aiosqlite:"))
    assert await migrations.current(sqlite_url) == migrations.head()


@pytest.mark.anyio
async def test_looking_makes_no_file(sqlite_url: str) -> None:
    """Asking for the revision, or leaving a database that does not exist, creates no file."""
    assert await migrations.current(sqlite_url) is None
    await migrations.downgrade(sqlite_url)
    assert not Path(str(make_url(sqlite_url).database)).exists()


@pytest.mark.anyio
async def test_the_statements_do_the_same_by_hand(database_url: str) -> None:
    """What `sql` prints, run by another program, makes the same schema and takes it away again."""
    await migrations.upgrade(database_url)
    migrated = await on(database_url, definitions)
    await migrations.downgrade(database_url)
    await run_by_hand(database_url, await migrations.sql(database_url))
    assert await on(database_url, definitions) == migrated
    assert await migrations.current(database_url) == migrations.head()
    await run_by_hand(database_url, await migrations.sql(database_url, "head:base"))
    assert await on(database_url, tables) == set()


@pytest.mark.anyio
async def test_printing_the_statements_opens_nothing(tmp_path: Path) -> None:
    """The statements are one transaction, and printing them needs no database."""
    for url in (f"sqlite:///{tmp_path / 'none.db'}", "postgresql://nobody:secret@127.0.0.1:1/none"):
        statements = (await migrations.sql(url)).strip()
        assert statements.startswith("BEGIN;")
        assert statements.endswith("COMMIT;")
        assert "secret" not in statements
    assert list(tmp_path.iterdir()) == []


def test_the_list_of_revisions_is_the_scripts() -> None:
    """The revisions written out in the code are those of the scripts, in their order, with one head."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(REVISIONS)
    assert scripts.get_heads() == [migrations.head()]


def test_a_mismatch_names_the_command() -> None:
    """A database at the head fits; an empty one needs an upgrade; a newer one names both ways out."""
    empty, newer = migrations.mismatch(None), migrations.mismatch("9999")
    assert migrations.mismatch(migrations.head()) is None
    assert isinstance(empty, SchemaMismatch)
    assert "run `rimlock db upgrade`" in str(empty)
    assert "install the newer version" in str(newer)
    assert f"`rimlock db downgrade {migrations.head()}`" in str(newer)


def test_a_mismatch_of_an_older_database_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database at an earlier revision is told apart from a newer one, and needs an upgrade."""
    monkeypatch.setattr("rimlock.migrations.revisions.REVISIONS", ("0001", "0002"))
    older = str(migrations.mismatch("0001"))
    assert "at schema 0001" in older
    assert "needs 0002; run `rimlock db upgrade`" in older


def test_importing_costs_no_alembic() -> None:
    """An application that only compares revisions loads neither Alembic nor a PostgreSQL driver."""
    look = "import sys, rimlock.migrations as m; m.mismatch(None); print({'alembic', 'asyncpg'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "set()"
