"""What a backfill costs the people who use the application meanwhile: a million rows, readers and writers beside it."""

from __future__ import annotations

from collections.abc import Iterator

import backfill
from measuring import Row, Spread, quantile, skipped
from workspace import Workspace

__all__ = ["rows"]

SMALL = 20_000
GOAL_MILLISECONDS, GOAL_GROWTH = 250, 25


def rows(space: Workspace) -> Iterator[Row]:
    """Measure the column and the side table on both databases, and hold the memory against that of a small table."""
    number = space.rounds(1_000_000, 100_000)
    for kind in ("sqlite", "postgres"):
        if kind == "postgres" and not space.postgres:
            yield skipped("a backfill on postgres: slowest request beside it", "ms", GOAL_MILLISECONDS, "no PostgreSQL")
            continue
        small = _measured(space, kind, "column", SMALL).memory
        for mode in ("column", "side"):
            found = _measured(space, kind, mode, number)
            times = [one * 1000 for took in found.beside.values() for one in took]
            alone = max(one * 1000 for took in found.alone.values() for one in took)
            yield Row(
                name=f"backfill of {number:,} rows, {kind}, {mode}: slowest request",
                value=Spread(max(times), quantile(times, 0.5), quantile(times, 0.999)),
                unit="ms",
                goal=GOAL_MILLISECONDS,
                note=f"of {len(times):,}; beside it p50 and p99.9; without it {alone:.0f} ms; {found.rate:,.0f} rows/s",
                details={"alone": found.alone, "beside": found.beside, "right": found.right},
            )
            yield Row(
                name=f"backfill of {number:,} rows, {kind}, {mode}: memory",
                value=Spread(*[found.memory - small] * 3),
                unit="MiB",
                goal=GOAL_GROWTH,
                note=f"more than for {SMALL:,} rows; {found.memory:.0f} MiB in all",
            )


def _measured(space: Workspace, kind: str, mode: str, number: int) -> backfill.Backfill:
    with space.database(kind) as url:
        found = backfill.measured(url, mode, number, space.folder)
    if not found.right:
        raise SystemExit(f"the owners on {kind} are not right")
    return found
