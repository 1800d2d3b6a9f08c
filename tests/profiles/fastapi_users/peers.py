"""FastAPI Users itself, in an environment of its own under `.rimlock/contract/`, and servers that answer for tests."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Answer", "ask", "python_of_theirs", "serving"]

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".rimlock" / "contract"
THEIRS = "fastapi-users[sqlalchemy]==15.0.5"
"""The version whose answers are the contract."""

PATIENCE = 60.0


@dataclass(frozen=True)
class Answer:
    """What a server said. `headers`: every one of them, in lower case, as often as it was sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body, read."""
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """Return a header, empty where there is none."""
        return next((value for known, value in self.headers if known == name), "")


def python_of_theirs() -> str:
    """Return the Python that has FastAPI Users, made where it is missing. Without it, skip or fail, loudly."""
    wanted = [THEIRS, "aiosqlite", "uvicorn", *_dependencies()]
    key = hashlib.sha256("|".join((*wanted, sys.version)).encode()).hexdigest()[:12]
    place = CACHE / f"fastapi-users-{key}"
    python = str(place / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        _install(place, python, wanted)
        (place / "ready").touch()
    return python


def _dependencies() -> list[str]:
    """Return what Rimlock needs, which runs there too; it is run from the working tree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [str(one) for one in project["dependencies"]]


def _install(place: Path, python: str, wanted: list[str]) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    uv = shutil.which("uv")
    make = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    fill = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
    for command in ([*make, str(place)], [*fill, *wanted]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            _missing(f"{THEIRS} cannot be installed, and the contract with it is not tested: {done.stderr[-300:]}")


def _missing(reason: str) -> None:
    sys.__stderr__.write(f"\n!! {reason}\n")
    if os.environ.get("REQUIRE_PARTS") == "all":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def serving(python: str, target: str, folder: Path, at: Path, **environment: str) -> Iterator[str]:
    """Run an application in a process of its own, from the folder `at`; yield `host:port`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = os.pathsep.join((str(at), str(ROOT / "src")))
    env = {**os.environ, "PYTHONPATH": path, "FOLDER": str(folder), **environment}
    command = [python, "-m", "uvicorn", target, "--port", str(port), "--log-level", "warning"]
    log = folder / f"{target.partition(':')[0]}-{port}.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=output) as process,
    ):
        try:
            _wait(process, port, log)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")


def ask(place: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """Send one request and return what was said."""
    connection = http.client.HTTPConnection(place, timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        found = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, found, response.read())
    finally:
        connection.close()
