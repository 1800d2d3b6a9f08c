"""The laboratory's own tests, unchanged, against the fitted laboratory at every stage."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from rimlock import DESKTOP_ORIGINS, Rimlock, Stage
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("L1", "L2")
LAB = Path(__file__).parents[2] / "examples/lab"
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
KEY = "the-key-of-the-laboratory-0123456789abcdef"
ROLES = '[roles]\nadmin = ["*"]\nanalyst = ["lab:use"]\n'


def run_suite(folder, app, **environment) -> tuple[int, int, str]:
    """Run the laboratory's tests as it does itself; return the exit code, how many passed, and what was said."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={LAB}"]
    command += ["-c", str(LAB / "pytest.ini"), "--import-mode=prepend", str(LAB / "tests")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RIMLOCK_", "LAB_", "PYTEST_"))}
    given = {"PYTHONPATH": str(LAB), "PYTHONDONTWRITEBYTECODE": "1", "LAB_APP": app, "LAB_API_KEY": KEY, **environment}
    done = subprocess.run(command, cwd=folder, env={**clean, **given}, capture_output=True, text=True, check=False)
    counted = re.search(r"(\d+) passed", done.stdout)
    return done.returncode, int(counted[1]) if counted else 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def unfitted(tmp_path_factory) -> int:
    """How many of the laboratory's tests pass without Rimlock."""
    code, passed, said = run_suite(tmp_path_factory.mktemp("unfitted"), "lab.main:app")
    assert code == 0, said
    return passed


def plain_users_header(environment) -> str:
    """Sign in somebody without any role, in the installation of this environment."""
    auth = Rimlock.from_env({**environment, "RIMLOCK_CREATE_TABLES": "yes"}, features=[])
    auth.install(FastAPI())
    headers = sign_in(auth).headers
    auth.database.close_now()
    return json.dumps(headers)


def installation(folder, rules) -> dict[str, str]:
    """The environment of an installation with these rules and a database of its own."""
    (folder / "rimlock.toml").write_text(rules)
    return {
        "RIMLOCK_CONFIG": str(folder / "rimlock.toml"),
        "RIMLOCK_SECRETS": SECRET,
        "RIMLOCK_ORIGINS": ",".join(DESKTOP_ORIGINS),
        "RIMLOCK_ACCESS_LIFETIME": "3600",
        "DATABASE_URL": f"sqlite:///{folder / 'rimlock.db'}",
    }


@pytest.mark.parametrize("stage", [Stage.OPEN, Stage.OBSERVE, Stage.OPTIONAL])
def test_no_caller_without_a_credential_notices_a_stage_before_required(tmp_path, unfitted, stage):
    """Every test of the laboratory passes, with every route at the stage and nobody signed in."""
    environment = installation(tmp_path, f'default = "{stage}"\n{ROLES}')
    code, passed, said = run_suite(tmp_path, "lab.fitted:app", **environment)
    assert (code, passed) == (0, unfitted), said


@pytest.mark.parametrize("stage", list(Stage))
def test_no_caller_with_a_credential_notices_any_stage(tmp_path, unfitted, stage):
    """Every test passes for a signed-in user, also where a credential is required; the old key is checked as ever."""
    environment = installation(tmp_path, f'default = "{stage}"\n{ROLES}')
    environment["LAB_TEST_HEADERS"] = plain_users_header(environment)
    code, passed, said = run_suite(tmp_path, "lab.fitted:app", **environment)
    assert (code, passed) == (0, unfitted), said


def test_without_a_credential_required_refuses_what_the_tests_ask(tmp_path, unfitted):
    """The stage is really in force in the runs above: without a credential nearly nothing passes."""
    environment = installation(tmp_path, f'default = "required"\n{ROLES}')
    code, passed, said = run_suite(tmp_path, "lab.fitted:app", **environment)
    assert code == 1, said
    assert passed < unfitted / 2


def test_the_laboratorys_own_rules_change_nothing_for_its_callers(tmp_path, unfitted):
    """The rule file as it ships, with the old key imported where keys are a feature."""
    environment = installation(tmp_path, (LAB / "rimlock.toml").read_text())
    code, passed, said = run_suite(tmp_path, "lab.fitted:app", **environment)
    assert (code, passed) == (0, unfitted), said


def test_fitting_adds_at_most_ten_lines():
    """The fitted module holds a docstring, imports and a few calls, and no line of the laboratory was changed."""
    source = (LAB / "lab/fitted.py").read_text()
    tree = ast.parse(source)
    lines = {
        number
        for node in tree.body[1:]
        if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    assert len(lines) <= 10
    others = [path for path in (LAB / "lab").rglob("*.py") if path.name != "fitted.py"]
    assert others
    assert not [path for path in others if "rimlock" in path.read_text().casefold()]
