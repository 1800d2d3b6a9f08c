"""Processes that use one link at once: one of all of them succeeds, whichever database stands behind them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from features.email_verification.postbox import ANN, posted, standing, token_of
from rimlock.core.schema import outbox

pytestmark = [pytest.mark.asvs("V6.5.1", "V15.4.2"), pytest.mark.attack("one-time secret used by a race")]
RACER = Path(__file__).with_name("racing_resets.py")


def race(what, url, token, times, processes=2):
    """Start the processes, wait until all are ready, let them go at once; return every outcome."""
    command = [sys.executable, str(RACER), what, url, token, str(times)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * processes
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return Counter(outcome for racer in racers for outcome in json.loads(racer.communicate(timeout=120)[0]))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("reset", {"reset": 1, "ChallengeRefused": 49}),
        ("confirm", {"Verified": 1, "AlreadyVerified": 49}),
    ],
)
def test_fifty_uses_in_two_processes_are_one(database_url, what, expected):
    """Twenty-five in each: the password is set once, the epoch rises once, and one mail tells of it."""
    app, auth, _, box = posted(database_url)
    with TestClient(app) as client:
        user_id = client.post("/auth/register", json=ANN).json()["id"]
        client.post("/auth/forgot-password", json={"email": ANN["email"]})
        kind = "reset_password" if what == "reset" else "verify_email"
        assert race(what, database_url, token_of(box, kind=kind), 25) == expected
        after = standing(client, auth, user_id)
        assert (after.verified, after.epoch) == (True, 1 if what == "reset" else 0)
        told = client.portal.call(
            auth.database.read,
            lambda tx: tx.value(select(func.count()).where(outbox.c.kind == "password_reset")),
        )
        assert told == (1 if what == "reset" else 0)
