"""What one of several racing processes runs: `racing.py refresh|consume URL …`, started together by a line on stdin."""

from __future__ import annotations

import asyncio
import json
import sys

from rimlock.core import challenges, sessions
from rimlock.core.engines import open_database
from rimlock.core.errors import AuthError

NOW = 1_800_000_000


async def _each(times, work):
    return await asyncio.gather(*(work() for _ in range(times)), return_exceptions=True)


async def _race(what, url, thing, times):
    database = open_database(url, lambda _: None)
    if hasattr(database, "open"):
        await database.open()

    async def refresh():
        answer = await sessions.refresh(database, thing, 0, grace=30, now=NOW)
        return answer.generation, answer.repeated

    async def consume():
        await database.write(lambda tx: challenges.consume(tx, "race", thing, now=NOW))
        return "spent"

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    outcomes = await _each(times, refresh if what == "refresh" else consume)
    await database.close()
    return [type(one).__name__ if isinstance(one, AuthError) else one for one in outcomes]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_race(*sys.argv[1:4], int(sys.argv[4])))))
