"""What a retrofit leaves in the audit: who began which step on which tables, and how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

import pytest

from ownership.estate import TABLES, build, people, plan_text, sql
from ownership.test_ownership_command import retrofit  # noqa: F401 - a fixture
from rimlock.cli.main import main

pytestmark = pytest.mark.req("L7", "T4")

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
CHANGING = ("apply", "backfill", "finish", "rollback")
BEGUN, ENDED, FAILED = "RetrofitStepBegun", "RetrofitStepEnded", "RetrofitStepFailed"


@pytest.fixture
def told(capsys):
    """Returns the rows about a retrofit, oldest first, as the command shows them."""

    def look():
        capsys.readouterr()
        assert main(["audit", "list", "--limit", "1000", "--json"]) == 0
        rows = reversed(json.loads(capsys.readouterr().out)["items"])
        return [row for row in rows if row["event"].startswith("Retrofit")]

    return look


def test_each_changing_step_is_told_when_it_begins_and_when_it_has_ended(retrofit, told, database_url, tmp_path):  # noqa: F811 - the fixture
    """By whom, on which tables, with how many rows and whether all is done; looking leaves no row."""
    build(database_url)
    asyncio.run(people(database_url))
    (tmp_path / "rimlock-ownership.toml").write_text(plan_text("column"))
    rows = sql(database_url, "SELECT (SELECT count(*) FROM analyses) + (SELECT count(*) FROM documents)")[0][0]
    for step in ("plan", "apply", "backfill", "verify", "status", "finish", "rollback"):
        assert retrofit(step)[0] == 0
    found = told()
    assert [(row["event"], row["facts"]["step"]) for row in found] == [
        (event, step) for step in CHANGING for event in (BEGUN, ENDED)
    ]
    assert {row["actor"].partition(":")[0] for row in found} == {"cli"}
    assert all(row["actor"].partition(":")[2] for row in found)
    assert all(set(row["facts"]["tables"]) == set(TABLES) for row in found)
    assert len({row["facts"]["run"] for row in found}) == len(CHANGING)
    ended = {row["facts"]["step"]: row["facts"] for row in found if row["event"] == ENDED}
    assert {step: facts["done"] for step, facts in ended.items()} == dict.fromkeys(CHANGING, True)
    assert ended["backfill"]["rows"] > rows
    assert ended["backfill"]["left"] == 0


def test_a_step_that_stops_half_way_or_is_refused_is_told_as_it_ended(retrofit, told, database_url, tmp_path):  # noqa: F811 - the fixture
    """Rows that are left are counted; a refusal says of which kind it was, and repeats nothing of the host's data."""
    build(database_url)
    asyncio.run(people(database_url))
    (tmp_path / "rimlock-ownership.toml").write_text('[[table]]\nname = "documents"\n')
    assert retrofit("backfill")[0] == 1
    assert retrofit("apply")[0] == 0
    assert retrofit("backfill", "--max-rows", "100")[0] == 0
    assert retrofit("finish")[0] == 1
    assert [(row["event"], row["facts"]["step"], row["outcome"]) for row in told()] == [
        (BEGUN, "backfill", "ok"),
        (FAILED, "backfill", "failed"),
        (BEGUN, "apply", "ok"),
        (ENDED, "apply", "ok"),
        (BEGUN, "backfill", "ok"),
        (ENDED, "backfill", "ok"),
        (BEGUN, "finish", "ok"),
        (FAILED, "finish", "failed"),
    ]
    part, refused = told()[5]["facts"], told()[-1]["facts"]
    assert (part["rows"], part["left"], part["done"]) == (100, 200, False)
    assert (refused["reason"], refused["tables"]) == ("ConfigurationError", ["documents"])


@pytest.mark.attack("a change of the host's tables that ends before it leaves a trace")
def test_a_killed_step_is_on_record(retrofit, told, database_url, tmp_path):  # noqa: F811 - the fixture
    """It was told when it began; that nothing follows says that it was ended from outside."""
    build(database_url)
    asyncio.run(people(database_url))
    (tmp_path / "rimlock-ownership.toml").write_text('[[table]]\nname = "documents"\n')
    assert retrofit("apply")[0] == 0
    command = [sys.executable, "-m", "rimlock.cli", "retrofit", "backfill", "--batch", "1", "--pause", "60"]
    environment = {**os.environ, "DATABASE_URL": database_url, "RIMLOCK_SECRETS": SECRET}
    filling = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not sql(database_url, "SELECT 1 FROM auth_owner LIMIT 1") and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        filling.kill()
        filling.wait()
    last = told()[-1]
    assert (last["event"], last["facts"]["step"], last["facts"]["tables"]) == (BEGUN, "backfill", ["documents"])
