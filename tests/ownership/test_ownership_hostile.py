"""Plans that were edited, hosts that are odd, databases that fail: a sentence, and nothing half done."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import make_url

from ownership.estate import at_work, image, people, plan_text, sql
from ownership.estate import build as build_estate
from rimlock.core.errors import ConfigurationError, Unavailable
from rimlock.retrofit.ownership import apply, backfill, finish, host_tables, load_plan, open_host, rollback, verify

pytestmark = pytest.mark.req("L7")
SIDE, COLUMN = '[[table]]\nname = "t"\nmode = "side"\n', '[[table]]\nname = "t"\nmode = "column"\n'
RULE = '[[table.rule]]\naudit = "a"\nrow = "row_id"\nuser = "who"\n'


async def made(url, *statements):
    """Make the host's tables, and our accounts."""
    await people(url)
    for statement in statements:
        await asyncio.to_thread(sql, url, statement)


@pytest.mark.attack("a plan edited between two steps")
@pytest.mark.anyio
async def test_a_column_of_the_hosts_is_never_taken_for_ours(database_url, tmp_path):
    """A plan that names the host's own column after `apply` is refused by every step that would write."""
    await made(database_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, owner_id TEXT)", "INSERT INTO t VALUES (1, NULL)")
    async with at_work(database_url, SIDE, tmp_path) as work:
        await apply(work)
    async with at_work(database_url, COLUMN, tmp_path) as work:
        for step in (backfill, finish, apply):
            with pytest.raises(ConfigurationError, match="begun in another way"):
                await step(work)
    assert await asyncio.to_thread(sql, database_url, "SELECT * FROM t") == [(1, None)]


@pytest.mark.anyio
async def test_a_column_that_went_again_is_not_filled(sqlite_url, tmp_path):
    """SQLite takes a quoted name that is no column for a text, which is never empty: nothing would seem left to do."""
    plan = COLUMN + 'column = "belongs to"'
    await made(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    async with at_work(sqlite_url, plan, tmp_path) as work:
        await apply(work)
        await asyncio.to_thread(sql, sqlite_url, 'ALTER TABLE t DROP COLUMN "belongs to"')
        with pytest.raises(ConfigurationError, match="any more"):
            await backfill(work)
        await apply(work)
        assert (await backfill(work))[0].given == 1


@pytest.mark.anyio
async def test_owners_are_not_given_to_a_system_user_who_is_gone(database_url, tmp_path):
    """A deleted System user is noticed before a row is given; `apply` makes it anew."""
    await made(database_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    async with at_work(database_url, SIDE, tmp_path) as work:
        await apply(work)
        await asyncio.to_thread(sql, database_url, "DELETE FROM auth_user WHERE email LIKE 'system@%'")
        with pytest.raises(ConfigurationError, match="System user is gone"):
            await backfill(work)
        await apply(work)
        assert (await backfill(work))[0].done
        assert (await verify(work)).right


@pytest.mark.anyio
async def test_partitions_get_owners_beside(postgres_url, tmp_path):
    """A partitioned table goes the whole way beside; a column of it, or of a partition, is refused at the start."""
    await made(
        postgres_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "INSERT INTO t SELECT * FROM generate_series(1, 50)",
    )
    before = await image(postgres_url)
    for name in ("t", "t1"):
        async with at_work(postgres_url, COLUMN.replace('"t"', f'"{name}"'), tmp_path) as work:
            with pytest.raises(ConfigurationError, match="partitions"):
                await apply(work)
    assert await image(postgres_url) == before
    async with at_work(postgres_url, SIDE, tmp_path) as work:
        await apply(work)
        assert (await backfill(work))[0].given == 50
        await finish(work)
        assert (await rollback(work)).done
    assert await image(postgres_url) == before


@pytest.mark.parametrize(
    "head",
    ["BEGINNING AFTER UPDATE ON t", "x AFTER UPDATE /* of what */ ON t", "x AFTER UPDATE -- of\n ON t"],
)
@pytest.mark.anyio
async def test_triggers_are_found_however_they_are_written(sqlite_url, tmp_path, head):
    """A name that begins with BEGIN, or a comment in between, hides no trigger."""
    body = "BEGIN UPDATE t SET n = 9; END"
    await made(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)", f"CREATE TRIGGER {head} {body}")
    async with at_work(sqlite_url, COLUMN, tmp_path) as work:
        with pytest.raises(ConfigurationError, match="would fire"):
            await apply(work)


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (COLUMN + f'column = "{"x" * 64}"', "at most 63 bytes"),
        (COLUMN + 'column = "a\\u0000b"', "printable"),
        (SIDE + RULE + "where = { kind = [1] }", "where.kind is a text"),
        (SIDE + RULE + "where = { kind = 2025-01-01 }", "where.kind is a text"),
    ],
)
def test_a_plan_no_database_could_carry_out(tmp_path, plan, why):
    """Refused when it is read, with its place."""
    (tmp_path / "plan.toml").write_text(plan)
    with pytest.raises(ConfigurationError, match=why):
        load_plan(tmp_path / "plan.toml")


def test_a_plan_in_another_encoding(tmp_path):
    """Said in a sentence."""
    (tmp_path / "plan.toml").write_bytes('[map]\n"Jürgen" = "ann"'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_plan(tmp_path / "plan.toml")


@pytest.mark.anyio
async def test_a_number_is_found_in_a_text(database_url, tmp_path):
    """A record whose column is text is matched by a number of the plan too."""
    await made(
        database_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE TABLE a (row_id TEXT, who TEXT, kind TEXT)",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO a VALUES ('1', 'ann', '5')",
    )
    async with at_work(database_url, SIDE + RULE + "where = { kind = 5 }", tmp_path) as work:
        await apply(work)
        assert (await backfill(work))[0].by == {"1. audit a": 1}


@pytest.mark.anyio
async def test_text_that_is_none(sqlite_url, tmp_path):
    """Bytes that are no UTF-8 stop nothing: as evidence they name nobody, as a key they leave the row to people."""
    await made(
        sqlite_url,
        "CREATE TABLE t (id TEXT PRIMARY KEY, made_by TEXT)",
        "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), 'ann'), ('a', CAST(x'ff42' AS TEXT)), ('b', 'ann' || char(0)), "
        "('é', 'ann'), (NULL, 'ann')",
    )
    rule = '[[table.rule]]\ncolumn = "made_by"\nmatch = ["id", "email", "username", "display"]'
    async with at_work(sqlite_url, SIDE + rule, tmp_path) as work:
        await apply(work)
        filled = (await backfill(work, batch=1))[0]
        assert (filled.given, filled.left, filled.by) == (3, 2, {"default": 2, "1. column made_by": 1})
        seen = await verify(work)
        assert (seen.right, seen.unchanged) == (False, True)
        assert (await rollback(work)).done


@pytest.mark.anyio
async def test_two_tables_of_one_name_are_told(postgres_url):
    """A table whose name reads like another one's with its schema would be counted in its place."""
    await asyncio.to_thread(sql, postgres_url, "CREATE SCHEMA a")
    for name in ("a.b", '"a.b"'):
        await asyncio.to_thread(sql, postgres_url, f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
    async with open_host(postgres_url) as host:
        with pytest.raises(ConfigurationError, match=r"'a\.b' is a table, and a table of a schema too"):
            await host.read(host_tables)


@pytest.mark.attack("rows that a policy hides")
@pytest.mark.anyio
async def test_rows_a_policy_hides_are_an_error(postgres_url, tmp_path):
    """Whoever may not see every row is told so, and does not leave some without an owner."""
    address = make_url(postgres_url)
    role = f"hidden_{address.database}"
    await made(
        postgres_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        f"CREATE ROLE {role} LOGIN PASSWORD '{address.password or 'any'}'",
    )
    try:
        for grant in (f'CREATE ON DATABASE "{address.database}"', "ALL ON SCHEMA public", "ALL ON t"):
            await asyncio.to_thread(sql, postgres_url, f"GRANT {grant} TO {role}")
        theirs = address.set(username=role).render_as_string(hide_password=False)
        async with at_work(theirs, SIDE, tmp_path, ours=postgres_url) as work:
            with pytest.raises(ConfigurationError, match="row-level security"):
                await apply(work)
    finally:
        await asyncio.to_thread(sql, postgres_url, f"DROP OWNED BY {role}")
        await asyncio.to_thread(sql, postgres_url, f"DROP ROLE {role}")


@pytest.mark.anyio
async def test_a_full_disk_and_a_read_only_file(sqlite_url, tmp_path):
    """One sentence; with room again, the same command goes on where it was."""
    rows = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x, hex(x) FROM n"
    await made(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", f"INSERT INTO t {rows}")
    async with at_work(sqlite_url, SIDE, tmp_path) as work:
        await apply(work)
        ((pages,),) = await asyncio.to_thread(sql, sqlite_url, "PRAGMA page_count")
        await work.host.outside(lambda on: on.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}").scalar())
        with pytest.raises(Unavailable, match="full"):
            await backfill(work)
        await work.host.outside(lambda on: on.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar())
        await work.host.outside(lambda on: on.exec_driver_sql("PRAGMA query_only = ON"))
        with pytest.raises(Unavailable, match="readonly"):
            await backfill(work)
        await work.host.outside(lambda on: on.exec_driver_sql("PRAGMA query_only = OFF"))
        assert (await backfill(work))[0].done
        assert (await verify(work)).right


@pytest.mark.anyio
async def test_a_database_that_goes_away(postgres_url, tmp_path):
    """The connection cut between two batches: Unavailable, and the next run goes on."""
    rows = "SELECT * FROM generate_series(1, 3000)"
    await made(postgres_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", f"INSERT INTO t {rows}")
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rimlock-retrofit' "
    async with at_work(postgres_url, COLUMN, tmp_path) as work:
        await apply(work)
        await backfill(work, batch=100, most=200)
        await asyncio.to_thread(sql, postgres_url, cut + "AND datname = current_database()")
        with pytest.raises(Unavailable, match="cannot go on"):
            await backfill(work, batch=100)
        assert (await backfill(work))[0].done
        assert (await rollback(work)).done


@pytest.mark.anyio
async def test_what_hangs_on_the_new_column_is_named(database_url, tmp_path):
    """A view the application put over the column keeps it from being dropped; without the view the way back is open."""
    await made(database_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    before = await image(database_url)
    async with at_work(database_url, COLUMN, tmp_path) as work:
        await apply(work)
        await asyncio.to_thread(sql, database_url, "CREATE VIEW v AS SELECT owner_id FROM t")
        with pytest.raises(ConfigurationError, match="drop"):
            await rollback(work)
        await asyncio.to_thread(sql, database_url, "DROP VIEW v")
        assert (await rollback(work)).done
    assert await image(database_url) == before


@pytest.mark.anyio
async def test_no_lock_is_waited_for_without_an_end(postgres_url, tmp_path):
    """Every connection of the tool gives a lock up, reading and outside of transactions too."""
    await people(postgres_url)
    async with open_host(postgres_url) as host:
        for run in (host.read, host.outside):
            assert await run(lambda on: on.exec_driver_sql("SHOW lock_timeout").scalar()) == "30s"
        assert await host.write(lambda on: on.exec_driver_sql("SHOW lock_timeout").scalar()) == "200ms"


@pytest.mark.attack("two operators at once")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
async def test_two_operators_run_the_same_command(database_url, tmp_path, mode):
    """One of them may be told to come again; called again, each step is done, and the way back is whole."""
    await asyncio.to_thread(build_estate, database_url)
    await people(database_url)
    before = await image(database_url)
    plan = plan_text(mode)
    async with at_work(database_url, plan, tmp_path) as one, at_work(database_url, plan, tmp_path) as other:
        for step in (apply, backfill, finish, rollback):
            done = await asyncio.gather(step(one), step(other), return_exceptions=True)
            assert all(isinstance(it, ConfigurationError | Unavailable) for it in done if isinstance(it, Exception))
            await step(one)
            if step is finish:
                assert (await verify(one)).right
        assert await image(database_url) == before


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("t /* odd */ (id INTEGER PRIMARY KEY)", "not known here"),
        ("t (id INTEGER PRIMARY KEY, CHECK (t.id > 0))", "refused"),
    ],
)
@pytest.mark.anyio
async def test_a_definition_that_cannot_be_put_up_anew(sqlite_url, tmp_path, definition, why):
    """It is left as it is, owners and all, and the way back is open."""
    await made(sqlite_url, f"CREATE TABLE {definition}", "INSERT INTO t VALUES (1)")
    before = await image(sqlite_url)
    async with at_work(sqlite_url, COLUMN, tmp_path) as work:
        await apply(work)
        await backfill(work)
        with pytest.raises(ConfigurationError, match=why):
            await finish(work)
        assert (await verify(work)).right
        assert (await rollback(work)).done
    assert await image(sqlite_url) == before
