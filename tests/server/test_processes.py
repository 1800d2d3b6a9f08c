"""Real server processes: several workers, changes from the command line heard by all, stopped without cutting off."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from time import monotonic, sleep

import pytest

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
PASSWORD = "an elephant walks across the quiet harbour"

SITE = """
import asyncio
import os
from pathlib import Path

from fastapi import FastAPI

from rimlock import CurrentPrincipal, Rimlock
from rimlock.features.password import PasswordFeature
from rimlock.features.rollout import RolloutFeature

app = FastAPI()


@app.get("/who")
async def who():
    return os.getpid()


@app.get("/mine")
async def mine(principal: CurrentPrincipal):
    return os.getpid()


@app.get("/slow")
async def slow():
    Path("begun").touch()
    while not Path("go on").exists():
        await asyncio.sleep(0.02)
    return "finished"


auth = Rimlock.from_env(features=[PasswordFeature(), RolloutFeature()])
auth.install(app)
"""


def environment(tmp_path, url, **more):
    """Return the variables of a server and of the command line beside it."""
    (tmp_path / "site_with_accounts.py").write_text(SITE)
    ours = {"DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET, "RIMLOCK_CREATE_TABLES": "1"}
    return {**os.environ, **ours, **more}


def rimlock(tmp_path, env, *arguments, typed=""):
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "rimlock.cli", *arguments]
    return subprocess.run(
        command, cwd=tmp_path, env=env, input=typed, capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def serving(tmp_path, env, *arguments):
    """Start `rimlock serve`, wait until it answers, and stop it at the end; yield (port, process)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rimlock.cli", "serve", *arguments, "--port", str(port)]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        assert eventually(lambda: ask(port, "/who")[0] in {200, 404}, True, seconds=30), (
            tmp_path / "server.log"
        ).read_text()
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(port, path, method="GET", body=None, token=None):
    """Send one request on a connection of its own; return (status, answer), status 0 when nobody answers."""
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None
    except (ConnectionError, OSError):
        return 0, None
    finally:
        connection.close()


def eventually(answer, wanted, seconds=10):
    """Ask until the answer is the wanted one; say whether it ever was."""
    end = monotonic() + seconds
    while answer() != wanted:
        if monotonic() > end:
            return False
        sleep(0.05)
    return True


def statuses(port, path, token=None):
    """Return the different answers to twenty requests, enough to meet every worker."""
    return {ask(port, path, token=token)[0] for _ in range(20)}


@pytest.mark.req("L2", "N6")
def test_a_change_from_the_command_line_is_in_force_in_every_worker(tmp_path, database_url):
    """Two workers hear of ended sessions, a route turned and turned back, and a revoked signing key.

    Signing in works on after each.
    """
    env = environment(tmp_path, database_url)
    made = rimlock(tmp_path, env, "user", "create", "ann@example.com", "--role", "admin", "--json", typed=PASSWORD)
    assert made.returncode == 0, made.stderr
    with serving(tmp_path, env, "site_with_accounts:app", "--workers", "2") as (port, _):
        pids = set()
        assert eventually(lambda: pids.add(ask(port, "/who")[1]) or len(pids), 2)

        def signed_in():
            form = {"login": "ann@example.com", "password": PASSWORD}
            status, answer = ask(port, "/auth/login", "POST", form)
            assert status == 200, answer
            return answer["access_token"]

        token = signed_in()
        assert statuses(port, "/mine", token) == {200}
        assert ask(port, "/auth/admin/rollout", token=token)[0] == 200

        assert rimlock(tmp_path, env, "user", "end-sessions", "ann@example.com").returncode == 0
        assert eventually(lambda: statuses(port, "/mine", token), {401})

        turned = rimlock(tmp_path, env, "rollout", "set", "GET /who", "required", "--app", "site_with_accounts:app")
        assert turned.returncode == 0, turned.stderr
        assert eventually(lambda: statuses(port, "/who"), {401})
        assert rimlock(tmp_path, env, "rollout", "back").returncode == 0
        assert eventually(lambda: statuses(port, "/who"), {200})

        token = signed_in()
        assert eventually(lambda: statuses(port, "/mine", token), {200})
        (key,) = json.loads(rimlock(tmp_path, env, "token", "keys", "--json").stdout)["items"]
        revoked = rimlock(tmp_path, env, "token", "revoke-key", key["kid"])
        assert revoked.returncode == 0, revoked.stderr
        assert eventually(lambda: statuses(port, "/mine", token), {401})
        assert eventually(lambda: statuses(port, "/mine", signed_in()), {200})


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_lets_requests_in_flight_finish(tmp_path, sqlite_url, workers):
    """SIGTERM while a request is being answered: it is answered, then the server is gone."""
    env = environment(tmp_path, sqlite_url)
    with serving(tmp_path, env, "site_with_accounts:app", "--workers", workers) as (port, process):
        answers = []
        asking = threading.Thread(target=lambda: answers.append(ask(port, "/slow")))
        asking.start()
        assert eventually((tmp_path / "begun").exists, True)
        process.send_signal(signal.SIGTERM)
        assert eventually(lambda: "Waiting for connections to close" in (tmp_path / "server.log").read_text(), True)
        (tmp_path / "go on").touch()
        asking.join(timeout=20)
        assert answers == [(200, "finished")]
        assert process.wait(timeout=20) in {0, -signal.SIGTERM}


def test_the_first_administrators_link_is_printed_until_there_is_one(tmp_path, sqlite_url):
    """The link stands in the output of a server nobody administers, and only there."""
    env = environment(tmp_path, sqlite_url)
    with serving(tmp_path, env, "site_with_accounts:app"):
        assert "/auth/first-admin?token=" in (tmp_path / "server.log").read_text()
    rimlock(tmp_path, env, "user", "create", "ann@example.com", "--role", "admin", typed=PASSWORD)
    with serving(tmp_path, env, "site_with_accounts:app"):
        assert "first-admin" not in (tmp_path / "server.log").read_text()


@pytest.mark.req("T4")
def test_what_is_grave_is_told_by_an_application_that_sets_up_no_log(tmp_path, sqlite_url):
    """Warnings reach the output of the one worker, as under any other server: the check before the start hides none."""
    with serving(tmp_path, environment(tmp_path, sqlite_url), "site_with_accounts:app") as (port, _):
        assert ask(port, "/auth/login", "POST", {"login": "ann", "password": PASSWORD})[0] == 401
        assert eventually(lambda: "LoginFailed failed" in (tmp_path / "server.log").read_text(), True)


@pytest.mark.req("L4")
@pytest.mark.parametrize(
    "settings, told",
    [
        ({"ALLOWED_ORIGINS": "*"}, "list each origin exactly"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x", "RIMLOCK_SECRETS": ""}, "set RIMLOCK_SECRETS to at least 32"),
        ({"RIMLOCK_CREATE_TABLES": "0"}, "run `rimlock db upgrade`"),
    ],
)
def test_a_server_that_cannot_be_safe_does_not_start(tmp_path, sqlite_url, settings, told):
    """The start ends with 1 and one sentence that says what to do."""
    refused = rimlock(tmp_path, environment(tmp_path, sqlite_url, **settings), "serve", "--port", "0")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_standalone_server_registers_signs_in_and_knows_who_asks(tmp_path, database_url):
    """Two workers and no application: what one signs, the other reads; a disabled account is out in both."""
    env = environment(tmp_path, database_url)
    with serving(tmp_path, env, "--workers", "2") as (port, _):
        new = {"email": "ann@example.com", "password": PASSWORD}
        assert ask(port, "/auth/register", "POST", new)[0] == 201
        status, tokens = ask(port, "/auth/login", "POST", {"login": "ann@example.com", "password": PASSWORD})
        assert status == 200
        token = tokens["access_token"]
        assert statuses(port, "/auth/me", token) == {200}
        assert ask(port, "/auth/me", token=token)[1]["email"] == "ann@example.com"
        assert ask(port, "/auth/me")[0] == 401
        assert ask(port, "/auth/health")[0] == 200
        status, renewed = ask(port, "/auth/refresh", "POST", {"refresh_token": tokens["refresh_token"]})
        assert (status, statuses(port, "/auth/me", renewed["access_token"])) == (200, {200})
        assert rimlock(tmp_path, env, "user", "disable", "ann@example.com").returncode == 0
        assert eventually(lambda: statuses(port, "/auth/me", token), {401})
        assert ask(port, "/auth/login", "POST", {"login": "ann@example.com", "password": PASSWORD})[0] == 401
