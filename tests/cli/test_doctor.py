"""What `rimlock doctor` finds, and that it only looks."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.req("N6")
SOUND = {
    "RIMLOCK_ISSUER": "https://id.example.com",
    "RIMLOCK_MAIL_URL": "smtp://lab:a-password@mail.example.com",
    "RIMLOCK_MAIL_FROM": "Lab <noreply@lab.example.com>",
}
"""What an installation sets that others use."""


def states(outcome):
    """Return the state of each finding by name."""
    return {one["name"]: one["state"] for one in outcome.json["items"]}


def test_a_sound_installation_is_well(terminal):
    """Every check is ok once the tables are there, in text and in JSON, with exit code 0."""
    terminal("token", "keys")
    seen = terminal("doctor", "--json", **SOUND)
    assert (seen.code, seen.json["well"]) == (0, True)
    assert set(states(seen).values()) == {"ok"}
    assert {"settings", "secret", "database", "schema", "follower", "signing keys"} <= set(states(seen))
    assert terminal("doctor").out.startswith("ok  ")


def test_looking_changes_nothing(lone_terminal, tmp_path):
    """On a place without a database none is made, and that is said."""
    seen = lone_terminal("doctor", "--json")
    assert seen.code == 0
    assert states(seen)["schema"] == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "environment, name, state, told",
    [
        ({"RIMLOCK_SECRETS": "short"}, "settings", "fail", "needs 32"),
        ({"ALLOWED_ORIGINS": "*"}, "settings", "fail", "list each origin exactly"),
        ({"RIMLOCK_SECRETS": "other-G7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"}, "signing keys", "fail", "another secret"),
        ({"RIMLOCK_INSECURE_COOKIES": "1"}, "switch", "warn", "insecure_cookies is on"),
        ({"RIMLOCK_ISSUER": "http://id.example.com"}, "issuer", "warn", "is not https"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database", "fail", "does not answer"),
        ({"RIMLOCK_CONFIG": "keys.toml"}, "imported keys", "fail", "OLD_KEY is not set"),
        ({"RIMLOCK_CONFIG": "keys.toml", "OLD_KEY": "kX8-ours-since-2019-Zq4"}, "imported keys", "ok", "1 in the rule"),
    ],
)
def test_what_is_wrong_is_named_with_its_mend(lone_terminal, tmp_path, environment, name, state, told):
    """A failure makes the exit code 1, a warning leaves it at 0."""
    (tmp_path / "keys.toml").write_text('[[key]]\nname = "legacy"\nenv = "OLD_KEY"\n')
    lone_terminal("token", "keys")
    seen = lone_terminal("doctor", "--json", **environment)
    (finding,) = [one for one in seen.json["items"] if one["name"] == name]
    assert (finding["state"], seen.code) == (state, 1 if state == "fail" else 0)
    assert told in " ".join((finding["text"], finding["why"], finding["mend"]))
    assert "kX8" not in seen.out


def test_strict_fails_for_a_warning(lone_terminal):
    """Whoever wants none in a pipeline says so; the warning stays one."""
    lone_terminal("token", "keys")
    warned = {"RIMLOCK_INSECURE_COOKIES": "1"}
    assert lone_terminal("doctor", **warned).code == 0
    seen = lone_terminal("doctor", "--strict", "--json", **warned)
    assert (seen.code, seen.json["well"], states(seen)["switch"]) == (1, False, "warn")
    assert lone_terminal("doctor", "--strict", **SOUND).code == 0


def test_a_missing_schema_fails_with_the_command_that_mends_it(postgres_url, lone_terminal):
    """On PostgreSQL tables are made by command."""
    seen = lone_terminal("doctor", "--json", DATABASE_URL=postgres_url, RIMLOCK_CREATE_TABLES="")
    assert seen.code == 1
    assert "run `rimlock db upgrade`" in seen.out


def test_a_secret_file_that_others_can_read_fails(lone_terminal, tmp_path):
    """The file made beside an SQLite database belongs to its owner alone."""
    lone_terminal.environment.pop("RIMLOCK_SECRETS")
    lone_terminal("token", "keys")
    assert states(lone_terminal("doctor", "--json"))["secret"] == "ok"
    (tmp_path / "rimlock.secret").chmod(0o644)
    assert states(lone_terminal("doctor", "--json"))["secret"] == "fail"


@pytest.mark.req("L4")
def test_a_wildcard_origin_on_an_application_is_found(lone_terminal, tmp_path):
    """`--app` looks at the application as it is made: a wildcard with credentials is refused there."""
    (tmp_path / "open_to_all.py").write_text(
        "from fastapi import FastAPI\n"
        "from fastapi.middleware.cors import CORSMiddleware\n"
        "from rimlock import Rimlock\n"
        "app = FastAPI()\n"
        "app.add_middleware(CORSMiddleware, allow_origins=['*'], allow_credentials=True)\n"
        "Rimlock.from_env().install(app)\n"
    )
    seen = lone_terminal("doctor", "--json", "--app", "open_to_all:app")
    assert seen.code == 1
    assert "lets every site act as your users" in seen.out
