"""Whatever `rimlock doctor` and `rimlock routes` may find stands on the page about it."""

from __future__ import annotations

import ast
import re
from typing import get_args

import pytest

from docs.pages import ROOT
from rimlock.retrofit.audit import judging

CHECKS = [*sorted((ROOT / "src/rimlock/retrofit/checks").glob("*.py")), ROOT / "src/rimlock/cli/doctor.py"]
BUILT = {("plain keys", "warn"), ("plain passwords", "fail"), ("host migrations", "fail"), ("host migrations", "warn")}
BUILT |= {("path guards", "fail"), ("path guards", "warn"), ("clocks", "fail")}
"""What is put together out of parts, so that the source does not name it in one piece."""


def test_the_page_names_every_finding_of_doctor_with_its_state():
    """A finding without a row sends its reader away with nothing; a row without a finding is a promise nobody keeps."""
    wrong = {(name, state) for name, state in made() | BUILT if state != "ok"}
    told = {(name, state) for name, states in rows("check-an-installation.md") for state in states.split(", ")}
    assert len(made()) > 30
    assert wrong <= told
    assert {name for name, _ in told} <= {name for name, _ in made() | BUILT}


@pytest.mark.req("L8")
def test_the_page_names_every_finding_of_the_route_audit():
    """Each kind of remark has a row, and no row has a kind that there is not."""
    kinds = set(get_args(judging.Kind))
    assert {name for name, _ in rows("audit-the-routes.md")} == kinds


def made() -> set[tuple[str, str]]:
    """Return the findings that the source names: each with its state."""
    calls = [node for file in CHECKS for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    findings = [call.args[:2] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Finding"]
    return {
        (name.value, state.value)
        for name, state in findings
        if isinstance(name, ast.Constant) and isinstance(state, ast.Constant)
    }


def rows(page: str) -> list[tuple[str, str]]:
    """Return the first name and the second cell of each row of a page's table of findings."""
    text = (ROOT / "docs/how-to" / page).read_text(encoding="utf-8")
    table = text[text.index("| Finding |") :].partition("\n\n")[0]
    return re.findall(r"^\| `([^`]+)`[^|]*\| ([^|]+?) \|", table, re.MULTILINE)
