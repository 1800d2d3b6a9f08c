"""Servers under test: started on a loopback port, pinned to a processor, their CPU time and memory read from procfs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

__all__ = ["BOTH", "CLIENT", "SERVER", "Server", "free_port", "memory", "uvicorn"]

HERE = Path(__file__).parent
_PROCESSORS = sorted(os.sched_getaffinity(0))
BOTH = set(_PROCESSORS)
SERVER = {_PROCESSORS[0]}
CLIENT = set(_PROCESSORS[1:]) or SERVER
"""One processor for the server, the others for whoever asks it."""


class Server:
    """One process under test. A context manager that ends what it started."""

    def __init__(
        self, name: str, command: Sequence[str], port: int, environment: Mapping[str, str], processors: set[int]
    ) -> None:
        self.name, self.port = name, port
        self._log = Path(environment["BENCH_LOGS"]) / f"{name}-{port}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **environment}, cwd=HERE, stdout=log, stderr=log, start_new_session=True
            )
        os.sched_setaffinity(self._process.pid, processors)

    def __enter__(self) -> Self:
        self.ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def ready(self, patience: float = 60.0) -> Server:
        """Wait until the port answers. Raises RuntimeError with the end of the server's log."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.5).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self
        self.stop()
        raise RuntimeError(f"{self.name} did not start: {self._log.read_text()[-1500:]}")

    def cpu(self) -> float:
        """CPU seconds used so far by all threads, as the scheduler counts them."""
        total = 0
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
        return total / 1e9

    def memory(self) -> float:
        """Resident memory in MiB."""
        return memory(self._process.pid)

    def stop(self) -> None:
        """End the session of processes this made."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
                try:
                    self._process.wait(8)
                except subprocess.TimeoutExpired:
                    continue
            return


def uvicorn(
    name: str,
    target: str,
    environment: Mapping[str, str],
    *,
    python: str = sys.executable,
    processors: set[int] = SERVER,
) -> Server:
    """Start one uvicorn worker for `target` (`module:app`, seen from this folder)."""
    port = free_port()
    command = [python, "-m", "uvicorn", target, "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    fast = ["--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
    return Server(name, command + fast, port, environment, processors)


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
