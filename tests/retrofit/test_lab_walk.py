"""The laboratory's whole way, by curl against real processes: fitted, turned, turned back, unfitted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

WALK = Path(__file__).parents[2] / "examples" / "lab" / "walk.sh"


@pytest.mark.req("L1")
@pytest.mark.req("L2")
@pytest.mark.req("L5")
@pytest.mark.req("L6")
@pytest.mark.req("L8")
def test_the_walk_meets_no_wrong_answer() -> None:
    """A live app is fitted, its routes are turned and turned back, and it runs unfitted on the same data again."""
    assert shutil.which("curl"), "the walk needs curl"
    done = subprocess.run(["bash", str(WALK)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.rstrip().endswith("All answers were right.")
