"""Routes turned from the command line, with an application and without, on both databases."""

from __future__ import annotations

import asyncio

import pytest

from rimlock import Rimlock
from rimlock.core import observations
from rimlock.core.observations import Observation

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
    """`routes` shows stage and source; `--check` fails while a route has no stated stage, and names it."""
    partly = application(tmp_path, "partly_ruled", "/analyses/**")
    listed = lone_terminal("routes", "--app", partly, "--json").json["items"]
    assert {one["route"]: (one["stage"], one["stage_source"]) for one in listed} == {
        "GET /analyses/{analysis_id}": ("observe", "code"),
        "WS /live": ("open", "default"),
    }
    unnamed = lone_terminal("routes", "--app", partly, "--check")
    assert unnamed.code == 1
    assert unnamed.err == "rimlock: no rule names WS /live; write one in rimlock.toml\n"
    fully = application(tmp_path, "fully_ruled", "/**")
    assert lone_terminal("routes", "--app", fully, "--check").code == 0


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
        seen = Observation(
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
        await auth.database.write(lambda tx: observations.write(tx, [seen]))
        await auth.stop()

    asyncio.run(see())
    (row,) = terminal("rollout", "observed", "--json").json["items"]
    assert (row["route"], row["requests"], row["key"]) == ("GET /analyses", 7, {"id": "k1", "label": "robot"})
    assert row["first_seen"] == "2025-06-15T15:06:40Z"
    assert terminal("rollout", "observed", "/other").out == "nobody would have been refused\n"
    assert "robot" in terminal("rollout", "observed", "/analyses/**").out
    assert terminal("rollout", "observed", "--forget").out == "nobody would have been refused\n"
    assert terminal("rollout", "observed", "--json").json["items"] == []
