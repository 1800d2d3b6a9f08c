"""Taking over the accounts of another system: how many in a second, and whether memory grows with them."""

from __future__ import annotations

from collections.abc import Iterator

import importing
from measuring import Row, Spread, skipped
from workspace import Workspace

__all__ = ["rows"]

SMALL = 5_000
GOAL_RATE, GOAL_GROWTH = 2_500, 25


def rows(space: Workspace) -> Iterator[Row]:
    """Measure both databases, and hold the memory against that of a small table."""
    number = space.rounds(100_000, 20_000)
    for kind in ("sqlite", "postgres"):
        if kind == "postgres" and not space.postgres:
            yield skipped("import of accounts on postgres", "/s", GOAL_RATE, "no PostgreSQL")
            continue
        with space.database(kind) as url:
            small = importing.measured(url, SMALL)
        with space.database(kind) as url:
            found = importing.measured(url, number)
            again = importing.again(url)
        if found.count != number:
            raise SystemExit(f"{found.count} of {number} accounts are on {kind}")
        yield Row(
            name=f"import of {number:,} accounts, {kind}: per second of processor",
            value=Spread(*[number / found.processor] * 3),
            unit="/s",
            goal=GOAL_RATE,
            at_least=True,
            note=f"by the clock {number / found.seconds:,.0f}/s; a second run {number / again:,.0f}/s",
        )
        yield Row(
            name=f"import of {number:,} accounts, {kind}: memory",
            value=Spread(*[found.memory - small.memory] * 3),
            unit="MiB",
            goal=GOAL_GROWTH,
            note=f"more than for {SMALL:,}; {found.memory:.0f} MiB in all",
        )
