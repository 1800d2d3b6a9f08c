"""A retrofit that is killed at any moment goes on where it was."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ownership.estate import ANALYSES, DOCUMENTS, ORDERS, TABLES, build, people

KILLED = Path(__file__).with_name("killed.py")


@pytest.mark.req("L7")
@pytest.mark.attack("kill -9 between any two statements")
@pytest.mark.parametrize("mode", ["side", "column"])
def test_killed_at_every_step_and_resumed(database_url, tmp_path, mode):
    """Every step killed again and again: no row is lost, given twice or changed, and the way back is complete."""
    build(database_url)
    asyncio.run(people(database_url))
    command = [sys.executable, str(KILLED), database_url, mode, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr[-2000:] + run.stdout[-500:]
    told = json.loads(run.stdout)
    assert all(count >= 3 for count in told["kills"].values()), told
    for seen in told["seen"].values():
        assert seen["right"]
        assert seen["unchanged"]
        assert seen["given"] == dict(zip(TABLES, (ANALYSES, ORDERS, DOCUMENTS, 59), strict=True))
    assert told["as_before"]
