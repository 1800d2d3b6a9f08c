"""Forty guesses at once, in four processes: five reach the password, wherever is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.password.office import ANN, GOOD, installed, visiting
from limiting.test_lockout import guess

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13"), pytest.mark.attack("lockout race")]
RACER = Path(__file__).with_name("guessing.py")


def race(settings, login, times, processes=4):
    """Start the processes, let them go at once; return all statuses and how many passwords were tested."""
    command = [sys.executable, str(RACER), json.dumps(settings), login, str(times)]
    environment = {**os.environ, "PYTHONPATH": str(RACER.parents[1])}
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * processes
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    found = [json.loads(racer.communicate(timeout=90)[0]) for racer in racers]
    return [status for statuses, _ in found for status in statuses], sum(tested for _, tested in found)


@pytest.mark.asvs("6.3.1", "6.6.3", "15.4.2")
@pytest.mark.parametrize("login", ["ann@example.com", "nobody@example.com"])
@pytest.mark.parametrize("place", ["sqlite", "postgres", "redis"])
async def test_of_forty_guesses_in_four_processes_five_reach_the_password(request, sqlite_url, place, login):
    """Five times 401 and thirty-five times 429, for an account and for none; and no later guess is let in."""
    database = request.getfixturevalue("postgres_url") if place == "postgres" else sqlite_url
    given = {"limits_url": request.getfixturevalue("redis_url"), "on_limits_down": "refuse"} if place == "redis" else {}
    app, auth, _ = installed(database, **given)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        statuses, tested = race({"database": database, **given}, login, 10)
        assert sorted(statuses) == [401] * 5 + [429] * 35
        assert tested == 5
        assert (await guess(app, login, GOOD, address="192.0.2.1")).status_code == 429
