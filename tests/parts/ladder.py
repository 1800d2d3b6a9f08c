"""What a part is, how one is looked for, and how several test processes share it.

A part is looked for rung by rung; the first rung that yields it wins and every refusal is kept, so that the ledger
can say why a part is missing. The outcome is written to a file that all processes of one run read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Absent", "Part", "Rung", "climb", "free_port", "once", "recorded", "stop"]


class Absent(Exception):
    """This rung can't give the part; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that answers at `url`, or, when `url` is empty, a part that no rung could give.

    `source`: the rung it came from. `pid`: the process to end afterwards, None when it isn't ours.
    `tried`: one sentence per rung that could not give it.
    """

    name: str
    url: str = ""
    source: str = "missing"
    version: str = "-"
    pid: int | None = None
    stop_signal: int = signal.SIGTERM
    tried: Sequence[str] = field(default=())


Rung = Callable[[Path], Part]
"""Given a private directory, return the part or raise `Absent`."""


def climb(name: str, rungs: Sequence[Rung], directory: Path) -> Part:
    """Try the rungs in order and return the first part, or a missing one that tells what was tried."""
    tried: list[str] = []
    for rung in rungs:
        try:
            return rung(directory)
        except Absent as reason:
            tried.append(f"{rung.__name__.replace('_', ' ')}: {reason}")
    return Part(name=name, tried=tried)


def once(directory: Path, name: str, rungs: Sequence[Rung]) -> Part:
    """Climb for the first process of a run that asks; every other one reads what it found."""
    home = directory / name
    with _locked(directory / f"{name}.lock"):
        if not _record(directory, name).exists():
            home.mkdir(exist_ok=True)
            _record(directory, name).write_text(json.dumps(asdict(climb(name, rungs, home))))
    return recorded(directory, name)


def recorded(directory: Path, name: str) -> Part:
    """Return what a process of this run found under `name`; a missing part when nobody asked."""
    record = _record(directory, name)
    return Part(**json.loads(record.read_text())) if record.exists() else Part(name=name, source="not asked for")


def stop(part: Part, patience: float = 10.0) -> None:
    """End a part that this run started: politely, then, after `patience` seconds, not."""
    if part.pid is None:
        return
    for number in (part.stop_signal, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(part.pid, number)
        if _gone(part.pid, patience):
            return


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _record(directory: Path, name: str) -> Path:
    return directory / f"{name}.json"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _gone(pid: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _runs(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self").exists()
    return state != "Z"
