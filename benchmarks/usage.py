"""What counting adds to a request: the gate with usage on and off, stage by stage, in interleaved rounds.

`usage.py [--rounds N] [--check]`: microseconds of CPU for each request, without sockets and without the application
behind the gate. `--check` ends with 1 when counting adds two microseconds or more anywhere.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from apps.host import routes
from installation import SECRET, seed
from measuring import spread

from rimlock import Rimlock, Rule, Settings, Stage
from rimlock.features.api_keys import ApiKeys
from rimlock.web.problems import Refusal

GOAL = 2.0
REQUESTS = 250
BROWSER = [
    (b"host", b"127.0.0.1"),
    (b"connection", b"keep-alive"),
    (b"sec-ch-ua-platform", b'"Linux"'),
    (
        b"user-agent",
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    ),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"accept-language", b"en"),
    (b"referer", b"http://127.0.0.1/"),
]
Fitted = tuple[Rimlock, Mapping[str, list[tuple[bytes, bytes]]]]


async def nothing(*_: Any) -> None:
    """Stand for the application, and for its ends of a connection."""


def scope(headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/open",
        "root_path": "",
        "query_string": b"",
        "client": ("127.0.0.1", 4000),
        "headers": headers,
    }


async def fitted(folder: str, stage: Stage, *, usage: bool) -> Fitted:
    """Return a started installation whose gate has nothing behind it, and what callers carry."""
    settings = Settings(
        secrets=[SECRET], database=f"sqlite:///{folder}/{stage}-{usage}.db", create_tables=True, usage=usage
    )
    auth = Rimlock(settings, rules=[Rule(pattern="/**", stage=stage)], features=[ApiKeys()])
    auth.install(routes())
    auth.gate._inner = nothing  # noqa: SLF001 - what is behind the gate is not measured
    await auth.start()
    seeded = await seed(auth, 1)
    key = await _key(auth)
    token = f"Bearer {seeded.access[0]}".encode()
    return auth, {
        "nobody": BROWSER,
        "token": [*BROWSER, (b"authorization", token)],
        "key": [*BROWSER, (b"x-api-key", key.encode())],
    }


async def _key(auth: Rimlock) -> str:
    from apikeys import made

    keys, note = await made(auth, 1)
    if not keys:
        raise SystemExit(note)
    return keys[0]


async def stretch(auth: Rimlock, headers: list[tuple[bytes, bytes]]) -> float:
    """Return microseconds of CPU for each request."""
    gate = auth.gate
    began = time.thread_time_ns()
    for _ in range(REQUESTS):
        with suppress(Refusal):
            await gate(scope(headers), nothing, nothing)
    took = time.thread_time_ns() - began
    return took / REQUESTS / 1e3


def measured(loop: asyncio.AbstractEventLoop, folder: str, rounds: int) -> dict[str, dict[bool, list[float]]]:
    """Measure every stage and caller, with counting and without, one right after the other."""
    ready = {
        (stage, usage): loop.run_until_complete(fitted(folder, stage, usage=usage))
        for stage in Stage
        for usage in (False, True)
    }
    names = [(stage, who) for stage in Stage for who in ready[stage, True][1]]
    found: dict[str, dict[bool, list[float]]] = {f"{stage.value}|{who}": {False: [], True: []} for stage, who in names}

    def measure(stage: Stage, who: str, usage: bool) -> float:  # noqa: FBT001 - the two sides
        auth, callers = ready[stage, usage]
        return loop.run_until_complete(stretch(auth, callers[who]))

    gc.collect()
    gc.disable()  # a collection would land on one of the two sides
    for turn in range(rounds + 1):
        random.shuffle(names)
        for stage, who in names:
            for usage in random.sample((False, True), 2):
                took = measure(stage, who, usage)
                if turn:  # the first round is for getting warm
                    found[f"{stage.value}|{who}"][usage].append(took)
    for auth, _ in ready.values():
        loop.run_until_complete(auth.stop())
    return found


def main() -> None:
    """Measure, print the table, and judge when asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    logging.disable()
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(loop, folder, options.rounds)
    loop.close()
    print(f"{'stage':<10}{'caller':<10}{'off':>8}{'on':>8}{'added':>8}  p25-p75")
    worst = 0.0
    for name, sides in found.items():
        stage, who = name.split("|")
        off, on = spread(sides[False]), spread(sides[True])
        added = spread([one - two for one, two in zip(sides[True], sides[False], strict=True)])
        worst = max(worst, added.median)
        figures = f"{off.median:>8.2f}{on.median:>8.2f}{added.median:>8.2f}  {added.p25:.2f}-{added.p75:.2f}"
        print(f"{stage:<10}{who:<10}{figures}")
    print(f"most that counting adds: {worst:.2f} µs; goal below {GOAL:g}")
    sys.exit(1 if options.check and worst >= GOAL else 0)


if __name__ == "__main__":
    main()
