"""The pytest side: one private directory a run, parts stopped at its end, and the ledger printed last.

`REQUIRE_PARTS=all` turns a missing part from a skipped test into a failed one.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from parts.ledger import PROPERTY, Parts, as_table

PARTS: pytest.StashKey[Parts] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's directory, or, in a worker, take over the one that the main process made."""
    handed = getattr(config, "workerinput", {}).get("parts")
    directory = Path(handed or tempfile.mkdtemp(prefix="rimlock-parts-"))
    directory.chmod(0o711)
    config.stash[PARTS] = Parts(directory, owner=handed is None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the run's directory is."""
    node.workerinput["parts"] = str(node.config.stash[PARTS].directory)


@pytest.fixture(scope="session")
def parts(pytestconfig: pytest.Config) -> Parts:
    """What real parts this run can have."""
    return pytestconfig.stash[PARTS]


class Ledger:
    """Counts the tests that asked for a part, in the main process, from their reports."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: when it was called, or when it could not be."""
        if report.when != "call" and not (report.when == "setup" and not report.passed):
            return
        for name in {value for key, value in report.user_properties if key == PROPERTY}:
            self._parts.outcomes[str(name), "skipped" if report.skipped else "run"] += 1


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Count in the process that owns the run."""
    if session.config.stash[PARTS].owner:
        session.config.pluginmanager.register(Ledger(session.config.stash[PARTS]))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the ledger and leave a copy for machines in `build/parts.json`."""
    lines = config.stash[PARTS].ledger()
    copy = config.rootpath / "build" / "parts.json"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(json.dumps(lines, indent=2) + "\n")
    terminalreporter.section("parts")
    for line in as_table(lines):
        terminalreporter.write_line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what the run started, and leave nothing behind."""
    parts = config.stash.get(PARTS, None)
    if parts is None or not parts.owner:
        return
    parts.stop()
    shutil.rmtree(parts.directory, ignore_errors=True)
