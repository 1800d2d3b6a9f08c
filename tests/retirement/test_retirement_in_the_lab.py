"""The laboratory's own key on its way out: its own check, adopted, does not carry it through a brownout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retirement.retiring_host import SECRET

pytestmark = pytest.mark.req("L1", "L12")
LAB = Path(__file__).parents[2] / "examples/lab"
KEY = "the-key-of-the-laboratory-0123456789abcdef"
SCRIPT = """
import sys
from fastapi.testclient import TestClient
from lab import database, seed
from lab.fitted import app, auth
from rimlock.cli.main import main
from concurrent.futures import ThreadPoolExecutor
from rimlock.testing import sign_in

old = {"X-API-Key": sys.argv[1]}

def run(*words):
    with ThreadPoolExecutor(1) as pool:  # a command has a loop of its own
        assert pool.submit(main, ["key", *words]).result() == 0, words

with TestClient(app) as client:
    ann = sign_in(auth, client, roles=["analyst"])
    def explore(headers): return client.get("/explorer/summary", headers=headers)
    seen = [explore(old).status_code, explore(ann.headers).status_code, explore({}).status_code]
    run("deprecate", "shared laboratory key", "--sunset", "2099-12-31", "--link", "https://lab.example/keys")
    told = explore(old)
    seen += [told.status_code, told.headers.get("sunset"), explore(ann.headers).headers.get("sunset")]
    seen += [client.get(path, headers=old).headers.get("sunset") for path in ("/analyses", "/")]
    run("brownout", "shared laboratory key", "--for", "1h")
    out = explore(old)
    seen += [out.status_code, "retry-after" in out.headers, explore(ann.headers).status_code]
    seen += [client.get("/analyses", headers=old).status_code]
    run("brownout", "shared laboratory key", "--abort")
    seen += [explore(old).status_code]
print("SEEN", seen)
"""
SUNSET = "Thu, 31 Dec 2099 23:59:59 GMT"


def test_the_shared_key_is_announced_browned_out_and_given_back(tmp_path):
    """Routes at optional refuse it, though the old check would let it pass; others, and people with a token, go on."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RIMLOCK_", "LAB_"))}
    ours = {
        "PYTHONPATH": str(LAB),
        "LAB_API_KEY": KEY,
        "LAB_DATABASE_URL": f"sqlite:///{tmp_path / 'lab.db'}",
        "RIMLOCK_CONFIG": str(LAB / "rimlock.toml"),
        "RIMLOCK_SECRETS": SECRET,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'rimlock.db'}",
    }
    command = [sys.executable, "-c", SCRIPT, KEY]
    done = subprocess.run(command, cwd=tmp_path, env={**clean, **ours}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = next(line for line in done.stdout.splitlines() if line.startswith("SEEN"))
    before = [200, 200, 401]
    announced = [200, SUNSET, None, SUNSET, SUNSET]
    assert seen == f"SEEN {[*before, *announced, 401, True, 200, 200, 200]}"
