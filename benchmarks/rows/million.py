"""A million revoked sessions: what they take, how fast a process knows them, and whether a request notices."""

# ruff: noqa: RUF001 - signs of the table

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measuring import Row, ratios, spread
from workspace import Workspace

__all__ = ["rows"]


def rows(space: Workspace) -> Iterator[Row]:
    """Run the measurement in processes of their own, whose memory is nobody else's."""
    count = 200_000 if space.quick else 1_000_000
    script = Path(__file__).parent.parent / "revoked.py"
    database = space.sqlite()
    subprocess.run([sys.executable, str(script), "fill", database, str(count)], check=True)
    runs = [_asked(script, database, count) for _ in range(space.rounds(3, 2))]
    scale = 1_000_000 / count
    yield Row(
        name=f"bytes for each of {count:,} revoked sessions",
        value=spread([run["traced"] for run in runs[:1]]),
        unit="B",
        goal=120,
        note=f"tracemalloc; resident size grew by {spread([run['resident'] for run in runs]).median:.0f} B each",
        details={"runs": runs},
    )
    yield Row(
        name="warm-up with a million revoked sessions, SQLite",
        value=spread([run["seconds"] * scale for run in runs]),
        unit="s",
        goal=1,
        note="by the follower itself" + ("" if scale == 1 else f"; measured with {count:,}, scaled up"),
        details={"runs": runs},
    )
    yield Row(
        name=f"hit cost with {count:,} revoked sessions / with none",
        value=ratios([run["hit"] for run in runs], [run["hit_before"] for run in runs]),
        unit="×",
        goal=1.2,
        note=f"{spread([run['hit_before'] for run in runs]).median:.2f} µs for a recalled token",
        details={"runs": runs},
    )


def _asked(script: Path, database: str, count: int) -> dict[str, float]:
    command = [sys.executable, str(script), "measure", database, str(count)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found
