"""How long after a sign-out in one worker another one goes on letting the token in."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from installation import Seeded, built, seed
from load import Connection, request
from measuring import Row, Spread, quantile, skipped
from serving import BOTH, Server, uvicorn
from workspace import Workspace

__all__ = ["rows"]

WAYS: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
    ("SQLite, one file", "sqlite", 0.0, {}),
    ("PostgreSQL, by polling", "postgres", 1_000.0, {"listen": False}),
    ("PostgreSQL, told by LISTEN/NOTIFY", "postgres", 50.0, {"poll_interval": 4.0}),
    ("PostgreSQL, told by Redis", "postgres", 50.0, {"listen": False, "poll_interval": 4.0, "redis_url": ""}),
)


def rows(space: Workspace) -> Iterator[Row]:
    """Sign sessions out in one worker and ask the other."""
    for name, kind, goal, settings in WAYS:
        title = f"revocation seen elsewhere, p99: {name}"
        if (kind == "postgres" and not space.postgres) or ("redis_url" in settings and not space.redis):
            yield skipped(title, "ms", goal, "no such server here")
            continue
        given = {**settings, "redis_url": space.redis} if "redis_url" in settings else settings
        with space.database(kind) as database:
            found = _measured(space, database, given, space.rounds(60, 20))
        late = [took for took in found if took > 0]
        yield Row(
            name=title,
            value=Spread(quantile(found, 0.99), quantile(found, 0.25), quantile(found, 0.75)),
            unit="ms",
            goal=goal,
            peer="next refresh, or a query for each request",
            note=f"{len(found)} sign-outs, {len(late)} not seen by the next request; p50 {quantile(found, 0.5):.1f} ms",
            details={"ms": found},
        )


def _measured(space: Workspace, database: str, settings: dict[str, Any], count: int) -> list[float]:
    seeded = asyncio.run(_prepared(database, count))
    given = {**space.environment, "BENCH_DATABASE": database, "BENCH_SETTINGS": json.dumps(settings)}
    with ExitStack() as cleanup:
        here, there = (
            cleanup.enter_context(uvicorn(f"worker{place}", "apps.fitted:app", given, processors=BOTH))
            for place in range(2)
        )
        return asyncio.run(_all(here, there, seeded))


async def _prepared(database: str, count: int) -> Seeded:
    auth = built(database)
    await auth.start()
    seeded = await seed(auth, count)
    await auth.stop()
    return seeded


async def _all(here: Server, there: Server, seeded: Seeded) -> list[float]:
    first, second = Connection(here.port), Connection(there.port)
    found = []
    for access, refresh in zip(seeded.access, seeded.refresh, strict=True):
        ask = request("GET", "/gated", [f"Authorization: Bearer {access}"])
        if (await second.send(ask))[0] != 200:
            raise RuntimeError("a fresh token was refused")
        await asyncio.sleep(random.uniform(0, 0.25))  # at any moment between two looks of the other worker
        found.append(await _until_refused(first, second, ask, refresh))
    first.close()
    second.close()
    return found


async def _until_refused(first: Connection, second: Connection, ask: bytes, refresh: str) -> float:
    """Return the milliseconds from the answer of the sign-out to the last request that was let in; 0 for none."""
    body = json.dumps({"refresh_token": refresh}).encode()
    status, answer = await first.send(request("POST", "/auth/logout", ["Content-Type: application/json"], body))
    if status != 204:
        raise RuntimeError(f"the sign-out was answered {status}: {answer[:200]!r}")
    began = time.perf_counter()
    let_in = 0.0
    while (await second.send(ask))[0] == 200:
        let_in = (time.perf_counter() - began) * 1e3
        if let_in > 20_000:
            raise RuntimeError("a token was not refused within 20 s")
        await asyncio.sleep(0.0005)
    return let_in
