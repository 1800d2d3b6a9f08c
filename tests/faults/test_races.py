"""Four processes at once: one generation, one use, whichever database stands behind them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from rimlock import migrations
from rimlock.core import accounts, challenges, sessions
from rimlock.core.engines import open_database
from rimlock.core.schema import session as table
from rimlock.core.sessions import Device, Lifetimes

pytestmark = pytest.mark.anyio
RACER = Path(__file__).with_name("racing.py")
NOW = 1_800_000_000


def race(what, url, thing, times, processes=4):
    """Start the processes, wait until all are ready, let them go at once; return every outcome."""
    command = [sys.executable, str(RACER), what, url, thing, str(times)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * processes
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return [outcome for racer in racers for outcome in json.loads(racer.communicate(timeout=60)[0])]


async def opened(url):
    """Return a database with our tables, ready for several processes."""
    await migrations.upgrade(url)
    database = open_database(url, lambda _: None)
    await database.write(lambda tx: accounts.open_account(tx, "ann", now=NOW))
    return database


@pytest.mark.req("L6")
@pytest.mark.attack("rotation fork under concurrency")
async def test_a_hundred_refreshes_of_one_token_make_one_generation(database_url):
    """Each of a hundred in four processes is answered, all with the same successor, and one of them made it."""
    database = await opened(database_url)
    session = await database.write(
        lambda tx: sessions.issue(tx, "ann", methods=("test",), device=Device(), lifetimes=Lifetimes(), now=NOW)
    )
    outcomes = Counter(map(tuple, race("refresh", database_url, session.id, 25)))
    assert outcomes == {(1, False): 1, (1, True): 99}
    row = await database.read(lambda tx: tx.one(select(table).where(table.c.id == session.id)))
    assert (row["generation"], row["ended_at"]) == (1, None)
    await database.close()


@pytest.mark.attack("one-time secret used by a race")
async def test_a_secret_is_spent_once(database_url):
    """Forty uses in each of four processes: one succeeds, the others are told that it is not valid any more."""
    database = await opened(database_url)
    token = await database.write(lambda tx: challenges.issue(tx, "race", now=NOW, seconds=600))
    assert Counter(race("consume", database_url, token, 40)) == {"spent": 1, "ChallengeRefused": 159}
    await database.close()
