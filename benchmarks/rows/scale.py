"""From few users to many: what the database is asked when somebody signs in, refreshes, is verified or is listed."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
from installation import built
from measuring import Row, ratios, skipped, spread
from sqlalchemy import text
from workspace import Workspace

from rimlock.core import accounts, sessions

__all__ = ["rows"]

BATCH = 300


def rows(space: Workspace) -> Iterator[Row]:
    """Compare one size with the other, on both databases."""
    sizes = (10_000, 200_000 if space.quick else 1_000_000)
    for kind in ("sqlite", "postgres"):
        if kind == "postgres" and not space.postgres:
            yield skipped("many users on PostgreSQL", "×", 1.2, "no PostgreSQL")
            continue
        with space.database(kind) as few, space.database(kind) as many:
            found = asyncio.run(_compared((few, many), sizes, space.rounds(9, 5)))
        for name, values in found.items():
            yield Row(
                name=f"{sizes[0]:,} -> {sizes[1]:,} users, {kind}: {name}",
                value=ratios(values[1], values[0]),
                unit="×",
                goal=1.2,
                note=f"{spread(values[0]).median:.0f} -> {spread(values[1]).median:.0f} µs",
                details={"us": values},
            )


async def _compared(urls: tuple[str, str], sizes: tuple[int, int], rounds: int) -> dict[str, list[list[float]]]:
    houses = [await _filled(url, size) for url, size in zip(urls, sizes, strict=True)]
    actions = {"sign-in look-up": _look_up, "refresh": _refresh, "list": _list}
    found: dict[str, list[list[float]]] = {name: [[], []] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            for place in (0, 1) if turn % 2 else (1, 0):
                began = time.perf_counter()
                await action(houses[place], sizes[place], turn)
                if turn:
                    found[name][place].append((time.perf_counter() - began) / BATCH * 1e6)
    for house in houses:
        await house.stop()
    return found


async def _filled(url: str, size: int) -> Any:
    auth = built(url, plain=True)
    await auth.start()
    if auth.database.dialect == "sqlite":
        await auth.database.write(lambda tx: [tx.connection.execute(text(line)) for line in _filling("sqlite", size)])
    else:
        connection = await asyncpg.connect(url)
        for line in _filling("postgresql", size):
            await connection.execute(line)
        await connection.close()
    return auth


def _filling(dialect: str, size: int) -> list[str]:
    """Return the statements that fill the tables in bulk."""
    now = int(time.time())
    numbers = {
        "sqlite": f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {size})",
        "postgresql": f"WITH n(i) AS (SELECT generate_series(0, {size - 1}))",
    }[dialect]
    hexed = {"sqlite": "printf('%032x', i)", "postgresql": "lpad(to_hex(i), 32, '0')"}[dialect]
    address = "'person' || i || '@example.com'"
    device = f"{hexed}, {hexed}, {now}, {now}, 'password', {now}, 86400, {now + 864_000}, true, 'body'"
    return [
        (
            f"INSERT INTO auth_user (id, email, email_key, created_at, updated_at) {numbers} "
            f"SELECT {hexed}, {address}, {address}, {now}, {now} FROM n"
        ),
        f"INSERT INTO auth_account (user_id, password_hash, created_at) {numbers} SELECT {hexed}, 'none', {now} FROM n",
        (
            "INSERT INTO auth_session (id, user_id, created_at, auth_time, methods, refreshed_at, idle_seconds, "
            f"expires_at, remembered, transport) {numbers} SELECT {device} FROM n"
        ),
        "ANALYZE",
    ]


def _spaced(size: int, turn: int) -> list[int]:
    """Numbers all over the table, others in each turn."""
    return [(turn * 7_919 + place * 104_729) % size for place in range(BATCH)]


async def _look_up(auth: Any, size: int, turn: int) -> None:
    users = auth.context.users

    def work(tx: Any, number: int) -> None:
        user = users.find(tx, f"person{number}@example.com")
        accounts.standing(tx, user.id)

    for number in _spaced(size, turn):
        await auth.database.read(lambda tx, number=number: work(tx, number))


async def _refresh(auth: Any, size: int, turn: int) -> None:
    now = int(time.time())
    for number in _spaced(size, turn):
        await _refreshed(auth, f"{number:032x}", now)


async def _refreshed(auth: Any, session: str, now: int) -> None:
    """Numbers may come again in a later turn: the generation is read where it is not the first."""
    known = auth.__dict__.setdefault("_bench_generations", {})
    renewed = await sessions.refresh(auth.database, session, known.get(session, 0), grace=30, now=now)
    known[session] = renewed.generation


async def _list(auth: Any, size: int, turn: int) -> None:
    users = auth.context.users
    for number in _spaced(size, turn):
        await auth.database.read(lambda tx, number=number: users.page(tx, after=f"{number:032x}", limit=5))
