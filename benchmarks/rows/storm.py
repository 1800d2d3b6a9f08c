"""A storm of sign-ins: what the others notice of it, and how many get in."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from installation import PASSWORD, built, email, seed
from load import Connection, request
from measuring import Row, quantile, ratios, spread
from serving import BOTH, Server, uvicorn
from workspace import Workspace

from rimlock.core.hashing import HashingPool
from rimlock.crypto.passwords.hashes import PasswordHashes

__all__ = ["rows"]

CLIENTS = 64
PROBES_PER_SECOND = 100
PAUSE = 0.25


@dataclass(slots=True)
class Storm:
    """What one round found. Times in milliseconds."""

    idle: list[float]
    stormy: list[float]
    logins: float
    refused: float
    failed: int


def rows(space: Workspace) -> Iterator[Row]:
    """Measure rounds of calm, storm and bare hashing."""
    database = space.sqlite()
    token = asyncio.run(_prepared(database))
    given = {**space.environment, "BENCH_DATABASE": database}
    storms, bare = [], []
    for _ in range(space.rounds(3, 2)):
        with uvicorn("storm", "apps.fitted:app", given, processors=BOTH) as server:
            storms.append(asyncio.run(_storm(server, token, 4 if space.quick else 6)))
        bare.append(asyncio.run(_bare(2 if space.quick else 4)))
    calm = [quantile(storm.idle, 0.99) for storm in storms]
    stormy = [quantile(storm.stormy, 0.99) for storm in storms]
    yield Row(
        name=f"storm of {CLIENTS} sign-ins: protected p99 / idle p99",
        value=ratios(stormy, calm),
        unit="×",
        goal=3,
        peer="Better Auth 400, fastapi-users 7,000 (measured elsewhere)",
        note=f"p99 {spread(calm).median:.1f} -> {spread(stormy).median:.1f} ms, "
        f"p50 {quantile(storms[0].idle, 0.5):.1f} -> {quantile(storms[0].stormy, 0.5):.1f} ms",
        details={"idle_p99": calm, "storm_p99": stormy, "failed": sum(storm.failed for storm in storms)},
    )
    yield Row(
        name="sign-ins per second / what the hash alone allows",
        value=ratios([storm.logins for storm in storms], bare),
        unit="×",
        goal=0.9,
        at_least=True,
        note=f"{spread([storm.logins for storm in storms]).median:.0f}/s over {spread(bare).median:.0f}/s, one hashing "
        f"thread; {spread([storm.refused for storm in storms]).median:.0f}/s told to come back",
        details={"logins": [storm.logins for storm in storms], "bare": bare},
    )


async def _prepared(database: str) -> str:
    auth = built(database)
    await auth.start()
    seeded = await seed(auth, CLIENTS, password=PASSWORD)
    await auth.stop()
    return seeded.access[0]


async def _storm(server: Server, token: str, seconds: float) -> Storm:
    probe = request("GET", "/gated", [f"Authorization: Bearer {token}"])
    await _probed(server, probe, 1)
    idle = await _probed(server, probe, seconds)
    answers: list[tuple[float, int]] = []
    over = asyncio.Event()
    clients = [asyncio.create_task(_client(server, place, answers, over)) for place in range(CLIENTS)]
    await asyncio.sleep(1.0)
    began = time.perf_counter()
    stormy = await _probed(server, probe, seconds)
    ended = time.perf_counter()
    over.set()
    await asyncio.gather(*clients)
    statuses = [status for at, status in answers if began <= at <= ended]
    took = ended - began
    good, busy = statuses.count(200), statuses.count(503) + statuses.count(429)
    return Storm(idle, stormy, good / took, busy / took, len(statuses) - good - busy)


async def _probed(server: Server, probe: bytes, seconds: float) -> list[float]:
    """Ask at fixed moments, whether the last answer is there or not; a time counts from the moment it was due."""
    found: list[float] = []
    idle = [Connection(server.port) for _ in range(8)]

    async def one(due: float) -> None:
        connection = idle.pop() if idle else Connection(server.port)
        status, _ = await connection.send(probe)
        found.append((time.perf_counter() - due) * 1e3)
        if status != 200:
            raise RuntimeError(f"the probe was answered {status}")
        idle.append(connection)

    began, tasks = time.perf_counter(), []
    for place in range(int(seconds * PROBES_PER_SECOND)):
        due = began + place / PROBES_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(due)))
    await asyncio.gather(*tasks)
    for connection in idle:
        connection.close()
    return found


async def _client(server: Server, place: int, answers: list[tuple[float, int]], over: asyncio.Event) -> None:
    body = json.dumps({"login": email(place), "password": PASSWORD}).encode()
    data = request("POST", "/auth/login", ["Content-Type: application/json"], body)
    connection = Connection(server.port)
    while not over.is_set():
        status, _ = await connection.send(data)
        answers.append((time.perf_counter(), status))
        if status != 200:
            await asyncio.sleep(PAUSE * random.uniform(0.5, 1.5))
    connection.close()


async def _bare(seconds: float) -> float:
    """Verify passwords on a pool like that of the server, and do nothing else; return how many in a second."""
    hasher = PasswordHashes()
    stored = hasher.hash(PASSWORD)
    pool = HashingPool(hasher)
    counted = 0
    deadline = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal counted
        while time.perf_counter() < deadline:
            await pool.verify(stored, PASSWORD)
            counted += 1

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(8)))
    took = time.perf_counter() - began
    pool.close()
    return counted / took
