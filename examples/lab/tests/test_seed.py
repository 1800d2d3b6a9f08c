"""The generator of plausible years."""

from __future__ import annotations

from datetime import datetime

from lab.catalogue import METHODS
from lab.seed import MACHINES, fill


def everything(client):
    """Every result the API lists, oldest first, without the row's own times."""
    pages = [client.get("/analyses", params={"limit": 500, "offset": offset}).json() for offset in range(0, 3_000, 500)]
    return [item for page in pages for item in page["items"]][::-1]


def test_the_same_seed_gives_the_same_rows(client, tmp_path):
    """Two databases filled alike list the same results; another seed gives others."""
    seen = []
    for number, seed in enumerate((1, 1, 2)):
        assert fill(f"sqlite:///{tmp_path / str(number)}.db", 400, seed=seed) == 400
        seen.append(everything(client))
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def test_a_filled_database_is_left_alone_unless_forced(client, fresh_database):
    """The generator may run at every start; force replaces what is there."""
    assert fill(fresh_database, 50) == 50
    assert fill(fresh_database, 70) == 0
    assert client.get("/analyses").json()["total"] == 50
    assert fill(fresh_database, 70, force=True) == 70
    assert client.get("/analyses").json()["total"] == 70
    assert len(client.get("/instruments").json()) == len(MACHINES)


def test_the_rows_are_plausible(client, fresh_database):
    """Every method appears within its limits and unit; the work spans three years of working days."""
    fill(fresh_database, 3_000)
    rows = everything(client)
    assert len(rows) == 3_000
    assert {row["method"] for row in rows} == set(METHODS)
    moments = [datetime.fromisoformat(row["recorded_at"]) for row in rows]
    assert (moments[-1] - moments[0]).days > 3 * 365 - 10
    assert not any(moment.weekday() == 6 for moment in moments)
    assert all(6 <= moment.hour < 21 for moment in moments)
    for row in rows:
        method = METHODS[row["method"]]
        assert row["unit"] == method.unit
        method.check(row["result"])


def test_some_rows_stand_out(keyed, fresh_database):
    """There are outliers for the explorer to find, and they are few."""
    fill(fresh_database, 3_000)
    found = keyed.get("/explorer/outliers", params={"score": 5, "limit": 500}).json()
    assert 3 <= len(found) <= 40
