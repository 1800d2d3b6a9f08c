"""Registering, proving an address, choosing another password: over HTTP, beside FastAPI Users, which has the same.

Both on SQLite, written ahead and flushed at each commit. Once with the cheapest hash, so that the rest is what is
compared; and once with the hash of our usual cost on both sides, for the steps that hash on either. Ours writes the
audit, counts attempts, and lays the sealed mail into the outbox; the peer does none of that, and its links are kept in
no table.
"""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from installation import PASSWORD, email
from load import Connection, request
from measuring import Row, ratios, skipped, spread
from peers import installed
from serving import Server, uvicorn
from workspace import Workspace

__all__ = ["rows"]

CLIENTS = 8
GOAL = 1.0
PEER = "fastapi-users"
ANOTHER_PASSWORD = "eight brown otters cross the wide lake"
JSON = ["Content-Type: application/json"]


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a life. The paths are ours and the peer's; `sends` names what goes into the body.

    `hashes`: on one side at least.
    """

    name: str
    ours: str
    peer: str
    sends: tuple[str, ...]
    hashes: bool = False


STEPS = (
    Step("registering", "/register", "/register", ("email", "password"), hashes=True),
    Step("asking to verify", "/verify-email/request", "/request-verify-token", ("email",)),
    Step("verifying", "/verify-email", "/verify", ("token",)),
    Step("asking to reset", "/forgot-password", "/forgot-password", ("email",), hashes=True),
    Step("resetting", "/reset-password", "/reset-password", ("token", "password"), hashes=True),
)


@dataclass(frozen=True, slots=True)
class Course:
    """One way to measure. `people`: in a round; `rounds`: how many; each for a full run and a quick one."""

    name: str
    hash: str
    steps: tuple[Step, ...]
    people: tuple[int, int]
    rounds: tuple[int, int]


COURSES = (
    Course("cheapest hash", "cheapest", STEPS, (400, 300), (5, 5)),
    Course("usual hash", "usual", tuple(step for step in STEPS if step.hashes), (60, 50), (5, 3)),
)


@dataclass(slots=True)
class Side:
    """A server, and the newest secret it mailed to each address."""

    server: Server
    mine: bool
    secrets: dict[str, str] = field(default_factory=dict)


Found = dict[str, dict[str, list[tuple[float, float]]]]


def rows(space: Workspace) -> Iterator[Row]:
    """Let people live on both sides, round by round; every step of theirs is a row."""
    python = installed(PEER)
    for course in COURSES:
        if python is None:
            yield from (skipped(_named(step, course), "×", GOAL, "no peer", at_least=True) for step in course.steps)
            continue
        with ExitStack() as cleanup:
            found = _measured(_sides(space, cleanup, python, course), space, course)
        yield from (_row(_named(step, course), found[step.name]) for step in course.steps)


def _sides(space: Workspace, cleanup: ExitStack, python: str, course: Course) -> dict[str, Side]:
    given = {**space.environment, "BENCH_HASH": course.hash}
    ours = {**given, "BENCH_DATABASE": space.sqlite()}
    peer = {**given, "BENCH_DATABASE": space.sqlite().replace("sqlite:", "sqlite+aiosqlite:")}
    return {
        "ours": Side(cleanup.enter_context(uvicorn("ours", "apps.lifecycle:app", ours)), mine=True),
        "peer": Side(cleanup.enter_context(uvicorn(PEER, "apps.peer_lifecycle:app", peer, python=python)), mine=False),
    }


def _measured(sides: dict[str, Side], space: Workspace, course: Course) -> Found:
    """Return requests per second and CPU of each step, after a round that does not count."""
    found: Found = {step.name: {name: [] for name in sides} for step in STEPS}
    people, first = space.rounds(*course.people), CLIENTS * 4
    _round(sides, range(first), {step.name: {name: [] for name in sides} for step in STEPS})
    for _ in range(space.rounds(*course.rounds)):
        _round(sides, range(first, first + people), found)
        first += people
    return found


def _round(sides: dict[str, Side], people: range, found: Found) -> None:
    order = list(sides)
    for step in STEPS:
        random.shuffle(order)
        for name in order:
            found[step.name][name].append(asyncio.run(_step(sides[name], step, people)))


async def _step(side: Side, step: Step, people: range) -> tuple[float, float]:
    """Let everybody take this step once; return how many did in a second, and microseconds of the CPU for each."""
    waiting = [_request(side, step, email(number)) for number in people]
    before, began = side.server.cpu(), time.perf_counter()
    await asyncio.gather(*(_client(side, step, waiting) for _ in range(CLIENTS)))
    took = time.perf_counter() - began
    used = side.server.cpu() - before
    await _collect(side)
    return len(people) / took, used / len(people) * 1e6


def _request(side: Side, step: Step, address: str) -> bytes:
    password = ANOTHER_PASSWORD if "token" in step.sends else PASSWORD
    known = {"email": address, "password": password, "token": side.secrets.get(address, "")}
    body = json.dumps({name: known[name] for name in step.sends}).encode()
    return request("POST", "/auth" + (step.ours if side.mine else step.peer), JSON, body)


async def _client(side: Side, step: Step, waiting: list[bytes]) -> None:
    connection = Connection(side.server.port)
    while waiting:
        status, answer = await connection.send(waiting.pop())
        if status >= 300:
            raise RuntimeError(f"{side.server.name} answered {step.name} with {status}: {answer[:200]!r}")
    connection.close()


async def _collect(side: Side) -> None:
    connection = Connection(side.server.port)
    _, answer = await connection.send(request("GET", "/mailed"))
    connection.close()
    side.secrets |= json.loads(answer)


def _named(step: Step, course: Course) -> str:
    return f"{step.name} / {PEER}, {course.name}"


def _row(name: str, found: dict[str, list[tuple[float, float]]]) -> Row:
    ours, peer = found["ours"], found["peer"]
    rate = ratios([one[0] for one in ours], [one[0] for one in peer])
    return Row(
        name=name,
        value=ratios([one[1] for one in peer], [one[1] for one in ours]),
        unit="×",
        goal=GOAL,
        at_least=True,
        peer=f"{PEER} 1.00",
        note=f"requests/s {rate.median:.2f} [{rate.p25:.2f}-{rate.p75:.2f}]: {spread([o[0] for o in ours]).median:.0f} "
        f"over {spread([p[0] for p in peer]).median:.0f}; CPU {spread([o[1] for o in ours]).median:.0f} over "
        f"{spread([p[1] for p in peer]).median:.0f} µs",
        details=found,
    )
