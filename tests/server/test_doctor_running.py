"""`rimlock doctor --url`: what is said of a server that is running, and of one that lags."""

from __future__ import annotations

import json
import sqlite3

import pytest

from core.wire import Wire
from server.test_processes import environment, eventually, rimlock, serving

pytestmark = pytest.mark.req("L8", "N6")

NEVER = {"RIMLOCK_POLL_INTERVAL": "3600", "RIMLOCK_LISTEN": "0"}
"""A follower that reads the journal at its start and not again."""


def looked(tmp_path, env, url):
    """Return what doctor says of the running server: the exit code, and each finding by name."""
    done = rimlock(tmp_path, env, "doctor", "--json", *(["--url", url] if url else []))
    found = {one["name"]: one for one in json.loads(done.stdout)["items"]}
    return done.returncode, {name: one for name, one in found.items() if name.startswith("running")}


def states(found):
    """The state of each finding."""
    return {name: one["state"] for name, one in found.items()}


def test_a_running_server_that_is_well_is_asked_and_one_that_is_not_named_is_not(tmp_path, database_url):
    """Two workers, all well; without --url it is said that none was asked."""
    env = environment(tmp_path, database_url)
    with serving(tmp_path, env, "--workers", "2") as (port, _):
        code, found = looked(tmp_path, env, f"http://127.0.0.1:{port}/")
        assert (code, states(found)) == (0, {"running server": "ok", "running follower": "ok"})
    code, found = looked(tmp_path, env, None)
    assert (code, "none was asked" in found["running server"]["text"]) == (0, True)
    code, found = looked(tmp_path, env, f"http://127.0.0.1:{port}")
    assert (code, states(found)) == (1, {"running server": "fail"})
    assert "does not answer" in found["running server"]["text"]


@pytest.mark.attack("a process that does not hear of revocations while the doctor says that all is well")
def test_a_follower_of_a_running_server_that_lags_is_found(tmp_path, postgres_url):
    """By the server's own bound, which it has passed; and by ours, where the server allows itself more."""
    env = environment(tmp_path, postgres_url)
    with serving(tmp_path, {**env, **NEVER, "RIMLOCK_MAX_STALENESS": "0.01"}) as (port, _):
        code, found = looked(tmp_path, env, f"http://127.0.0.1:{port}")
        assert (code, states(found)) == (1, {"running server": "ok", "running follower": "fail"})
        assert "too far behind to tell; 5 s are allowed" in found["running follower"]["text"]
    with serving(tmp_path, {**env, **NEVER, "RIMLOCK_MAX_STALENESS": "3600"}) as (port, _):
        strict = {**env, "RIMLOCK_MAX_STALENESS": "0.05", "RIMLOCK_POLL_INTERVAL": "0.01"}
        code, found = looked(tmp_path, strict, f"http://127.0.0.1:{port}")
        assert (code, states(found)) == (1, {"running server": "ok", "running follower": "fail"})
        assert "s behind; 0.05 s are allowed" in found["running follower"]["text"]


def test_a_server_that_lost_its_database_is_found(tmp_path, postgres_url):
    """The doctor reaches the database and the server does not: that is said of the server."""
    env = environment(tmp_path, postgres_url)
    with Wire(postgres_url) as wire:
        cut_off = {**env, "DATABASE_URL": wire.url, "RIMLOCK_MAX_STALENESS": "0.3", "RIMLOCK_POLL_INTERVAL": "0.1"}
        with serving(tmp_path, cut_off) as (port, _):
            url = f"http://127.0.0.1:{port}"
            assert states(looked(tmp_path, env, url)[1]) == {"running server": "ok", "running follower": "ok"}
            wire.cut()
            lagging = {"running server": "fail", "running schema": "fail", "running follower": "fail"}
            assert eventually(lambda: states(looked(tmp_path, env, url)[1]), lagging)
            assert "database (" in looked(tmp_path, env, url)[1]["running server"]["text"]


def test_a_running_server_on_tables_of_another_version_is_found(tmp_path, sqlite_url):
    """Whoever changed the tables below it is told by the server that needs others."""
    env = environment(tmp_path, sqlite_url)
    with serving(tmp_path, env) as (port, _):
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as file:
            file.execute("UPDATE auth_schema_version SET version_num = '0000'")
        file.close()
        code, found = looked(tmp_path, env, f"http://127.0.0.1:{port}")
        assert (code, found["running schema"]["state"]) == (1, "fail")
