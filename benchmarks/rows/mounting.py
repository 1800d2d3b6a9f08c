"""What an installation costs the host's other routes: one open route, without it and with it, driven in process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measuring import Row, spread
from workspace import Workspace

__all__ = ["rows"]


def rows(space: Workspace) -> Iterator[Row]:
    """Run the comparison in a process of its own."""
    script = Path(__file__).parent.parent / "inprocess.py"
    command = [sys.executable, str(script), space.sqlite(), str(space.rounds(41, 15))]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    added = [ours - plain for ours, plain in zip(found["fitted"], found["plain"], strict=True)]
    yield Row(
        name="added to the host's other routes",
        value=spread(added),
        unit="µs",
        goal=2,
        peer="14-30 µs (routes mounted in front)",
        note=f"in process; the route itself takes {spread(found['plain']).median:.1f} µs",
        details=found,
    )
