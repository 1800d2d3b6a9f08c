"""Routes turned from the command line, with an application and without, on both databases."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from rimlock import Rimlock
from rimlock.core import usage
from rimlock.core.usage import Seen

pytestmark = pytest.mark.req("L2")

APPLICATION = """
from fastapi import FastAPI
from rimlock import Rimlock, Rule, Stage

def {name}():
    app = FastAPI(openapi_url=None)
    app.get("/analyses/{{analysis_id}}")(lambda analysis_id: analysis_id)
    app.websocket("/live")(lambda socket: None)
    Rimlock.from_env(rules=[Rule(pattern=pattern, stage=Stage.OBSERVE) for pattern in {patterns!r}]).install(app)
    return app

plain = FastAPI()
"""


def application(tmp_path, name, *patterns):
    """Write an application whose code has rules for these patterns; return how it is named."""
    (tmp_path / f"{name}.py").write_text(APPLICATION.format(name=name, patterns=patterns))
    return f"{name}:{name}"


def test_the_routes_of_an_application_are_listed_and_those_nothing_names_are_found(lone_terminal, tmp_path):
    """`routes` shows the stage and which rule says so."""
    partly = application(tmp_path, "partly_ruled", "/analyses/**")
    listed = lone_terminal("routes", "--app", partly, "--json").json["items"]
    assert {one["route"]: (one["stage"], one["stage_source"]) for one in listed if not one["ours"]} == {
        "GET /analyses/{analysis_id}": ("observe", "code"),
        "WS /live": ("open", "default"),
    }
    table = lone_terminal("routes", "--app", partly).out
    assert "GET /analyses/{analysis_id} " in table
    assert "code (/analyses/**)" in table


@pytest.mark.req("L8")
def test_the_lock_file_is_written_checked_and_compared(lone_terminal, tmp_path):
    """Written, it holds; a route more, a rule less or weaker fails and is named with its mend; stricter is a note."""
    before = application(tmp_path, "locked_before", "/**")
    absent = lone_terminal("routes", "--app", before, "--check")
    assert (absent.code, absent.err.count("\n")) == (1, 1)
    assert "routes.lock is not there; `rimlock routes --write` makes it" in absent.err
    assert lone_terminal("routes", "--app", before, "--write").out == "wrote 2 routes to routes.lock\n"
    held = lone_terminal("routes", "--app", before, "--check")
    assert (held.code, held.out) == (0, "2 routes, 0 to mend, 0 to know\n")

    lock = tmp_path / "routes.lock"
    lock.write_text(lock.read_text().replace('observe" }', 'required", roles = ["admin"] }', 1))
    weaker = lone_terminal("routes", "--app", before, "--check", "--json").json
    assert (weaker["well"], {(one["route"], one["kind"]) for one in weaker["remarks"]}) == (
        False,
        {("GET /analyses/{analysis_id}", "weakened")},
    )
    assert all(one["what"] and one["why"] and "--write" in one["mend"] for one in weaker["remarks"])
    lock.write_text(lock.read_text().replace('{ stage = "required", roles = ["admin"] }', '{ stage = "open" }'))
    stricter = lone_terminal("routes", "--app", before, "--check")
    assert (stricter.code, stricter.out.splitlines()[-1]) == (0, "2 routes, 0 to mend, 1 to know")
    assert lone_terminal("routes", "--app", before, "--check", "--strict").code == 1
    fewer = application(tmp_path, "locked_after", "/analyses/**")
    told = lone_terminal("routes", "--app", fewer, "--check").out
    assert "FAIL  WS /live: unstated: no rule names it" in told
    assert "FAIL  WS /live: weakened: stage observe -> open" in told
    assert told.rindex("FAIL") < told.index("note")
    lock.write_text("".join(line for line in lock.read_text().splitlines(keepends=True) if "WS" not in line))
    assert "FAIL  WS /live: new: is not in the lock file" in lone_terminal("routes", "--app", before, "--check").out


CHECKS = """
from fastapi import Depends
from fastapi.security import APIKeyHeader

def key(presented=Depends(APIKeyHeader(name="X-Key"))): ...
def admin(known=Depends(key)): ...
"""
CHECKED = """
from fastapi import Depends, FastAPI
from rimlock import Rimlock, Rule, Stage
from own_checks import admin, key

app = FastAPI(openapi_url=None)
app.get("/items", dependencies=[{checks}])(lambda: None)
Rimlock.from_env(rules=[Rule(pattern="/**", stage=Stage.{stage})]).install(app)
"""


def checked(tmp_path, name, *checks, stage="OPEN"):
    """Write an application with a route behind these checks of its own."""
    (tmp_path / "own_checks.py").write_text(CHECKS)
    (tmp_path / f"{name}.py").write_text(
        CHECKED.format(checks=", ".join(f"Depends({check})" for check in checks), stage=stage)
    )
    return f"{name}:app"


@pytest.mark.req("L8")
@pytest.mark.attack("a check of the application's own dropped in a change that nobody reads")
def test_a_check_of_the_applications_own_is_held_to_the_lock_file(lone_terminal, tmp_path):
    """Dropped from an open route it fails, also where a lesser one stays; on a required route it is told alone."""
    assert lone_terminal("routes", "--app", checked(tmp_path, "held_by_admin", "admin"), "--write").code == 0
    assert lone_terminal("routes", "--app", "held_by_admin:app", "--check").out == "1 routes, 0 to mend, 0 to know\n"
    lesser = lone_terminal("routes", "--app", checked(tmp_path, "held_by_key", "key"), "--check")
    assert lesser.code == 1
    assert "FAIL  GET /items: weakened: the application's own check own_checks.admin is gone" in lesser.out
    nothing = lone_terminal("routes", "--app", checked(tmp_path, "held_by_nothing"), "--check")
    assert (nothing.code, "own_checks.admin, own_checks.key is gone" in nothing.out) == (1, True)
    ours = checked(tmp_path, "held_by_a_rule", stage="REQUIRED")
    told = lone_terminal("routes", "--app", ours, "--check")
    assert told.code == 0
    assert "note  GET /items: replaced: the application's own check" in told.out
    assert lone_terminal("routes", "--app", ours, "--check", "--strict").code == 1


@pytest.mark.req("L8")
def test_a_lock_file_written_before_checks_were_in_it_still_holds_and_says_so_once(lone_terminal, tmp_path):
    """What it says is compared; what it cannot say is a note, until it is written anew."""
    app = checked(tmp_path, "locked_early", "admin")
    lock = tmp_path / "routes.lock"
    lock.write_text('version = 1\n\n[routes]\n"GET /items" = { stage = "open" }\n"GET /gone" = { stage = "open" }\n')
    told = lone_terminal("routes", "--app", app, "--check")
    assert (told.code, told.out.count("older:")) == (0, 1)
    assert "note  the lock file: older: it was written before the application's own checks stood in it" in told.out
    lock.write_text(lock.read_text().replace("open", "required"))
    assert "weakened: stage required -> open" in lone_terminal("routes", "--app", app, "--check").out
    lone_terminal("routes", "--app", app, "--write")
    assert lone_terminal("routes", "--app", app, "--check", "--strict").out == "1 routes, 0 to mend, 0 to know\n"


@pytest.mark.req("L8")
def test_checking_needs_no_database_and_leaves_none(lone_terminal, tmp_path):
    """The configured rules are compared: no file is made, and a database that is away is no matter."""
    name = application(tmp_path, "checked_offline", "/**")
    away = {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    assert lone_terminal("routes", "--app", name, "--write", "named.lock", **away).code == 0
    assert lone_terminal("routes", "--app", name, "--check", "named.lock", **away).code == 0
    lone_terminal("routes", "--app", name, "--check", "named.lock")
    assert {file.name for file in tmp_path.iterdir() if file.suffix in {".db", ".secret", ".lock"}} == {"named.lock"}


@pytest.mark.req("L8")
def test_changes_at_run_time_count_when_asked_for(lone_terminal, tmp_path):
    """A route opened at run time passes the check of the configuration and fails that of what is running."""
    name = application(tmp_path, "changed_running", "/**")
    lone_terminal("routes", "--app", name, "--write")
    lone_terminal("rollout", "set", "/live", "open", "--app", name)
    assert lone_terminal("routes", "--app", name, "--check").code == 0
    running = lone_terminal("routes", "--app", name, "--check", "--running")
    assert running.code == 1
    assert "FAIL  WS /live: weakened: stage observe -> open" in running.out


@pytest.mark.req("L8")
def test_a_permissive_rule_past_its_date_fails(lone_terminal, tmp_path):
    """The date of the rule file is held to the clock, whatever the lock file says."""
    name = application(tmp_path, "dated", "/**")
    (tmp_path / "rimlock.toml").write_text('[[route]]\nmatch = "/**"\nstage = "observe"\nuntil = 2020-02-29\n')
    lone_terminal("routes", "--app", name, "--write")
    late = lone_terminal("routes", "--app", name, "--check")
    assert late.code == 1
    assert "FAIL  WS /live: overdue: still observe, and that was to be over by 2020-02-29" in late.out


@pytest.mark.req("L8")
def test_every_route_is_probed_and_the_page_is_written(lone_terminal, tmp_path):
    """The probe and the page in one go; JSON holds every answer."""
    name = application(tmp_path, "probed_here", "/**")
    done = lone_terminal("routes", "--app", name, "--probe", "--html", "routes.html")
    assert done.code == 0
    assert "none of them against the rules" in done.out
    assert (tmp_path / "routes.html").read_text().startswith("<!doctype html>")
    probed = lone_terminal("routes", "--app", name, "--probe", "--json").json
    of_live = [one for one in probed["probe"]["answers"] if one["route"] == "WS /live"]
    assert [(one["stranger"], one["reached"]) for one in of_live] == [
        ("nobody", True),
        ("a user without a role", True),
        ("a user of another role", True),
        ("an unknown key", True),
    ]
    assert lone_terminal("routes", "--app", name, "--probe-through").code == 0


@pytest.mark.req("L8")
def test_who_was_seen_is_listed(lone_terminal, tmp_path):
    """The last callers stand with their route: by which credential, of what name, with what client, and when."""
    name = application(tmp_path, "seen_lately", "/**")
    lone_terminal("rollout", "status")

    async def see():
        auth = Rimlock.from_env(lone_terminal.environment)
        await auth.start()
        now = auth.context.now()
        row = {"method": "WS", "path": "/live", "stage": "observe", "outcome": "allowed", "requests": 7}
        rows = [
            Seen(**row, day=now // usage.DAY - days, credential="key", credential_id="k1", client="tauri",
                 label="robot", first_seen=now - 9, last_seen=now - days)
            for days in range(2)
        ]  # fmt: skip
        await auth.database.write(lambda tx: usage.write(tx, rows))
        await auth.stop()
        return now

    now = asyncio.run(see())
    items = lone_terminal("routes", "--app", name, "--json").json["items"]
    (caller,) = {one["route"]: one for one in items}["WS /live"]["callers"]
    assert [caller[part] for part in ("credential", "label", "client", "requests")] == ["key", "robot", "tauri", 14]
    assert caller["last_seen"] == datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert f"robot {caller['last_seen'][:10]}" in lone_terminal("routes", "--app", name).out


@pytest.mark.req("L8")
@pytest.mark.attack("a route name that takes over a terminal or a log line")
def test_no_name_takes_over_the_terminal(lone_terminal, tmp_path):
    """Escapes, line breaks and marks of direction in paths come out as text, in the table and in remarks."""
    (tmp_path / "hostile_names.py").write_text(
        "from fastapi import FastAPI\nfrom rimlock import Rimlock\napp = FastAPI(openapi_url=None)\n"
        "app.get('/a\\x1b[2J\\r\\n\\u202eb')(lambda: None)\nRimlock.from_env().install(app)\n"
    )
    for options in ([], ["--probe"], ["--write"], ["--check"]):
        done = lone_terminal("routes", "--app", "hostile_names:app", *options)
        assert all(sign.isprintable() or sign == "\n" for sign in done.out + done.err)
    assert "\\u001B[2J\\u000D\\u000A\\u202Eb" in (tmp_path / "routes.lock").read_text()


@pytest.mark.parametrize(
    "named, told",
    [
        ("nocolon", "write module:name"),
        ("nowhere_at_all:app", "there is no module 'nowhere_at_all' here"),
        ("named_wrong:other", "has no 'other'"),
        ("named_wrong:plain", "has no Rimlock on it"),
    ],
)
def test_an_application_that_cannot_be_found_is_one_sentence(lone_terminal, tmp_path, named, told):
    """The sentence says which part of the name is wrong."""
    application(tmp_path, "named_wrong")
    failed = lone_terminal("routes", "--app", named)
    assert (failed.code, failed.out) == (1, "")
    assert told in failed.err
    assert failed.err.count("\n") == 1


BROKEN = {
    "raises": 'raise RuntimeError("postgresql://u:hunter2@db/x")',
    "lacks_a_variable": 'import os\nos.environ["NOT_SET_HERE"]',
    "leaves": "import sys\nsys.exit(0)",
    "is_no_python": "def app(:",
    "imports_what_is_not_there": "from rimlock import nothing_like_it",
    "reads_what_is_not_there": "import os\nos.nothing_like_it",
    "wants_an_argument": "def app(stage): ...",
    "cannot_be_made": 'def app():\n    raise ValueError("hunter2")',
    "makes_it_later": "async def app(): ...",
}


@pytest.mark.attack("an application that ends the check before it began")
@pytest.mark.parametrize("command", ["routes", "doctor"])
@pytest.mark.parametrize("name", BROKEN)
def test_an_application_that_cannot_be_made_is_told_with_its_place_and_none_of_its_values(
    lone_terminal, tmp_path, command, name
):
    """Whatever it raises, even a leaving with 0, is a failure in words: of which kind, and on which line."""
    (tmp_path / f"broken_{name}.py").write_text(BROKEN[name])
    failed = lone_terminal(command, "--app", f"broken_{name}:app")
    assert failed.code == 1
    assert f"broken_{name}" in failed.out + failed.err
    assert "hunter2" not in failed.out + failed.err
    assert "Traceback" not in failed.out + failed.err
    if name not in {"wants_an_argument", "makes_it_later"}:
        assert f"broken_{name}.py:" in failed.out + failed.err


def test_a_relative_name_is_no_application(lone_terminal):
    """There is nothing for it to be relative to."""
    failed = lone_terminal("routes", "--app", "..:app")
    assert (failed.code, failed.err.count("\n")) == (1, 1)


@pytest.mark.req("L8")
@pytest.mark.parametrize("options", [["nowhere/routes.lock", "--write"], ["--html", "nowhere/routes.html"]])
def test_a_file_that_cannot_be_written_is_one_sentence(lone_terminal, tmp_path, options):
    """The sentence names the file."""
    failed = lone_terminal("routes", "--app", application(tmp_path, "not_written"), *options)
    assert (failed.code, failed.out) == (1, "")
    assert "nowhere/routes." in failed.err
    assert failed.err.count("\n") == 1


@pytest.mark.req("L8")
@pytest.mark.attack("a check of a file that was written a moment before")
@pytest.mark.parametrize("options", [["--check", "--write"], ["--strict"]])
def test_switches_that_undo_each_other_or_do_nothing_are_a_mistake_in_usage(lone_terminal, tmp_path, options):
    """A file that is written before it is checked always holds; `--strict` alone would check nothing."""
    failed = lone_terminal("routes", "--app", application(tmp_path, "contradicted"), *options)
    assert (failed.code, failed.out) == (2, "")
    assert not (tmp_path / "routes.lock").exists()


def test_a_route_is_turned_shown_and_taken_back(terminal):
    """Each change is attributed to the operator, and `back` undoes the newest, then fails."""
    turned = terminal("rollout", "set", "GET /analyses/{analysis_id}", "required", "--json").json
    assert (turned["before"], turned["stage"]) == (None, "required")
    assert turned["actor"].startswith("cli:")
    assert terminal("rollout", "set", "/live/**", "observe").out == "* /live/**: as configured -> observe\n"
    assert [one["route"] for one in terminal("rollout", "status", "--json").json["items"]] == [
        "GET /analyses/{analysis_id}",
        "* /live/**",
    ]
    back = terminal("rollout", "back", "GET /analyses/{analysis_id}", "--json").json
    assert (back["before"], back["stage"], back["reverts"]) == ("required", None, turned["id"])
    assert terminal("rollout", "set", "/live/**", "configured", "--json").json["stage"] is None
    assert terminal("rollout", "status").out == "nothing was changed at run time\n"
    history = terminal("rollout", "history", "--json").json["items"]
    assert [one["stage"] for one in history] == [None, None, "observe", "required"]
    nothing = terminal("rollout", "back", "/never/touched")
    assert (nothing.code, nothing.err) == (1, "rimlock: There is no change to take back.\n")


def test_with_an_application_a_pattern_is_held_to_its_routes(lone_terminal, tmp_path):
    """A pattern no route fits is refused unless forced; an unknown stage is a mistake in usage."""
    name = application(tmp_path, "held_to_routes")
    unknown = lone_terminal("rollout", "set", "/analysis/**", "required", "--app", name)
    assert (unknown.code, unknown.out) == (1, "")
    assert "No route fits this pattern" in unknown.err
    assert lone_terminal("rollout", "set", "/analysis/**", "closed", "--app", name).code == 2
    assert lone_terminal("rollout", "history").out == "nothing was changed at run time\n"
    fits = lone_terminal("rollout", "set", "/analyses/**", "required", "--app", name)
    assert (fits.code, fits.err) == (0, "")
    forced = lone_terminal("rollout", "set", "/analysis/**", "required", "--app", name, "--force")
    assert forced.code == 0
    shown = lone_terminal("rollout", "status", "--app", name, "--json").json["items"]
    assert {one["route"]: one["stage"] for one in shown}["GET /analyses/{analysis_id}"] == "required"


def test_who_would_have_been_refused_is_shown_and_forgotten(terminal):
    """What servers wrote is listed by route; `--forget` deletes it."""
    terminal("rollout", "status")

    async def see():
        auth = Rimlock.from_env(terminal.environment)
        await auth.start()
        seen = Seen(
            day=20_254,
            stage="observe",
            client="curl",
            method="GET",
            path="/analyses",
            credential="key",
            credential_id="k1",
            outcome="permission_missing",
            label="robot",
            requests=7,
            first_seen=1_750_000_000,
            last_seen=1_750_000_060,
        )
        await auth.database.write(lambda tx: usage.write(tx, [seen]))
        await auth.stop()

    asyncio.run(see())
    (row,) = terminal("rollout", "observed", "--json").json["items"]
    assert (row["route"], row["requests"], row["key"]) == ("GET /analyses", 7, {"id": "k1", "label": "robot"})
    assert row["first_seen"] == "2025-06-15T15:06:40Z"
    assert terminal("rollout", "observed", "/other").out == "nobody would have been refused\n"
    assert "robot" in terminal("rollout", "observed", "/analyses/**").out
    assert terminal("rollout", "observed", "--forget").out == "nobody would have been refused\n"
    assert terminal("rollout", "observed", "--json").json["items"] == []
