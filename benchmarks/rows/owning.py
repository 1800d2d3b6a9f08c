"""What it costs to let a query return the caller's rows alone, against the same query narrowed by hand."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

from collections.abc import Iterator

import owned
from measuring import Row, ratios, spread
from sqlalchemy.orm import Session
from workspace import Workspace

__all__ = ["rows"]


def rows(space: Workspace) -> Iterator[Row]:
    """Ask the same questions in rounds, on a table with a hundred rows to each user."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with Session(owned.filled(space.rounds(100_000, 10_000))) as session, session.connection() as connection:
        for _ in range(space.rounds(9, 3)):
            for name, by_hand, narrowed, whole in owned.measured(connection, rounds=60):
                found.setdefault(name, []).append((by_hand, narrowed, whole))
    for name, times in found.items():
        by_hand, narrowed, whole = ([one[place] for one in times] for place in range(3))
        yield Row(
            name=f"owned(), {name} / narrowed by hand",
            value=ratios(narrowed, by_hand),
            unit="×",
            goal=1.15,
            note=f"{spread(by_hand).median:.0f} µs by hand; with the call of owned() {spread(whole).median:.0f} µs",
            details={"by hand": by_hand, "narrowed": narrowed, "whole": whole},
        )
