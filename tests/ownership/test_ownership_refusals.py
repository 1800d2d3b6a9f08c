"""What cannot be done safely, or is not said clearly, is refused before anything is touched."""

from __future__ import annotations

import asyncio

import pytest

from ownership.estate import FIRING, at_work, build, image, people, plan_text, sql
from rimlock.core import accounts
from rimlock.core.engines import open_database
from rimlock.core.errors import ConfigurationError
from rimlock.core.users import NewUser, OwnUsers
from rimlock.retrofit.ownership import apply, backfill, host_tables, open_host, plan, propose, read_plan, rollback
from rimlock.retrofit.ownership.rebuilding import with_not_null
from rimlock.retrofit.ownership.system_user import EMAIL

REFUSED = [
    ('name = "tallies"', "no primary key"),
    ('name = "pairs"', "2 columns"),
    ('name = "blobs"', "binary"),
    ('name = "elsewhere"', "no table"),
    ('name = "open_analyses"', "no table"),
    ('name = "auth_user"', "no table"),
    ('name = "analyses"\n[[table.rule]]\ncolumn = "nowhere"', "no column 'nowhere'"),
    ('name = "analyses"\n[[table.rule]]\naudit = "audit_log"\nrow = "row_id"\nuser = "nowhere"', "no column 'nowhere'"),
    ('name = "analyses"\ndefault = "stranger"', "no account"),
    ('name = "analyses"\nmode = "column"\ncolumn = "Sample"', "already"),
]
MISWRITTEN = [
    ("", "names no"),
    ("[[table]", "no TOML"),
    ('[[table]]\nname = "a"\nmod = "side"', "there is no 'mod'"),
    ('[[table]]\nname = "a"\nmode = "aside"', "mode is one of side, column"),
    ('[[table]]\nname = "a"\n[[table.rule]]\ncolumn = "b"\nmatch = ["name"]', "match cannot be 'name'"),
    ('[[table]]\nname = "a"\n[[table.rule]]\naudit = "b"', "row has to be a text"),
    ('[[table]]\nname = "a"\n[[table]]\nname = "a"', "twice"),
    ('[[table]]\nname = "a"\nindex = 1', "index is true or false"),
]
DEFINITIONS = [
    ("CREATE TABLE t (id INTEGER, owner_id VARCHAR(64))", "owner_id VARCHAR(64) NOT NULL)"),
    ('CREATE TABLE "t (" (id INTEGER -- a, b (\n, "owner_id" VARCHAR(64))', '"owner_id" VARCHAR(64) NOT NULL)'),
    ("CREATE TABLE [t](owner_id VARCHAR(64) -- who,\n, x TEXT DEFAULT ',)')", "NOT NULL, x TEXT DEFAULT ',)')"),
    ("CREATE TABLE t (a TEXT CHECK (a IN ('x', 'y')), OWNER_ID TEXT) STRICT", "OWNER_ID TEXT NOT NULL) STRICT"),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("table", "why"), REFUSED)
async def test_a_plan_that_cannot_be_carried_out(database_url, tmp_path, table, why):
    """Refused in one sentence, and neither the schema nor a row changed."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    before = await image(database_url)
    async with at_work(database_url, f"[[table]]\n{table}", tmp_path) as work:
        with pytest.raises(ConfigurationError, match=why):
            await applied_and_filled(work)
        await rollback(work)
        assert await image(database_url) == before


async def applied_and_filled(work):
    """Go as far as the plan can be carried out."""
    await apply(work)
    await backfill(work)


@pytest.mark.parametrize(("written", "why"), MISWRITTEN)
def test_a_plan_that_says_what_nobody_knows(written, why):
    """A misspelt word is refused with its place, never passed over."""
    with pytest.raises(ConfigurationError, match=why):
        read_plan(written)


@pytest.mark.anyio
async def test_triggers_that_would_fire(database_url, tmp_path):
    """A column whose filling fires the application's triggers is refused until the plan says that they may."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    await asyncio.to_thread(sql, database_url, FIRING["sqlite" if "sqlite" in database_url else "postgresql"])
    async with at_work(database_url, plan_text("column"), tmp_path) as work:
        assert any("touched" in warning for warning in (await plan(work))[0].warnings)
        with pytest.raises(ConfigurationError, match="would fire touched"):
            await apply(work)
    allowed = plan_text("column").replace('column = "belongs to"', 'column = "belongs to"\ntriggers = "fire"')
    async with at_work(database_url, allowed, tmp_path) as work:
        await apply(work)
    async with at_work(database_url, plan_text("side"), tmp_path) as work:
        with pytest.raises(ConfigurationError, match="begun in another way"):
            await apply(work)


@pytest.mark.req("N3")
@pytest.mark.attack("registering the System's address first")
@pytest.mark.anyio
async def test_the_system_is_nobody_who_can_sign_in(database_url, tmp_path):
    """An account that somebody registered under the System's address is given nothing."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    database, users = open_database(database_url, lambda _: None), OwnUsers()

    def register(tx):
        made = users.create(tx, NewUser(email=EMAIL), 1_000)
        accounts.open_account(tx, made.id, now=1_000, password_hash="hash")
        return made.id

    theirs = await database.write(register)
    async with at_work(database_url, plan_text("side"), tmp_path) as work:
        with pytest.raises(ConfigurationError, match="can sign in"):
            await apply(work)
        await rollback(work)
    assert await database.read(lambda tx: users.get(tx, theirs)) is not None
    await database.close()


@pytest.mark.anyio
async def test_one_system_user_for_several_hosts(sqlite_url, tmp_path):
    """Two hosts share the System user; the last one to leave takes it away."""
    others = [f"sqlite:///{tmp_path / name}.db" for name in ("one", "two")]
    await people(sqlite_url)
    systems = []
    for url in others:
        await asyncio.to_thread(build, url)
        async with at_work(url, plan_text("side"), tmp_path, ours=sqlite_url) as work:
            systems.append((await apply(work)).system)
            assert (await apply(work)).system == systems[-1]
    assert systems[0] == systems[1]
    removed = []
    for url in others:
        async with at_work(url, plan_text("side"), tmp_path, ours=sqlite_url) as work:
            removed.append((await rollback(work)).system_removed)
    assert removed == [False, True]


@pytest.mark.anyio
async def test_a_proposal_is_a_plan(database_url, tmp_path):
    """What is proposed for a host can be read, planned and carried out as it stands."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    async with open_host(database_url) as host:
        written = propose(await host.read(host_tables))
    assert (
        "# Left out: the table 'tallies' cannot get owners: it has no primary key, so its rows cannot be named."
        in written
    )
    named = {table.name for table in read_plan(written).tables}
    assert named == {"analyses", "steps", "Order", "documents", 'say "hi" %s'}
    assert '"pairs" cannot' not in written.replace("'pairs'", '"pairs"').splitlines()[0]
    async with at_work(database_url, written, tmp_path) as work:
        planned = {one.table: one for one in await plan(work)}
        assert planned["analyses"].by["1. audit audit_log"] > 0
        await apply(work)
        assert all(one.done or one.ambiguous for one in await backfill(work))


@pytest.mark.parametrize(("written", "end"), DEFINITIONS)
def test_the_definition_of_a_column_is_found(written, end):
    """Commas, parentheses and comments in odd places are not taken for the end of a column."""
    made = with_not_null(written, "owner_id")
    assert made.startswith("CREATE TABLE rimlock_rebuilt (")
    assert made.endswith(end)


@pytest.mark.anyio
async def test_a_big_sqlite_table_is_not_rewritten_under_traffic(sqlite_url, tmp_path):
    """What would keep writers waiting is refused until somebody says that there are none."""
    await people(sqlite_url)
    rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 60000) SELECT x FROM n"
    await asyncio.to_thread(sql, sqlite_url, "CREATE TABLE big (id INTEGER PRIMARY KEY)")
    await asyncio.to_thread(sql, sqlite_url, f"INSERT INTO big {rows}")
    from rimlock.retrofit.ownership import finish

    async with at_work(sqlite_url, '[[table]]\nname = "big"\nmode = "column"', tmp_path) as work:
        await apply(work)
        await backfill(work, batch=100_000)
        with pytest.raises(ConfigurationError, match="--offline"):
            await finish(work)
        assert (await finish(work, offline=True))[0].required
        with pytest.raises(ConfigurationError, match="--offline"):
            await rollback(work)
        assert (await rollback(work, offline=True)).done
