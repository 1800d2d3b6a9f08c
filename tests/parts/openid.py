"""A certified OpenID provider: from the environment, or from npm by the lock in `tests/node`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from hashlib import sha256
from pathlib import Path
from urllib.error import URLError

from parts.ladder import Absent, Part, Rung, free_port, stop

__all__ = ["CLIENT", "RUNGS"]

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "tests" / "node"
HOME = ROOT / ".rimlock" / "node"
ENVIRONMENT = "RIMLOCK_TEST_OPENID_URL"
CLIENT = {
    "client_id": "rimlock-tests",
    "client_secret": "a secret of the tests: with a colon",
    "redirect_uris": [
        "https://api.example.com/auth/oauth/callback/google",
        "https://api.example.com/auth/oauth/callback/keycloak",
    ],
}
"""Our registration there; a provider that the environment names needs the same."""


def from_environment(_directory: Path) -> Part:
    """Use the provider that the environment names."""
    url = os.environ.get(ENVIRONMENT)
    if not url:
        raise Absent(f"{ENVIRONMENT} is not set")
    return Part(name="openid", url=url, source="environment")


def from_npm(directory: Path) -> Part:
    """Install what the lock names, once, and start it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Absent("neither node nor npm on PATH")
    home = _installed(npm)
    port = free_port()
    command = [node, "--no-warnings", "openid.mjs", str(port), json.dumps(CLIENT)]
    pid = _started(command, home, directory / "log")
    url = f"http://127.0.0.1:{port}"
    _until_ready(url, pid, directory / "log")
    version = json.loads((home / "node_modules/oidc-provider/package.json").read_text())["version"]
    return Part(name="openid", url=url, source="npm (oidc-provider)", version=version, pid=pid)


RUNGS: tuple[Rung, ...] = (from_environment, from_npm)


def _installed(npm: str) -> Path:
    """Return a folder with the packages of the lock; another lock has another folder."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    home = HOME / sha256(lock).hexdigest()[:12]
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "openid.mjs"):
        shutil.copy(SOURCE / name, home / name)
    if not (home / ".ready").exists():
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"npm ci ended with {done.returncode}: {done.stderr[-200:].strip()}")
        (home / ".ready").touch()
    return home


def _started(command: list[str], home: Path, log: Path) -> int:
    """Start a program that outlives this process, and return its number."""
    shell = ["sh", "-c", 'log="$1"; shift; "$@" >"$log" 2>&1 </dev/null & echo $!', "sh", str(log), *command]
    done = subprocess.run(shell, cwd=home, capture_output=True, text=True, check=True, start_new_session=True)
    return int(done.stdout)


def _until_ready(url: str, pid: int, log: Path, patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/.well-known/openid-configuration", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    stop(Part(name="openid", pid=pid))
    raise Absent(f"the provider did not answer within {patience:.0f} s: {log.read_text()[-200:].strip()}")
