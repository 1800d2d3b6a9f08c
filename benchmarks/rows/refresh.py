"""Refreshing over HTTP: 32 clients, each going on with the token it got, against the route without the database."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from installation import built, seed
from load import Connection, request
from measuring import Row, interleaved, ratios, skipped, spread
from serving import Server, uvicorn
from workspace import Workspace

__all__ = ["rows"]

CLIENTS = 32


@dataclass(slots=True)
class Chain:
    """A server and the refresh tokens its clients hold."""

    server: Server
    path: str
    tokens: list[str]


def rows(space: Workspace) -> Iterator[Row]:
    """Measure SQLite against no database, PostgreSQL against one statement of the driver's."""
    with ExitStack() as cleanup:
        database = space.sqlite()
        tokens = asyncio.run(_prepared(database))
        chains = {
            "ours": Chain(_server(space, cleanup, "sqlite", database), "/auth/refresh", list(tokens)),
            "floor": Chain(_server(space, cleanup, "nodb", database, no_database=True), "/auth/refresh", list(tokens)),
        }
        found = _measured(chains, space)
    yield _row("refresh over HTTP, SQLite FULL / without a database", 0.60, "0.09 (SQLAlchemy ORM)", found)
    name = "refresh over HTTP, PostgreSQL / one-statement driver floor"
    if not space.postgres:
        yield skipped(name, "×", 0.70, "no PostgreSQL", at_least=True)
        return
    with space.database("postgres") as database, ExitStack() as cleanup:
        tokens = asyncio.run(_prepared(database))
        given = {**space.environment, "BENCH_DATABASE": database}
        floor = cleanup.enter_context(uvicorn("floor", "apps.driver_floor:app", given))
        chains = {
            "ours": Chain(_server(space, cleanup, "postgres", database), "/auth/refresh", tokens[:CLIENTS]),
            "floor": Chain(floor, "/refresh", tokens[CLIENTS:]),
        }
        found = _measured(chains, space)
    yield _row(name, 0.70, "0.3 (SQLAlchemy ORM)", found)


def _server(space: Workspace, cleanup: ExitStack, name: str, database: str, *, no_database: bool = False) -> Server:
    given = {**space.environment, "BENCH_DATABASE": database, "BENCH_NO_DATABASE": "1" if no_database else ""}
    return cleanup.enter_context(uvicorn(name, "apps.fitted:app", given))


async def _prepared(database: str) -> list[str]:
    auth = built(database)
    await auth.start()
    seeded = await seed(auth, CLIENTS * 2)
    await auth.stop()
    return seeded.refresh


def _measured(chains: dict[str, Chain], space: Workspace) -> dict[str, list[tuple[float, float]]]:
    seconds = 1.5 if space.quick else 2.0
    for chain in chains.values():
        asyncio.run(_run(chain, 1.0))
    variants = {name: lambda chain=chain: asyncio.run(_run(chain, seconds)) for name, chain in chains.items()}
    return interleaved(variants, space.rounds(5, 3))  # type: ignore[arg-type,return-value]


async def _run(chain: Chain, seconds: float) -> tuple[float, float]:
    """Return refreshes per second, and microseconds of the server's CPU for each."""
    counted = 0
    deadline = time.perf_counter() + seconds

    async def one(place: int) -> None:
        nonlocal counted
        connection = Connection(chain.server.port)
        while time.perf_counter() < deadline:
            body = json.dumps({"refresh_token": chain.tokens[place]}).encode()
            data = request("POST", chain.path, ["Content-Type: application/json"], body)
            status, answer = await connection.send(data)
            if status != 200:
                raise RuntimeError(f"{chain.server.name} answered {status}: {answer[:200]!r}")
            chain.tokens[place] = json.loads(answer)["refresh_token"]
            counted += 1
        connection.close()

    before, began = chain.server.cpu(), time.perf_counter()
    await asyncio.gather(*(one(place) for place in range(CLIENTS)))
    took = time.perf_counter() - began
    return counted / took, (chain.server.cpu() - before) / counted * 1e6


def _row(name: str, goal: float, peer: str, found: dict[str, list[tuple[float, float]]]) -> Row:
    ours, floor = found["ours"], found["floor"]
    rate = ratios([one[0] for one in ours], [one[0] for one in floor])
    return Row(
        name=name,
        value=ratios([one[1] for one in floor], [one[1] for one in ours]),
        unit="×",
        goal=goal,
        at_least=True,
        peer=peer,
        note=f"requests/s {rate.median:.2f} [{rate.p25:.2f}-{rate.p75:.2f}]: {spread([o[0] for o in ours]).median:.0f} "
        f"over {spread([f[0] for f in floor]).median:.0f}; CPU {spread([o[1] for o in ours]).median:.0f} over "
        f"{spread([f[1] for f in floor]).median:.0f} µs",
        details=found,
    )
