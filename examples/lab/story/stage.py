"""Where the story plays: a folder, a database, a server, the command line, and somebody who checks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).parents[1]
OLD_KEY = "old-laboratory-key-that-everybody-holds"
HOST_TABLES = ("analyses", "instruments")
Seals = dict[str, tuple[int, str]]
"""Rows and a checksum, by table."""


class Wrong(Exception):
    """Something in the story was not as it was to be."""


def check(holds: object, what: str, *found: object) -> None:
    """Go on, or stop the story here. Raises Wrong."""
    if not holds:
        raise Wrong(f"{what}: {found}" if found else what)
    print(f"  ok   {what}", flush=True)


def chapter(title: str) -> None:
    """Begin a part of the story."""
    print(f"\n— {title}", flush=True)


class Place:
    """One working folder with the laboratory's database in it."""

    def __init__(self, folder: Path) -> None:
        """Choose ports, names and the moment the story begins at: a day ago."""
        self.folder = folder
        self.port = _free_port()
        self.clock = folder / "clock"
        self.at(-24 * 3600)
        self.database = folder / "lab.db"
        url = f"sqlite:///{self.database}"
        shutil.copy(HERE / "rimlock.toml", folder / "rimlock.toml")
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(HERE),
            "LAB_DATABASE_URL": url,
            "DATABASE_URL": url,
            "LAB_API_KEY": OLD_KEY,
            "LAB_CLOCK": str(self.clock),
            "RIMLOCK_CONFIG": str(folder / "rimlock.toml"),
            "RIMLOCK_ISSUER": f"http://localhost:{self.port}",
        }
        self._server: subprocess.Popen[bytes] | None = None

    def at(self, seconds_from_now: float) -> None:
        """Move the clock of the server."""
        scratch = self.clock.with_suffix(".new")
        scratch.write_text(str(seconds_from_now))
        scratch.replace(self.clock)

    def serve(self, app: str) -> None:
        """Start the server, and wait until it answers."""
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(self.port), "--log-level", "warning"]
        self._server = subprocess.Popen([*command, "--no-proxy-headers"], cwd=self.folder, env=self.environment)
        until = monotonic() + 30
        while monotonic() < until:
            with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                return
            sleep(0.1)
        raise Wrong(f"{app} did not come up")

    def stop(self) -> None:
        """Stop the server in good order."""
        if self._server is not None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(timeout=30)
            self._server = None

    def run(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command. Raises Wrong for another exit code than `code`."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        if code is not None and done.returncode != code:
            raise Wrong(f"{' '.join(words)} ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def rimlock(self, *words: str, code: int | None = 0) -> str:
        """Run our command line and return what it said."""
        print(f"  $ rimlock {' '.join(words)}", flush=True)
        return self.run("rimlock", *words, code=code).stdout

    def asked(self, *words: str) -> Any:
        """Return what a command answers in JSON."""
        return json.loads(self.rimlock(*words, "--json"))

    def killed(self, *words: str, after: float) -> bool:
        """Start a command and kill it after so many seconds; say whether it was still running."""
        print(f"  $ rimlock {' '.join(words)}    (killed after {after:.2f} s)", flush=True)
        started = subprocess.Popen(
            ["rimlock", *words], cwd=self.folder, env=self.environment, stdout=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            started.wait(timeout=after)
            return False
        started.kill()
        started.wait()
        return True

    def host(self, *, without: tuple[str, ...] = ()) -> Seals:
        """Return rows and a checksum of every table of the laboratory. `without`: columns to leave out."""
        with sqlite3.connect(self.database) as connection:
            return {name: _sealed(connection, name, without) for name in HOST_TABLES}

    def tables(self) -> set[str]:
        """Return the names of all tables there are."""
        with sqlite3.connect(self.database) as connection:
            return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _sealed(connection: sqlite3.Connection, name: str, without: tuple[str, ...]) -> tuple[int, str]:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})") if row[1] not in without]
    seal, rows = sha256(), 0
    for row in connection.execute(f"SELECT {', '.join(columns)} FROM {name} ORDER BY id"):
        seal.update(repr(row).encode())
        rows += 1
    return rows, seal.hexdigest()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
