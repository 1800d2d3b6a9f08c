"""What an authenticated request costs over the same request to the same application as it was."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from installation import Seeded, built, seed
from load import Load, get
from measuring import Row, interleaved, ratios, skipped, spread
from peers import installed
from serving import Server, uvicorn
from workspace import Workspace

__all__ = ["rows"]

TOKENS = 500
MEASURED = ("/gated", "/principal", "/user", "/ask/principal", "/ask/user")


@dataclass(frozen=True, slots=True)
class Variant:
    """One route of one server, asked with these headers in turn."""

    server: Server
    path: str
    headers: Path | None


def rows(space: Workspace) -> Iterator[Row]:
    """Measure the gate, the dependencies, API keys and the peers in the same rounds."""
    with ExitStack() as servers:
        variants, notes = _ours(space, servers)
        peers = _peers(space, servers)
        found = _measured({**variants, **peers}, space)
    best = _best_peer(found, peers)
    yield _row("gate alone, token cached: protected / open", "gated", 0.95, found, best)
    yield _row("with CurrentPrincipal, route open to the gate", "asked principal", 0.87, found, best)
    yield _row("with CurrentPrincipal, route required", "principal", 0.87, found, best)
    yield _row("with CurrentUser, route open to the gate", "asked user", 0.80, found, best)
    yield _row("with CurrentUser, route required", "user", 0.80, found, best)
    if "api key" in variants:
        yield _row("API key: protected / open", "api key", 0.90, found, "–")
    else:
        yield skipped("API key: protected / open", "×", 0.90, notes, at_least=True)


def _ours(space: Workspace, servers: ExitStack) -> tuple[dict[str, Variant], str]:
    database = space.sqlite()
    seeded, keys, note = asyncio.run(_prepared(database))
    bearer = space.headers([f"Authorization: Bearer {token}" for token in seeded.access])
    given = {**space.environment, "BENCH_DATABASE": database}
    plain = servers.enter_context(uvicorn("plain", "apps.plain:app", given))
    fitted = servers.enter_context(uvicorn("fitted", "apps.fitted:app", given))
    variants = {
        **{f"plain {path}": Variant(plain, path, bearer) for path in MEASURED},
        "gated": Variant(fitted, "/gated", bearer),
        "principal": Variant(fitted, "/principal", bearer),
        "user": Variant(fitted, "/user", bearer),
        "asked principal": Variant(fitted, "/ask/principal", bearer),
        "asked user": Variant(fitted, "/ask/user", bearer),
    }
    if keys:
        variants["api key"] = Variant(fitted, "/gated", space.headers([f"X-API-Key: {key}" for key in keys]))
    return variants, note


async def _prepared(database: str) -> tuple[Seeded, list[str], str]:
    from apikeys import made

    auth = built(database)
    await auth.start()
    seeded = await seed(auth, TOKENS)
    keys, note = await made(auth, TOKENS)
    await auth.stop()
    return seeded, keys, note


def _peers(space: Workspace, servers: ExitStack) -> dict[str, Variant]:
    variants = {}
    for name in ("fastapi-users", "fastapi-jwt", "authx"):
        python = installed(name)
        if python is None:
            continue
        tokens = space.folder / f"{name}.tokens"
        given = {**space.environment, "BENCH_TOKENS": str(tokens), "BENCH_FOLDER": str(space.folder)}
        try:
            server = servers.enter_context(
                uvicorn(name, f"apps.peer_{name.replace('-', '_')}:app", given, python=python)
            )
        except RuntimeError as failure:
            print(f"!! SKIPPED peer {name}: {failure}", flush=True)
            continue
        headers = space.headers([f"Authorization: Bearer {token}" for token in tokens.read_text().split()])
        variants[f"{name}: open"] = Variant(server, "/open", headers)
        variants[name] = Variant(server, "/gated", headers)
    return variants


def _measured(variants: dict[str, Variant], space: Workspace) -> dict[str, list[Load]]:
    for one in variants.values():
        get(one.server, one.path, one.headers, seconds=1)
    seconds = 1

    def measure(one: Variant) -> Load:
        found = get(one.server, one.path, one.headers, seconds=seconds)
        if found.bad:
            raise RuntimeError(f"{one.server.name} {one.path}: {found.bad} of {found.requests} answers were refusals")
        return found

    return interleaved({name: lambda one=one: measure(one) for name, one in variants.items()}, space.rounds(7, 3))


def _row(name: str, variant: str, goal: float, found: dict[str, list[Load]], peer: str) -> Row:
    base = {"asked principal": "/ask/principal", "asked user": "/ask/user", "api key": "/gated"}
    plain, ours = found[f"plain {base.get(variant, '/' + variant)}"], found[variant]
    by_cpu = ratios([one.cpu for one in plain], [one.cpu for one in ours])
    by_rate = ratios([one.per_second for one in ours], [one.per_second for one in plain])
    added = spread([one.cpu - two.cpu for one, two in zip(ours, plain, strict=True)])
    return Row(
        name=name,
        value=by_cpu,
        unit="×",
        goal=goal,
        at_least=True,
        peer=peer,
        note=f"requests/s {by_rate.median:.2f} [{by_rate.p25:.2f}-{by_rate.p75:.2f}]; +{added.median:.1f} µs CPU",
        details={"cpu_us": [one.cpu for one in ours], "open_cpu_us": [one.cpu for one in plain], "rate": by_rate},
    )


def _best_peer(found: dict[str, list[Load]], peers: dict[str, Variant]) -> str:
    said = []
    for name in peers:
        if f"{name}: open" not in peers:
            continue
        ratio = ratios([one.cpu for one in found[f"{name}: open"]], [one.cpu for one in found[name]])
        said.append((ratio.median, name))
    return ", ".join(f"{name} {ratio:.2f}" for ratio, name in sorted(said, reverse=True)) or "not installed"
