"""What a limit check costs: an attempt to sign in that is admitted, in every place where attempts can be counted."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from installation import built
from measuring import Row, Spread, ratios, skipped, spread
from sqlalchemy import text
from workspace import Workspace

__all__ = ["rows"]

CHECKS = 200
FLOOR = text(
    "INSERT INTO auth_limit (key, hits, resets_at, pending, pending_until) VALUES (:key, 1, 0, 0, 0)"
    " ON CONFLICT (key) DO UPDATE SET hits = auth_limit.hits + 1 RETURNING hits"
)
Work = Callable[[int], Awaitable[object]]


def rows(space: Workspace) -> Iterator[Row]:
    """Measure both databases, then Redis."""
    for kind in ("sqlite", "postgres"):
        name = f"limit check of a sign-in, {kind} / one bare guarded statement"
        if kind == "postgres" and not space.postgres:
            yield skipped(name, "×", 2, "no PostgreSQL")
            continue
        with space.database(kind) as url:
            statements, times = asyncio.run(_database(url, space.rounds(15, 5)))
        yield Row(
            name=f"statements of a limit check, {kind}",
            value=Spread(statements, statements, statements),
            unit="",
            goal=1,
        )
        yield Row(
            name=name,
            value=ratios(times["check"], times["floor"]),
            unit="×",
            goal=2,
            note=f"three counters at once in {spread(times['check']).median:.0f} µs, one in "
            f"{spread(times['floor']).median:.0f} µs",
            details=times,
        )
    yield _shared(space)


def _shared(space: Workspace) -> Row:
    name = "limit check of a sign-in in Redis"
    if not space.redis:
        return skipped(name, "µs", 1000, "no Redis")
    found = asyncio.run(_redis(space.sqlite(), space.redis, space.rounds(15, 5)))
    return Row(name=name, value=spread(found), unit="µs", goal=1000, note="one script", details={"check": found})


async def _database(url: str, rounds: int) -> tuple[float, dict[str, list[float]]]:
    auth = built(url)
    await auth.start()
    before = auth.database.executed
    await _check(auth)(0)
    statements = auth.database.executed - before
    works: dict[str, Work] = {"check": _check(auth), "floor": _floor(auth)}
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(rounds + 1):
        for name in random.sample(list(works), 2):
            took = await _stretch(works[name], turn)
            if turn:
                found[name].append(took)
    await auth.stop()
    return statements, found


async def _redis(url: str, redis: str, rounds: int) -> list[float]:
    auth = built(url, limits_url=redis)
    await auth.start()
    work = _check(auth)
    found = [await _stretch(work, turn) for turn in range(rounds + 1)]
    await auth.stop()
    return found[1:]


def _check(auth: Any) -> Work:
    async def one(number: int) -> None:
        await auth.context.limits.sign_in(f"10.{number >> 8 & 255}.{number & 255}.1", None, f"nobody{number}")

    return one


def _floor(auth: Any) -> Work:
    async def one(number: int) -> None:
        await auth.database.write(lambda tx: tx.all(FLOOR, {"key": f"floor{number}"}))

    return one


async def _stretch(work: Work, turn: int) -> float:
    """Return microseconds of wall clock for each of some calls, one after the other, with names of their own."""
    began = time.perf_counter()
    for number in range(turn * CHECKS, (turn + 1) * CHECKS):
        await work(number)
    return (time.perf_counter() - began) / CHECKS * 1e6
