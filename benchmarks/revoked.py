"""Fill a journal with ended sessions, or read it as a worker does: `revoked.py fill|measure URL COUNT`."""

# ruff: noqa: SLF001 - parts are measured apart

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import random
import sqlite3
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from installation import built, seed
from measuring import per_call
from serving import memory

from rimlock.core.follower import SQLiteFollower
from rimlock.core.revocations import Revocations


async def fill(url: str, count: int) -> None:
    auth = built(url, plain=True)
    await auth.start()
    await auth.stop()
    connection = sqlite3.connect(auth.database.path)  # type: ignore[attr-defined]
    now = int(time.time())
    lines = (
        ("session", f"{random.getrandbits(128):032x}", 0, now + 60 + place * 90_000 // count) for place in range(count)
    )
    with connection:
        connection.executemany("INSERT INTO auth_journal (kind, subject, value, expires_at) VALUES (?, ?, ?, ?)", lines)
    connection.close()


async def measure(url: str, count: int) -> dict[str, float]:
    auth = built(url, plain=True)
    database: Any = auth.database
    hit_before = await hit(url, Revocations())
    gc.collect()
    before = memory(os.getpid())
    known = Revocations()
    follower = SQLiteFollower(database, known)
    began = time.process_time()
    await follower.catch_up()
    seconds = time.process_time() - began
    after = memory(os.getpid())
    if len(known.sessions) < count:
        raise SystemExit(f"only {len(known.sessions)} of {count} sessions are known")
    hit_after = await hit(url, known)
    return {
        "seconds": seconds,
        "resident": (after - before) * 2**20 / count,
        "traced": await traced(database, count),
        "hit_before": hit_before,
        "hit": hit_after,
    }


async def traced(database: Any, count: int) -> float:
    """Return the bytes of each session as Python's allocator counts them: apart, since that slows the reading."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    known = Revocations()
    follower = SQLiteFollower(database, known)
    await follower.catch_up()
    gc.collect()
    took = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return took / count


async def hit(url: str, known: Revocations) -> float:
    """Return the microseconds of a token that was seen before."""
    auth = built(f"{url}-tokens-{random.getrandbits(40)}", plain=True)
    await auth.start()
    seeded = await seed(auth, 200)
    reader = auth.judge._credentials._readers[0]  # type: ignore[attr-defined]
    reader._revocations = reader.recollection._revocations = known
    identify = auth.judge._credentials._identify
    scopes = [{"headers": [(b"authorization", b"Bearer " + token.encode())]} for token in seeded.access]
    for scope in scopes:
        identify(scope)
    again = itertools.cycle(scopes).__next__
    ask = per_call(lambda: identify(again()), 0.2)
    found = min(ask() for _ in range(5))
    await auth.stop()
    return found


if __name__ == "__main__":
    work = {"fill": fill, "measure": measure}[sys.argv[1]]
    print(json.dumps(asyncio.run(work(sys.argv[2], int(sys.argv[3])))))
