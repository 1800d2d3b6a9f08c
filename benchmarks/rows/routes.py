"""How long the audit of an application with 600 routes takes: the commands, as an operator or a pipeline runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from measuring import Row, spread
from workspace import Workspace

import audit

__all__ = ["rows"]


def rows(space: Workspace) -> Iterator[Row]:
    """Run the comparison in a process of its own."""
    script = Path(audit.__file__)
    command = [sys.executable, str(script), str(space.rounds(7, 3))]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(said.splitlines()[-1])
    alone = spread(found[audit.ALONE]).median
    for name in audit.COMMANDS:
        yield Row(
            name=f"{name}, 600 routes",
            value=spread(found[name]),
            unit="s",
            goal=audit.GOAL_SECONDS,
            note=f"CPU of the whole command; importing the application alone takes {alone:.2f} s",
            details={"seconds": found[name]},
        )
