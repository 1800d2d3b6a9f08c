"""Owners for the rows of a host's tables, from the plan to the end and all the way back."""

from __future__ import annotations

import asyncio

import pytest

from ownership.estate import ANALYSES, at_work, build, image, people, plan_text, sql
from rimlock.retrofit.ownership import apply, backfill, finish, plan, rollback, verify


@pytest.mark.req("L7", "N3")
@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["side", "column"])
async def test_the_whole_way_and_back(database_url, tmp_path, mode):
    """Every row gets the owner its evidence names; afterwards nothing is left of it, and no row changed."""
    await asyncio.to_thread(build, database_url)
    ids = await people(database_url)
    before = await image(database_url)
    async with at_work(database_url, plan_text(mode), tmp_path) as work:
        planned = {one.table: one for one in await plan(work)}
        assert await image(database_url) == before
        applied = await apply(work)
        assert applied.counted["analyses"] == ANALYSES
        filled = {one.table: one for one in await backfill(work, batch=137)}
        assert {name: dict(one.by) for name, one in filled.items()} == {
            name: dict(one.by) for name, one in planned.items()
        }
        assert all(one.done for one in filled.values())
        seen = await verify(work)
        assert seen.right
        assert seen.unchanged
        assert {one.change for one in seen.tables} == {"same"}
        await finish(work)
        assert (await verify(work)).right
        assert (await verify(work)).unchanged
        owned = await asyncio.to_thread(owners, database_url, mode, "analyses")
        assert owned["10"] == ids["ann"]
        assert owned["8"] == ids["ann"]
        assert owned["1"] == ids["bob"]
        assert owned["7"] == ids["bob"]
        assert owned["3"] == applied.system
        assert len(owned) == ANALYSES
        gone = await rollback(work)
        assert gone.done
        assert gone.system_removed
        assert not gone.differences
        assert {one.change for one in gone.tables} == {"same"}
        assert await image(database_url) == before
        assert (await rollback(work)).done


def owners(url, mode, table):
    """Return the owner of each row by the text of its key."""
    if mode == "side":
        return dict(sql(url, f"SELECT row_key, user_id FROM auth_owner WHERE table_name = '{table}'"))
    return dict(sql(url, f'SELECT CAST(id AS VARCHAR), "belongs to" FROM {table}'))
