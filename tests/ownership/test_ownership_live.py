"""Owners are given while the application goes on working, and by more than one backfill."""

from __future__ import annotations

import asyncio

import pytest

from ownership.estate import ANALYSES, at_work, build, image, people, plan_text, sql
from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership import apply, backfill, finish, rollback, standing, verify

STATES = ["applied", "partly", "filled", "finished"]


@pytest.mark.req("L7")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
async def test_two_backfills_share_the_work(database_url, tmp_path, mode):
    """Two at once give every row once: what they gave adds up to the rows there are."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    async with (
        at_work(database_url, plan_text(mode), tmp_path) as one,
        at_work(database_url, plan_text(mode), tmp_path) as other,
    ):
        await apply(one)
        both = await asyncio.gather(backfill(one, batch=40), backfill(other, batch=40))
        given = [sum(filled.given for filled in side) for side in both]
        lines = {line["table"]: line["given"] for line in await standing(one)}
        assert sum(given) == sum(lines.values()) == ANALYSES + 300 + 300 + 59
        assert (await verify(one)).right


@pytest.mark.req("L7")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
async def test_live_writes_during_a_backfill(database_url, tmp_path, mode):
    """Rows that come, change and go meanwhile are told from damage; an owner the application set stays."""
    await asyncio.to_thread(build, database_url)
    ids = await people(database_url)
    async with at_work(database_url, plan_text(mode), tmp_path) as work:
        await apply(work)
        await asyncio.to_thread(own, database_url, mode, ids["cyd"])

        def live():
            for n in range(20):
                sql(database_url, f"INSERT INTO analyses (sample, made_by) VALUES ('new {n}', 'ann')")
                sql(database_url, f'UPDATE "Order" SET "Group" = \'other\' WHERE "Select" = \'o{n}\'')
                sql(database_url, f"DELETE FROM steps WHERE id = {n + 1}")

        await asyncio.gather(backfill(work, batch=50), asyncio.to_thread(live))
        await backfill(work)
        seen = await verify(work)
        changes = {one.table: one.change for one in seen.tables}
        assert seen.right
        assert not seen.unchanged
        assert changes["analyses"] == "grown"
        assert changes["Order"] == "changed"
        assert changes["steps"] == "changed"
        assert changes["documents"] == "same"
        assert await asyncio.to_thread(owner_of_five, database_url, mode) == ids["cyd"]
        gone = await rollback(work)
        assert gone.done
        assert {one.table: one.change for one in gone.tables} == changes


def own(url, mode, user):
    """Give the fifth analysis an owner, as the application does."""
    if mode == "side":
        sql(url, f"INSERT INTO auth_owner (table_name, row_key, user_id) VALUES ('analyses', '5', '{user}')")
    else:
        sql(url, f"UPDATE analyses SET \"belongs to\" = '{user}' WHERE id = 5")


def owner_of_five(url, mode):
    """Return who owns the fifth analysis."""
    if mode == "side":
        return sql(url, "SELECT user_id FROM auth_owner WHERE table_name = 'analyses' AND row_key = '5'")[0][0]
    return sql(url, 'SELECT "belongs to" FROM analyses WHERE id = 5')[0][0]


@pytest.mark.req("L7")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
@pytest.mark.parametrize("state", STATES)
async def test_the_way_back_from_every_state(database_url, tmp_path, mode, state):
    """From wherever it stands, schema, rows and accounts are what they were."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    before = await image(database_url)
    async with at_work(database_url, plan_text(mode), tmp_path) as work:
        await apply(work)
        if state != "applied":
            await backfill(work, batch=50, most=700 if state == "partly" else None)
        if state == "finished":
            await finish(work)
        gone = await rollback(work)
        assert gone.done
        assert gone.system_removed
        assert await image(database_url) == before
        assert sql_in_thread(await asyncio.to_thread(sql, database_url, "SELECT count(*) FROM auth_user")) == 3
        await apply(work)
        await backfill(work)
        assert (await verify(work)).right


def sql_in_thread(rows):
    """Return the only value there is."""
    return rows[0][0]


@pytest.mark.anyio
async def test_a_row_somebody_holds_is_left_for_later(postgres_url, tmp_path):
    """A backfill neither waits for a held row nor makes its holder wait; called again it gives that row too."""
    import asyncpg

    await asyncio.to_thread(build, postgres_url)
    await people(postgres_url)
    async with at_work(postgres_url, plan_text("column"), tmp_path) as work:
        await apply(work)
        holder = await asyncpg.connect(postgres_url)
        try:
            async with holder.transaction():
                await holder.execute("SELECT 1 FROM analyses WHERE id = 77 FOR UPDATE")
                first = (await backfill(work))[0]
        finally:
            await holder.close()
        assert (first.left, first.done) == (1, False)
        second = (await backfill(work))[0]
        assert (second.given, second.left, second.done) == (1, 0, True)


@pytest.mark.req("N3")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
async def test_ambiguous_evidence_is_reported_and_never_guessed(database_url, tmp_path, mode):
    """A name two people bear leaves its rows without an owner until the plan says who is meant."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    plan = plan_text(mode, ambiguous="leave")
    async with at_work(database_url, plan, tmp_path) as work:
        await apply(work)
        filled = (await backfill(work))[0]
        assert not filled.done
        assert set(filled.ambiguous) == {"Chris Same", "ann@lab.example / bob@lab.example"}
        assert filled.ambiguous["ann@lab.example / bob@lab.example"] == 2
        assert sum(filled.ambiguous.values()) == filled.left
        assert filled.unmatched == {"nobody we know": filled.unmatched["nobody we know"]}
        assert not (await verify(work)).right
        with pytest.raises(ConfigurationError, match="have no owner"):
            await finish(work)
    said = '"old robot" = "bob"\n"Chris Same" = "cyd"\n"bob@lab.example" = "ann"'
    async with at_work(database_url, plan.replace('"old robot" = "bob"', said), tmp_path) as work:
        filled = (await backfill(work))[0]
        assert filled.done
        assert not filled.ambiguous
        await finish(work)


@pytest.mark.req("L7")
@pytest.mark.anyio
async def test_no_row_is_without_an_owner_after_the_end(database_url, tmp_path):
    """After `finish` the database refuses a row without an owner, and numbers go on where they were."""
    await asyncio.to_thread(build, database_url)
    ids = await people(database_url)
    async with at_work(database_url, plan_text("column"), tmp_path) as work:
        await apply(work)
        await backfill(work)
        await finish(work)
        with pytest.raises(Exception, match=r"(?i)not.null|null value"):
            await asyncio.to_thread(sql, database_url, "INSERT INTO analyses (sample) VALUES ('x')")
        await finish(work)
        await asyncio.to_thread(
            sql, database_url, f"INSERT INTO analyses (sample, \"belongs to\") VALUES ('x', '{ids['ann']}')"
        )
        ((newest,),) = await asyncio.to_thread(sql, database_url, "SELECT max(id) FROM analyses")
        assert newest > ANALYSES + 1


@pytest.mark.req("L7")
@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "end"), [("side", "filled"), ("column", "filled"), ("side", "finished")])
async def test_rows_that_come_when_all_is_filled(database_url, tmp_path, mode, end):
    """The next backfill gives them owners, and no other row is touched; where nothing came, nothing moves."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    async with at_work(database_url, plan_text(mode), tmp_path) as work:
        await apply(work)
        await backfill(work)
        if end == "finished":
            await finish(work)
        before = await standing(work)
        assert [one.given for one in await backfill(work)] == [0] * len(work.plan.tables)
        assert await standing(work) == before
        for n in range(3):
            await asyncio.to_thread(
                sql, database_url, f"INSERT INTO analyses (sample, made_by) VALUES ('n {n}', 'ann')"
            )
        again = {one.table: one for one in await backfill(work)}
        assert (again["analyses"].given, again["analyses"].left, again["analyses"].done) == (3, 0, True)
        assert sum(one.given for one in again.values()) == 3
        assert (await verify(work)).right
        await finish(work)
        assert (await rollback(work)).done


@pytest.mark.anyio
async def test_a_file_without_write_ahead_log(sqlite_url, tmp_path):
    """A SQLite file in the old journal mode goes the same way and back."""
    await asyncio.to_thread(build, sqlite_url, wal=False)
    await people(sqlite_url)
    before = await image(sqlite_url)
    async with at_work(sqlite_url, plan_text("column"), tmp_path) as work:
        await apply(work)
        await backfill(work)
        await finish(work)
        assert (await verify(work)).unchanged
        assert (await rollback(work)).done
        assert await image(sqlite_url) == before


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
async def test_owners_of_rows_that_are_gone(database_url, tmp_path, mode):
    """A row deleted meanwhile leaves no owner behind that a new row of the same key would fall to."""
    await asyncio.to_thread(build, database_url)
    await people(database_url)
    async with at_work(database_url, plan_text(mode), tmp_path) as work:
        await apply(work)
        await backfill(work)
        await asyncio.to_thread(sql, database_url, "DELETE FROM \"Order\" WHERE \"Select\" IN ('o1', 'o2')")
        orphans = {one.table: one.orphans for one in (await verify(work)).owned}
        assert orphans == {**dict.fromkeys(orphans, 0), "Order": 2 if mode == "side" else 0}
        done = {one.table: one.orphans for one in await finish(work)}
        assert done == orphans
        assert (await verify(work)).right
