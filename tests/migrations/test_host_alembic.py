"""A host that has an Alembic environment of its own, in the same database."""

from __future__ import annotations

import asyncio
from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Column, Integer, MetaData, Table

from migrations.neighbourhood import host, on, tables
from rimlock import migrations
from rimlock.core import schema

ENVIRONMENT = '''
"""What a host writes: its metadata, its engine, and perhaps one line for its lodger."""
import asyncio

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from rimlock import migrations

url = context.config.get_main_option("url")


def migrate(connection):
    context.configure(connection=connection, target_metadata=context.config.attributes["metadata"], FILTER)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_over_asyncpg():
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if url.startswith("sqlite"):
    engine = create_engine(url)
    with engine.begin() as connection:
        migrate(connection)
    engine.dispose()
else:
    asyncio.run(migrate_over_asyncpg())
'''
HELPED = ["include_name=migrations.include_name", "include_object=migrations.include_object"]


def environment(directory: Path, url: str, *, line: str = "", metadata: MetaData = host) -> Config:
    """Make the host's Alembic environment as `alembic init` does, with `line` in its configuration."""
    config = Config(directory / "alembic.ini", stdout=StringIO(), attributes={"metadata": metadata})
    scripts = directory / "scripts"
    if not scripts.exists():
        command.init(config, str(scripts), template="generic")
    config.set_main_option("script_location", str(scripts))
    config.set_main_option("path_separator", "os")
    config.set_main_option("url", url)
    (scripts / "env.py").write_text(ENVIRONMENT.replace("FILTER", line))
    return config


def proposed(config: Config, message: str) -> str:
    """Run the host's autogenerate and return the revision it wrote."""
    script = command.revision(config, message, autogenerate=True)
    return Path(script.path).read_text()  # type: ignore[union-attr]


def test_without_the_line_our_tables_would_be_dropped(database_url: str, tmp_path: Path) -> None:
    """A host that does not know of us is told to drop every table of ours: this is what the helper is for."""
    config = environment(tmp_path, database_url)
    asyncio.run(migrations.upgrade(database_url))
    written = proposed(config, "first")
    assert all(f"op.drop_table('{name}')" in written for name in (*schema.metadata.tables, schema.VERSION_TABLE))


@pytest.mark.parametrize("line", HELPED)
def test_with_the_line_the_host_sees_only_its_own(database_url: str, tmp_path: Path, line: str) -> None:
    """With either filter autogenerate makes the host's tables, one that begins with `auth_` too, and drops none."""
    config = environment(tmp_path, database_url, line=line)
    asyncio.run(migrations.upgrade(database_url))
    written = proposed(config, "first")
    assert "op.create_table('auth_legacy_note'" in written
    assert "op.create_table('analyses'" in written
    assert not any(name in written for name in schema.metadata.tables)
    assert schema.VERSION_TABLE not in written

    command.upgrade(config, "head")
    assert "    op." not in proposed(config, "second")


@pytest.mark.parametrize("line", HELPED)
def test_the_line_hides_nothing_of_the_host(database_url: str, tmp_path: Path, line: str) -> None:
    """A table that the host gave up is still proposed for dropping, even one that begins with `auth_`."""
    config = environment(tmp_path, database_url, line=line)
    command.upgrade(config, "head")
    asyncio.run(on(database_url, host.create_all))
    asyncio.run(migrations.upgrade(database_url))
    shrunk = MetaData()
    Table("analyses", shrunk, Column("id", Integer, primary_key=True))
    written = proposed(environment(tmp_path, database_url, line=line, metadata=shrunk), "fewer")
    assert "op.drop_table('auth_legacy_note')" in written
    assert "op.drop_column('analyses', 'sample')" in written


@pytest.mark.req("L7")
def test_two_trees_in_one_database(database_url: str, tmp_path: Path) -> None:
    """The host's `alembic_version` and ours stand side by side; each tree goes down and up without moving the other."""
    config = environment(tmp_path, database_url, line=HELPED[0])
    first = command.revision(config, "first", autogenerate=True)

    def versions() -> tuple[list[str], str | None]:
        told = "SELECT version_num FROM alembic_version"
        rows = asyncio.run(on(database_url, lambda connection: connection.exec_driver_sql(told).scalars().all()))
        return list(rows), asyncio.run(migrations.current(database_url))

    command.upgrade(config, "head")
    theirs = [first.revision]  # type: ignore[union-attr]
    asyncio.run(migrations.upgrade(database_url))
    assert versions() == (theirs, migrations.head())
    asyncio.run(migrations.downgrade(database_url))
    assert versions() == (theirs, None)
    asyncio.run(migrations.upgrade(database_url))
    command.downgrade(config, "base")
    assert versions() == ([], migrations.head())
    asyncio.run(migrations.downgrade(database_url))
    assert asyncio.run(on(database_url, tables)) == {"alembic_version"}
