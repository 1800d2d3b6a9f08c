"""`rimlock rollout`: percentages, dates, the check for a pipeline, and the report."""

from __future__ import annotations

import asyncio

import pytest

from rimlock import Rimlock
from rimlock.core import usage
from rimlock.core.usage import DAY, Seen

pytestmark = pytest.mark.req("L2", "L3")

SITE = """
from datetime import date

from fastapi import FastAPI

from rimlock import Rimlock, Rule, Stage

app = FastAPI()
app.get("/analyses")(lambda: 1)
app.post("/analyses")(lambda: 1)
auth = Rimlock.from_env(rules=[Rule(pattern="/analyses", stage=Stage.OBSERVE{until})])
auth.install(app)
"""


def application(tmp_path, name, until=""):
    """Write an application and return its name."""
    (tmp_path / f"{name}.py").write_text(SITE.format(until=until))
    return f"{name}:app"


def test_a_route_is_turned_for_some_until_a_day(terminal):
    """The change, the status and the history say for how many and until when."""
    told = terminal("rollout", "set", "GET /x", "required", "--percent", "20", "--until", "2999-01-31")
    assert told.out == "GET /x: as configured -> required for 20 % of the callers, until 2999-01-31\n"
    (row,) = terminal("rollout", "status", "--json").json["items"]
    assert (row["stage"], row["percent"], row["until"], row["overdue"]) == (
        "required",
        20,
        "2999-01-31T23:59:59Z",
        False,
    )
    assert "2999-01-31" in terminal("rollout", "history").out
    assert terminal("rollout", "set", "GET /x", "required", "--percent", "120").code == 2
    assert terminal("rollout", "set", "GET /x", "observe", "--until", "soon").code == 2
    past = terminal("rollout", "set", "GET /x", "observe", "--until", "2020-01-31")
    assert (past.code, "until" in past.err) == (1, True)


def test_a_change_of_the_share_alone_says_for_whom_it_holds(terminal):
    """From some callers to all of them, and back: the stage is the same, and what changed is said."""
    terminal("rollout", "set", "GET /x", "required", "--percent", "20")
    assert terminal("rollout", "set", "GET /x", "required").out == "GET /x: required -> required for everybody\n"
    assert terminal("rollout", "back").out == "GET /x: required -> required for 20 % of the callers\n"


def test_a_permissive_rule_past_its_date_fails_the_check(lone_terminal, tmp_path):
    """From the file and from code; a rule within its date passes; what is required at run time is not complained of."""
    file = tmp_path / "rimlock.toml"
    file.write_text('[[route]]\nmatch = "/x"\nstage = "observe"\nuntil = 2020-01-31\n')
    late = lone_terminal("rollout", "status", "--check", "--config", str(file))
    assert (late.code, "2020-01-31" in late.out) == (1, True)
    lone_terminal("rollout", "set", "/x", "required")
    assert lone_terminal("rollout", "status", "--check", "--config", str(file)).code == 0
    fine, bad = (
        application(tmp_path, "rule_in_time", ", until=date(2999, 1, 1)"),
        application(tmp_path, "rule_overdue", ", until=date(2020, 1, 1)"),
    )
    assert lone_terminal("rollout", "status", "--check", "--app", fine).out == "nothing is overdue\n"
    found = lone_terminal("rollout", "status", "--check", "--app", bad, "--json")
    assert found.code == 1
    assert {one["route"] for one in found.json["items"]} == {"GET /analyses", "POST /analyses"}


@pytest.mark.parametrize(
    "line, told",
    [
        ("percent = 120", "percent"),
        ("percent = true", "whole number"),
        ('until = "2027-01-31"', "without quotes"),
    ],
)
def test_a_rule_file_with_a_senseless_extent_is_refused(lone_terminal, tmp_path, line, told):
    """The sentence names the place and what to write."""
    file = tmp_path / "rimlock.toml"
    file.write_text(f'[[route]]\nmatch = "/x"\nstage = "observe"\n{line}\n')
    refused = lone_terminal("rollout", "status", "--config", str(file))
    assert (refused.code, told in refused.err) == (1, True)
    file.write_text('[[route]]\nmatch = "/x"\nstage = "required"\nuntil = 2999-01-31\n')
    assert "leave until out" in lone_terminal("rollout", "status", "--config", str(file)).err


def test_the_report_is_text_for_people_and_json_for_programs(terminal, tmp_path):
    """Routes of the application with their verdicts; without it, those that were called."""
    terminal("rollout", "status")

    async def see():
        auth = Rimlock.from_env(terminal.environment)
        await auth.start()
        now = auth.context.now()
        old = {"day": now // DAY - 40, "first_seen": now - 40 * DAY, "last_seen": now - 40 * DAY}
        new = {"day": now // DAY, "first_seen": now - 60, "last_seen": now}
        plain = {"method": "GET", "path": "/analyses", "stage": "observe", "requests": 7, "client": "curl"}
        key = {"credential": "key", "credential_id": "k1", "label": "robot"}
        seen = [
            Seen(**plain, **key, **old, outcome="allowed"),
            Seen(**plain, **key, **new, outcome="permission_missing"),
        ]
        await auth.database.write(lambda tx: usage.write(tx, seen))
        await auth.stop()

    asyncio.run(see())
    name = application(tmp_path, "reported_on")
    text = terminal("rollout", "report", "--app", name).out
    assert "GET /analyses [observe]: would break callers if it were required" in text
    assert 'key "robot" (k1), curl: 7 requests' in text
    assert "POST /analyses [observe]: not called" in text
    found = terminal("rollout", "report", "GET /analyses", "--days", "7", "--key", "k1", "--json").json
    assert [(one["route"], one["verdict"]) for one in found["items"]] == [("GET /analyses", "breaks")]
    assert found["counted_days"] == 40
    assert 'key "robot" (k1)' in terminal("rollout", "report", "--key", "robot").out
    assert 'No route was called by the key "robt".' in terminal("rollout", "report", "--key", "robt").out
    assert "Without --app" in terminal("rollout", "report").out
    assert terminal("rollout", "report", "nonsense").code == 1
