"""Up, down and up on databases that are in use: every row of every table is accounted for."""

from __future__ import annotations

import pytest

from migrations.neighbourhood import fill_host, fill_ours, host, on, row_counts, seals
from rimlock import migrations
from rimlock.core import schema


@pytest.mark.req("L7")
@pytest.mark.anyio
async def test_every_row_of_the_host_outlives_us(database_url: str) -> None:
    """The host's tables, a cascading child too, hold the same after up, down and up; ours go and come empty."""
    await on(database_url, fill_host)
    counted, sealed = await on(database_url, row_counts), await on(database_url, seals)
    assert counted == {"analyses": 5_000, "steps": 10_000, "auth_legacy_note": 1}

    await migrations.upgrade(database_url)
    await on(database_url, fill_ours)
    ours = dict.fromkeys(schema.metadata.tables, 40) | {schema.VERSION_TABLE: 1}
    assert await on(database_url, row_counts) == counted | ours
    assert await on(database_url, seals) == sealed

    await migrations.downgrade(database_url)
    assert await on(database_url, row_counts) == counted
    assert await on(database_url, seals) == sealed

    await migrations.upgrade(database_url)
    emptied = dict.fromkeys(schema.metadata.tables, 0) | {schema.VERSION_TABLE: 1}
    assert await on(database_url, row_counts) == counted | emptied
    assert await on(database_url, seals) == sealed


@pytest.mark.anyio
async def test_the_host_still_cascades_afterwards(database_url: str) -> None:
    """The host's foreign keys work as before once we have come and gone."""
    await on(database_url, fill_host)
    await migrations.upgrade(database_url)
    await migrations.downgrade(database_url)
    analyses = host.tables["analyses"]
    await on(database_url, lambda connection: connection.execute(analyses.delete().where(analyses.c.id <= 10)))
    assert (await on(database_url, row_counts))["steps"] == 9_980


@pytest.mark.anyio
async def test_rows_of_ours_survive_an_upgrade(database_url: str) -> None:
    """Upgrading a database that is there already keeps its accounts, and `create_if_absent` leaves it alone."""
    await migrations.upgrade(database_url)
    await on(database_url, fill_ours)
    before = await on(database_url, row_counts)
    await migrations.upgrade(database_url)
    assert await migrations.create_if_absent(database_url) is False
    assert await on(database_url, row_counts) == before
