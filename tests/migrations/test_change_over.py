"""From the first schema to the second and back, on databases that are in use."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, text

from migrations.neighbourhood import on, row_counts
from rimlock import migrations

OBSERVED = """
INSERT INTO auth_observation (method, path, credential, credential_id, outcome, label, requests, first_seen, last_seen)
VALUES (:method, :path, :kind, :which, 'credential_missing', :label, :requests, 1750000000, 1750000600)
"""


def fill(connection: Connection) -> None:
    rows = [
        {"method": "GET", "path": f"/{n % 50}", "kind": "key", "which": f"k{n}", "label": "robot", "requests": n + 1}
        for n in range(500)
    ]
    connection.execute(text(OBSERVED), rows)
    connection.execute(text("INSERT INTO auth_account (user_id, created_at) VALUES ('u1', 1), ('u2', 2)"))
    connection.execute(
        text(
            "INSERT INTO auth_rollout (method, path, stage, actor, at)"
            " VALUES ('GET', '/1', 'observe', 'user:1', 1), ('GET', '/1', 'required', 'user:1', 2)"
        )
    )


def everything(connection: Connection) -> list[object]:
    queries = (
        (
            "SELECT method, path, credential, credential_id, outcome, label, requests, first_seen, last_seen"
            " FROM auth_observation ORDER BY credential_id"
        ),
        "SELECT user_id, epoch, active, created_at FROM auth_account ORDER BY user_id",
        "SELECT id, method, path, stage, actor FROM auth_rollout ORDER BY id",
    )
    return [list(map(tuple, connection.execute(text(query)))) for query in queries]


@pytest.mark.req("L7")
@pytest.mark.anyio
async def test_rows_are_carried_over_and_back(database_url: str) -> None:
    """Every observation becomes a count of its day, and an observation again on the way down; nothing else is lost."""
    await migrations.upgrade(database_url, "0001")
    await on(database_url, fill)
    before, counted = await on(database_url, everything), await on(database_url, row_counts)

    await migrations.upgrade(database_url)
    after = await on(database_url, row_counts)
    assert (after["auth_usage"], after["auth_account"], after["auth_rollout"]) == (500, 2, 2)
    days = await on(database_url, lambda c: c.execute(text("SELECT DISTINCT day, stage FROM auth_usage")).all())
    assert [tuple(row) for row in days] == [(20_254, "observe")]
    plain = await on(database_url, lambda c: c.execute(text("SELECT DISTINCT percent, until FROM auth_rollout")).all())
    assert [tuple(row) for row in plain] == [(100, None)]

    await migrations.downgrade(database_url, "0001")
    assert await on(database_url, everything) == before
    assert await on(database_url, row_counts) == counted

    await migrations.upgrade(database_url)
    assert await on(database_url, row_counts) == after
