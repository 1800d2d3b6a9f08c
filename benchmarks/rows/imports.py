"""What the library adds to a FastAPI and SQLAlchemy host: time to import, and memory of a worker that has served."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator

from installation import built, seed
from load import get
from measuring import Row, spread
from peers import installed
from serving import uvicorn
from workspace import Workspace

__all__ = ["rows"]

HOST = "import fastapi, sqlalchemy.ext.asyncio, sqlalchemy.orm, sqlalchemy.dialects.sqlite"
OURS = f"{HOST}\nimport rimlock\nfor name in rimlock.__all__: getattr(rimlock, name)"
PEERS = {
    "fastapi-users": f"{HOST}\nimport fastapi_users, fastapi_users.db, fastapi_users.authentication",
    "authx": f"{HOST}\nimport authx",
}


def rows(space: Workspace) -> Iterator[Row]:
    """Measure cold processes in random order, then two servers."""
    programs = {"host": (sys.executable, HOST), "ours": (sys.executable, OURS)}
    for name, program in PEERS.items():
        python = installed(name)
        if python is not None:
            programs[f"{name} host"], programs[name] = (python, HOST), (python, program)
    found = _cold(programs, space.rounds(9, 5))
    yield Row(
        name="import time added to a FastAPI + SQLAlchemy host",
        value=spread(_differences(found["ours"], found["host"])),
        unit="ms",
        goal=75,
        peer=", ".join(
            f"{name} {spread(_differences(found[name], found[f'{name} host'])).median:.0f} ms"
            for name in PEERS
            if name in found
        ),
        note=f"CPU of a cold process; the host alone takes {spread(found['host']).median:.0f} ms",
        details=found,
    )
    yield _memory(space)


def _cold(programs: dict[str, tuple[str, str]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in programs}
    order = list(programs)
    for turn in range(rounds + 1):
        random.shuffle(order)
        for name in order:
            took = _milliseconds(*programs[name])
            if turn:
                found[name].append(took)
    return found


def _milliseconds(python: str, program: str) -> float:
    """CPU time of one process: what other work on the machine disturbs least."""
    timed = f"import time\n{program}\nprint(time.process_time() * 1000)"
    compiled = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([python, "-c", timed], check=True, capture_output=True, text=True, env=compiled)
    return float(done.stdout)


def _differences(values: list[float], bases: list[float]) -> list[float]:
    return [value - base for value, base in zip(values, bases, strict=True)]


def _memory(space: Workspace) -> Row:
    database = space.sqlite()
    tokens = asyncio.run(_tokens(database))
    headers = space.headers([f"Authorization: Bearer {token}" for token in tokens])
    added = []
    for _ in range(space.rounds(2, 1)):
        sizes = {}
        for name, target, path in (("plain", "apps.worker:app", "/open"), ("fitted", "apps.fitted:app", "/user")):
            given = {**space.environment, "BENCH_DATABASE": database}
            with uvicorn(name, target, given) as server:
                get(server, path, headers, seconds=2)
                time.sleep(0.2)
                sizes[name] = server.memory()
        added.append(sizes["fitted"] - sizes["plain"])
    return Row(
        name="memory added to a worker that has served",
        value=spread(added),
        unit="MiB",
        goal=25,
        note="resident size, over the same application with an SQLAlchemy engine that has been asked once",
        details={"added": added},
    )


async def _tokens(database: str) -> list[str]:
    auth = built(database)
    await auth.start()
    seeded = await seed(auth, 500)
    await auth.stop()
    return seeded.access
