"""What taking over the accounts of another system costs: `python benchmarks/importing.py --rows 100000`.

A table of FastAPI Users is filled and taken over by the command, as an operator starts it, in a process of its own.
Printed are the rate and the peak of its memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import asyncpg

SECRET = "nF3vQ8mZpX2tLkR7wYbB5hJcD9sA4eUq6oGi0"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2Fs$" + "a" * 43
TABLE = (
    'CREATE TABLE "user" (id {key} PRIMARY KEY, email VARCHAR(320) NOT NULL UNIQUE, hashed_password VARCHAR(1024) '
    "NOT NULL, is_active BOOLEAN NOT NULL, is_superuser BOOLEAN NOT NULL, is_verified BOOLEAN NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class Import:
    """What was measured: seconds, those of the processor, MiB at the peak. `count`: accounts that were made."""

    seconds: float
    processor: float
    memory: float
    count: int


def measured(url: str, rows: int) -> Import:
    """Fill a table at `url`, and take it over into the same database."""
    fill(url, rows)
    rimlock(url, "db", "upgrade")
    began = time.monotonic()
    out, used = rimlock(url, "import", "fastapi-users", url, "--apply", "--json")
    seconds = time.monotonic() - began
    return Import(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, json.loads(out)["new"])


def again(url: str) -> float:
    """Return how long a second run takes, which finds everybody known."""
    began = time.monotonic()
    rimlock(url, "import", "fastapi-users", url, "--apply", "--json")
    return time.monotonic() - began


def rimlock(url: str, *arguments: str) -> tuple[str, resource.struct_rusage]:
    """Run a command; return its answer and what the process used."""
    environment = {**os.environ, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET}
    command = [sys.executable, "-m", "rimlock.cli", *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as run:
        out = run.stdout.read() if run.stdout else ""
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        raise SystemExit(f"{' '.join(arguments[:2])} failed")
    return out, used


def fill(url: str, rows: int) -> None:
    """Make the table of the source."""
    people = [
        (f"00000000-0000-4000-8000-{n:012d}", f"user{n}@example.com", HASH, True, False, True) for n in range(rows)
    ]
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(TABLE.format(key="CHAR(36)"))
            connection.executemany('INSERT INTO "user" VALUES (?, ?, ?, ?, ?, ?)', people)
    else:
        asyncio.run(_filled(url, people))


async def _filled(url: str, people: list[tuple[str, str, str, bool, bool, bool]]) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(TABLE.format(key="UUID"))
    await connection.copy_records_to_table("user", records=people)
    await connection.close()


def main() -> None:
    """Measure SQLite and print it."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rows", type=int, default=100_000)
    rows = asked.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'people.db'}"
        found = measured(url, rows)
        print(
            f"{rows / found.seconds:,.0f} rows/s, {found.memory:.0f} MiB; a second run {rows / again(url):,.0f} rows/s"
        )


if __name__ == "__main__":
    main()
