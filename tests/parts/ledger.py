"""What one run may ask parts of, and the account of who did."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from parts import openid, postgres, valkey
from parts.ladder import Part, Rung, once, recorded, stop

__all__ = ["PROPERTY", "RUNGS", "Parts", "as_table"]

RUNGS: dict[str, tuple[Rung, ...]] = {
    "postgres": postgres.RUNGS,
    "redis": valkey.RUNGS,
    "openid": openid.RUNGS,
}
HEADER = ("PART", "SOURCE", "VERSION", "TESTS RUN", "TESTS SKIPPED")
COLUMNS = ("name", "source", "version", "run", "skipped")
PROPERTY = "part"


class Parts:
    """What this test process may ask parts of, and what the run as a whole has used."""

    def __init__(self, directory: Path, *, owner: bool) -> None:
        self.directory = directory
        self.owner = owner
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def use(self, name: str, request: pytest.FixtureRequest) -> Part:
        """Return the part for the asking test; without one, skip the test or, when parts are required, fail it."""
        request.node.user_properties.append((PROPERTY, name))
        part = once(self.directory, name, RUNGS[name])
        if part.url:
            return part
        reason = f"no {name}: " + "; ".join(part.tried)
        if os.environ.get("REQUIRE_PARTS") == "all":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)

    def ledger(self) -> list[dict[str, Any]]:
        """Return one line per known part: what was found, and how many tests ran on it or had to do without."""
        return [self._line(recorded(self.directory, name)) for name in RUNGS]

    def stop(self) -> None:
        """End what this run started."""
        for name in RUNGS:
            stop(recorded(self.directory, name))

    def _line(self, part: Part) -> dict[str, Any]:
        counts = {outcome: self.outcomes[part.name, outcome] for outcome in ("run", "skipped")}
        shown = {key: value for key, value in asdict(part).items() if key in {"name", "source", "version", "tried"}}
        return {**shown, **counts}


def as_table(ledger: list[dict[str, Any]]) -> list[str]:
    """Set the ledger out in columns, with the reasons under it for what is missing."""
    rows = [HEADER, *(tuple(str(line[column]) for column in COLUMNS) for line in ledger)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    missing = (line for line in ledger if line["source"] == "missing")
    return table + [f"  no {line['name']}: {reason}" for line in missing for reason in line["tried"]]
