"""A host with an Alembic of its own gets a revision to review and run; the columns come and go by it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ownership.estate import at_work, build, image, people, plan_text, sql
from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership import apply, backfill, finish, rollback, verify

INI = """
[alembic]
script_location = scripts
"""
ENVIRONMENT = """
import asyncio, os
from alembic import context
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from rimlock import migrations

url = os.environ["HOST_DATABASE"]
metadata = MetaData()
OWNED = [Column("owner_id", String(64), nullable=os.environ.get("OWNED") == "maybe")] if os.environ.get("OWNED") else []
Table("jobs", metadata, Column("id", Integer, primary_key=True), Column("made_by", String(40)), *OWNED)
if os.environ.get("OWNED") == "surely":
    from sqlalchemy import Index
    Index("ix_jobs_owner_id", metadata.tables["jobs"].c.owner_id)

def migrate(connection):
    context.configure(connection=connection, target_metadata=metadata, include_name=migrations.include_name)
    with context.begin_transaction():
        context.run_migrations()

async def over_asyncpg():
    engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()

if url.startswith("sqlite"):
    with create_engine(url).begin() as connection:
        migrate(connection)
else:
    asyncio.run(over_asyncpg())
"""
FIRST = '''
"""The first."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "aaaa", None, None, None

def upgrade():
    op.create_table("jobs", sa.Column("id", sa.Integer, primary_key=True), sa.Column("made_by", sa.String(40)))

def downgrade():
    op.drop_table("jobs")
'''
TEMPLATE = "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n"
PLAN = """
ddl = "alembic"
[[table]]
name = "jobs"
mode = "column"
[[table.rule]]
column = "made_by"
"""


class HostAlembic:
    """The host's Alembic, as its people run it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        (folder / "scripts" / "versions").mkdir(parents=True)
        (folder / "alembic.ini").write_text(INI)
        (folder / "scripts" / "env.py").write_text(ENVIRONMENT)
        (folder / "scripts" / "script.py.mako").write_text(TEMPLATE)
        (folder / "scripts" / "versions" / "aaaa_first.py").write_text(FIRST)

    def __call__(self, *arguments: str, owned: str = "") -> subprocess.CompletedProcess[str]:
        """Run `alembic`; `owned` says what the host's model knows of the column."""
        environment = {**os.environ, "HOST_DATABASE": self.url, "OWNED": owned}
        command = [sys.executable, "-m", "alembic", *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.req("L7")
@pytest.mark.anyio
async def test_the_column_comes_and_goes_by_the_hosts_own_revision(database_url, tmp_path, monkeypatch):
    """The revision is chained on the host's head and runs up, down and up; Alembic sees nothing it did not expect."""
    monkeypatch.setenv("HOST_DATABASE", database_url)
    host = HostAlembic(tmp_path, database_url)
    assert host("upgrade", "head").returncode == 0
    await asyncio.to_thread(sql, database_url, "INSERT INTO jobs (id, made_by) VALUES (1, 'ann'), (2, 'x'), (3, 'ann')")
    await people(database_url)
    before = await image(database_url)
    async with at_work(database_url, PLAN, tmp_path) as work:
        waits = await apply(work)
        assert (waits.ready, waits.waiting) == ((), ("jobs",))
        assert await apply(work) == waits
        with pytest.raises(ConfigurationError, match="not ready"):
            await backfill(work)
        assert await image(database_url) == before
        for direction in (("upgrade", "head"), ("downgrade", "-1"), ("upgrade", "head")):
            run = host(*direction)
            assert run.returncode == 0, run.stderr
        assert host("check", owned="maybe").returncode == 0
        assert (await apply(work)).ready == ("jobs",)
        assert (await backfill(work))[0].done
        seen = await verify(work)
        assert seen.right
        assert seen.unchanged
        assert {one.table: one.change for one in seen.tables} == {"alembic_version": "expected", "jobs": "same"}
        await finish(work)
        run = host("check", owned="surely")
        assert run.returncode == 0, run.stdout + run.stderr
        waits = await rollback(work)
        assert not waits.done
        assert waits.waiting is not None
        assert "alembic downgrade" in waits.waiting
        assert "delete that revision" in waits.waiting
        down = waits.waiting.split("`")[1].split()[1:]
        assert host(*down).returncode == 0
        assert (await rollback(work)).done
        assert await image(database_url) == before


@pytest.mark.anyio
async def test_a_host_whose_alembic_cannot_be_chained_on(sqlite_url, tmp_path, monkeypatch):
    """Several heads, or no configuration, are said in a sentence; nothing is written."""
    monkeypatch.setenv("HOST_DATABASE", sqlite_url)
    host = HostAlembic(tmp_path, sqlite_url)
    assert host("upgrade", "head").returncode == 0
    await people(sqlite_url)
    second = FIRST.replace('"aaaa"', '"bbbb"').replace("jobs", "more")
    (tmp_path / "scripts" / "versions" / "bbbb_second.py").write_text(second)
    async with at_work(sqlite_url, PLAN, tmp_path) as work:
        with pytest.raises(ConfigurationError, match="several heads"):
            await apply(work)
    async with at_work(sqlite_url, PLAN.replace("[[table]]", 'alembic = "other.ini"\n[[table]]', 1), tmp_path) as work:
        with pytest.raises(ConfigurationError, match=r"no other\.ini"):
            await apply(work)
    assert len(list((tmp_path / "scripts" / "versions").glob("*.py"))) == 2


@pytest.mark.anyio
async def test_plain_sql_for_a_host_without_alembic(database_url, tmp_path):
    """The statements are written beside the plan, up and down, as they were run."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    before = await image(database_url)
    async with at_work(database_url, plan_text("column"), tmp_path) as work:
        assert (await apply(work)).files == ("rimlock-ownership.up.sql", "rimlock-ownership.down.sql")
    up = (tmp_path / "rimlock-ownership.up.sql").read_text()
    assert 'ALTER TABLE "Order" ADD COLUMN owner_id VARCHAR(64);' in up
    assert 'ALTER TABLE "say ""hi"" %s" ADD COLUMN' in up
    for line in (tmp_path / "rimlock-ownership.down.sql").read_text().splitlines():
        await asyncio.to_thread(sql, database_url, line)
    assert await image(database_url) == before
