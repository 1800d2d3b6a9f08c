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
from collections.abc import Callable
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple
from urllib.request import urlopen

HERE = Path(__file__).parents[1]
OLD_KEY = "old-laboratory-key-that-everybody-holds"
HOST_TABLES = ("analyses", "instruments")
NUMBERS = "sqlite_sequence"
HOUR = 3600
SOON = 3.0
"""Seconds that a change may take here. One second is promised; this machine may have other things to do."""


class Wrong(Exception):
    """Something in the story was not as it was to be."""


class Seal(NamedTuple):
    """What a table held: how many rows, the last id among them, and a checksum over all values."""

    rows: int
    last: int
    checksum: str


Seals = dict[str, Seal]


def check(holds: object, what: str, *found: object) -> None:
    """Go on, or stop the story here. Raises Wrong."""
    if not holds:
        raise Wrong(f"{what}: {found}" if found else what)
    print(f"  ok   {what}", flush=True)


def soon(holds: Callable[[], object], what: str) -> None:
    """Go on as soon as something holds, or stop the story when it takes too long. Raises Wrong."""
    began = monotonic()
    while not holds():
        if monotonic() - began > SOON:
            raise Wrong(f"{what}: not within {SOON:.0f} s")
        sleep(0.05)
    print(f"  ok   {what} (after {monotonic() - began:.1f} s)", flush=True)


def chapter(title: str) -> None:
    """Begin a part of the story."""
    print(f"\n— {title}", flush=True)


class Place:
    """One working folder with the laboratory's database in it."""

    def __init__(self, folder: Path) -> None:
        """Choose ports, names and the moment the story begins at: two days ago."""
        self.folder = folder
        self.port = _free_port()
        self.knocks = 0
        self.clock = folder / "clock"
        self.log = folder / "server.log"
        self.at(-48 * HOUR)
        self.database = folder / "lab.db"
        shutil.copy(HERE / "rimlock.toml", folder / "rimlock.toml")
        self.environment = self._environment(f"sqlite:///{self.database}")
        self._server: subprocess.Popen[bytes] | None = None

    def _environment(self, url: str) -> dict[str, str]:
        """Return the variables of every process here; what was set for another installation is not among them."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RIMLOCK_", "LAB_"))}
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(HERE),
            "LAB_DATABASE_URL": url,
            "DATABASE_URL": url,
            "LAB_API_KEY": OLD_KEY,
            "LAB_CLOCK": str(self.clock),
            "RIMLOCK_CONFIG": str(self.folder / "rimlock.toml"),
            "RIMLOCK_ISSUER": f"http://localhost:{self.port}",
        }

    def at(self, seconds_from_now: float) -> None:
        """Move the clock of the server."""
        scratch = self.clock.with_suffix(".new")
        scratch.write_text(str(seconds_from_now))
        scratch.replace(self.clock)

    def serve(self, app: str) -> None:
        """Start the server, and wait until it answers. `knocks` counts the requests that it answered to that end."""
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(self.port), "--log-level", "warning"]
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                [*command, "--no-proxy-headers"], cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        until = monotonic() + 30
        while monotonic() < until:
            with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                self.knocks += 1
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
        print(f"  $ rimlock {_typed(words)}", flush=True)
        done = self.run("rimlock", *words, code=code)
        return done.stdout if code == 0 else done.stdout + done.stderr

    def asked(self, *words: str) -> Any:
        """Return what a command answers in JSON."""
        return json.loads(self.rimlock(*words, "--json"))

    def killed(self, *words: str, step: Callable[[], object], after: float) -> bool:
        """Start a command and kill it so many seconds after its next step; say whether it was still running.

        `step`: what changes with each step that the command takes.
        """
        print(f"  $ rimlock {_typed(words)}    (kill -9, {after * 1000:.0f} ms after its next step)", flush=True)
        before = step()
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        started = subprocess.Popen(["rimlock", *words], cwd=self.folder, env=self.environment, **quiet)
        while started.poll() is None and step() == before:
            sleep(0.002)
        with suppress(subprocess.TimeoutExpired):
            started.wait(timeout=after)
            return False
        started.kill()
        started.wait()
        return True

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()

    def unfinished(self) -> int:
        """Return how many bytes were written beside the database file, also by what is not committed yet."""
        beside = self.database.with_name(f"{self.database.name}-wal")
        return beside.stat().st_size if beside.exists() else 0

    def host(self, *, without: tuple[str, ...] = (), like: Seals | None = None) -> Seals:
        """Seal every table of the laboratory. `without`: columns left out. `like`: only rows there were then."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            upto = {name: seal.last for name, seal in (like or {}).items()}
            return {name: _sealed(connection, name, without, upto.get(name, 2**62)) for name in HOST_TABLES}

    def tables(self) -> set[str]:
        """Return the names of all tables there are."""
        return {row[0] for row in self.ask("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def schema(self) -> list[tuple[str, ...]]:
        """Return everything the database was told to make, as it was told.

        SQLite puts the name of a table that it writes anew in quotation marks, and keeps a list of its own of
        numbers for tables like ours, which nobody can drop. Numbers in it would be something that was left behind.
        """
        told = self.ask("SELECT type, name, tbl_name, replace(sql, '\"', '') FROM sqlite_master ORDER BY 1, 2")
        kept = [row for row in told if row[1] != NUMBERS]
        if len(kept) == len(told):
            return kept
        return [*kept, *((NUMBERS, *map(str, row)) for row in self.ask(f"SELECT name, seq FROM {NUMBERS}"))]


def _typed(words: tuple[str, ...]) -> str:
    return " ".join(f'"{word}"' if " " in word else word for word in words)


def _sealed(connection: sqlite3.Connection, name: str, without: tuple[str, ...], upto: int) -> Seal:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})") if row[1] not in without]
    held, rows, last = sha256(), 0, 0
    query = f"SELECT id, {', '.join(columns)} FROM {name} WHERE id <= ? ORDER BY id"
    for row in connection.execute(query, (upto,)):
        held.update(repr(row[1:]).encode())
        rows, last = rows + 1, row[0]
    return Seal(rows, last, held.hexdigest())


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
