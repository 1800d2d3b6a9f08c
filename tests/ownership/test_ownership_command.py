"""`rimlock retrofit`, as an operator runs it."""

from __future__ import annotations

import asyncio
import json

import pytest

from ownership.estate import ANALYSES, build, image, people, plan_text, sql
from rimlock.cli.main import main

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"


@pytest.fixture
def retrofit(monkeypatch, capsys, tmp_path, database_url):
    """Runs a step and returns its exit code and what it answered."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": database_url, "RIMLOCK_SECRETS": SECRET}.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str):
        capsys.readouterr()
        code = main(["retrofit", *arguments])
        out, err = capsys.readouterr()
        return code, json.loads(out) if "--json" in arguments and out else out, err

    return run


@pytest.mark.req("L7")
def test_every_step_by_command(retrofit, database_url, tmp_path):
    """A plan is written where there is none; each step answers in JSON and by its exit code; the way back is whole."""
    build(database_url)
    asyncio.run(people(database_url))
    before = asyncio.run(image(database_url))
    code, planned, err = retrofit("plan", "--json")
    assert (code, "is written" in err) == (0, True)
    assert {one["table"] for one in planned["items"]} >= {"analyses", "documents"}
    (tmp_path / "rimlock-ownership.toml").write_text(plan_text("column", ambiguous="leave"))
    assert retrofit("verify")[0] == 1
    code, planned, _ = retrofit("plan")
    assert code == 0
    assert "ADD COLUMN" in planned
    assert "Chris Same" in planned
    assert asyncio.run(image(database_url)) == before
    assert retrofit("apply", "--json")[1]["counted"]["analyses"] == ANALYSES
    assert retrofit("backfill", "--max-rows", "100", "--json")[1]["items"][0]["given"] == 100
    code, filled, err = retrofit("backfill", "--batch", "200", "--json")
    assert code == 1
    assert "[map]" in err
    assert filled["items"][0]["ambiguous"]["Chris Same"] > 0
    assert retrofit("verify", "--json")[1]["right"] is False
    assert retrofit("finish")[0] == 1
    (tmp_path / "rimlock-ownership.toml").write_text(plan_text("column"))
    assert retrofit("backfill")[0] == 0
    assert {one["phase"] for one in retrofit("status", "--json")[1]["items"] if one["mode"]} == {"filled"}
    assert retrofit("finish", "--json")[0] == 0
    code, seen, _ = retrofit("verify", "--strict", "--json")
    assert (code, seen["right"], seen["unchanged"]) == (0, True, True)
    sql(database_url, "UPDATE documents SET title = 'other'")
    assert retrofit("verify")[0] == 0
    assert retrofit("verify", "--strict")[0] == 1
    sql(database_url, "UPDATE documents SET title = 't'")
    code, gone, _ = retrofit("rollback", "--json")
    assert (code, gone["done"], gone["differences"]) == (0, True, [])
    assert retrofit("status")[1].strip() == "nothing was begun here"
    assert asyncio.run(image(database_url)) == before


def test_a_schema_that_the_application_changed_is_accepted_by_name(retrofit, database_url, tmp_path):
    """The way back stops at a schema that is not what it was, and says how to go on."""
    build(database_url)
    asyncio.run(people(database_url))
    (tmp_path / "rimlock-ownership.toml").write_text('[[table]]\nname = "documents"\n')
    assert retrofit("apply")[0] == 0
    sql(database_url, "CREATE TABLE later (id INTEGER PRIMARY KEY)")
    code, _, err = retrofit("rollback")
    assert code == 1
    assert "later is new" in err
    assert "--accept" in err
    assert retrofit("rollback", "--accept")[0] == 0


def test_the_application_may_live_elsewhere(retrofit, database_url, tmp_path):
    """`--database` names the application's database; the accounts stay in ours."""
    asyncio.run(people(database_url))
    host = f"sqlite:///{tmp_path / 'host.db'}"
    assert retrofit("plan", "--database", host)[0] == 1
    build(host)
    assert retrofit("plan", "--database", host)[0] == 0
    assert retrofit("apply", "--database", host, "--json")[1]["counted"]["analyses"] == ANALYSES
    assert sql(host, "SELECT count(*) FROM sqlite_master WHERE name = 'auth_user'") == [(0,)]
    assert retrofit("rollback", "--database", host)[0] == 0
