"""Drive the plain and the fitted application without sockets; say what a request takes: `inprocess.py URL ROUNDS`."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
REQUESTS = 400


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message: Any) -> None:
    pass


def scope() -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 81),
        "scheme": "http",
        "root_path": "",
        "method": "GET",
        "path": "/open",
        "raw_path": b"/open",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"user-agent", b"bench")],
        "state": {},
    }


async def stretch(app: Any) -> float:
    """Return microseconds of CPU for each request."""
    gc.collect()
    began = time.process_time_ns()
    for _ in range(REQUESTS):
        await app(scope(), receive, send)
    return (time.process_time_ns() - began) / REQUESTS / 1e3


async def compare(rounds: int) -> dict[str, list[float]]:
    from apps.fitted import app as fitted
    from apps.twin import app as plain

    apps = {"plain": plain, "fitted": fitted}
    found: dict[str, list[float]] = {name: [] for name in apps}
    order = list(apps)
    async with fitted.router.lifespan_context(fitted):
        for app in apps.values():
            await stretch(app)
        for _ in range(rounds):
            random.shuffle(order)
            for name in order:
                found[name].append(await stretch(apps[name]))
    return found


if __name__ == "__main__":
    os.environ["BENCH_DATABASE"] = sys.argv[1]
    print(json.dumps(asyncio.run(compare(int(sys.argv[2])))))
