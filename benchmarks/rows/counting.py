"""What counting adds to a request, where it adds most: every stage with every kind of caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from measuring import Row, spread
from workspace import Workspace

import usage

__all__ = ["rows"]


def rows(space: Workspace) -> Iterator[Row]:
    """Compare gates with and without counting, one right after the other."""
    logging.disable()
    loop = asyncio.new_event_loop()
    try:
        found = usage.measured(loop, str(space.folder), space.rounds(60, 15))
    finally:
        loop.close()
        logging.disable(logging.NOTSET)
    added = {
        name: spread([on - off for on, off in zip(sides[True], sides[False], strict=True)])
        for name, sides in found.items()
    }
    where = max(added, key=lambda name: added[name].median)
    yield Row(
        name="counting a request adds, at most",
        value=added[where],
        unit="µs",
        goal=usage.GOAL,
        note=f"CPU; where most: {where.replace('|', ', ')}; least {min(one.median for one in added.values()):.2f} µs",
        details={name: {"off": sides[False], "on": sides[True]} for name, sides in found.items()},
    )
