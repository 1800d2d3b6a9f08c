"""The SaaS API of `examples/launch`: its own tests, and the whole way by curl against real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.req("F1", "F2", "F3", "F4")
LAUNCH = Path(__file__).parents[3] / "examples" / "launch"


@pytest.mark.part("openid")
def test_the_walk_meets_no_wrong_answer(parts, request) -> None:
    """Account, mail, tokens, plan, forgotten password and Google, by real servers; nothing secret is written down."""
    parts.use("openid", request)  # so that the packages lie there, or the test is told from a failed one
    assert shutil.which("curl"), "the walk needs curl"
    done = subprocess.run(["bash", str(LAUNCH / "walk.sh")], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.rstrip().endswith("All answers were right.")


def test_the_examples_own_tests_pass(tmp_path) -> None:
    """Those the documents show among them."""
    environment = {**os.environ, "PYTHONPATH": str(LAUNCH)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--rootdir=.",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path}/t",
    ]
    done = subprocess.run(
        command, cwd=LAUNCH, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
