"""What a backfill costs the people who use the application meanwhile: `python benchmarks/backfill.py --rows 1000000`.

A table is filled, readers and writers run as processes of their own, first alone and then beside `rimlock retrofit
backfill` as an operator starts it. Printed are their latencies, the rate and the peak memory of the backfill.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import quantiles
from typing import Any

READERS, WRITERS, REST = 2, 2, 0.004
SECRET = "nF3vQ8mZpX2tLkR7wYbB5hJcD9sA4eUq6oGi0"
ALONE_SECONDS = 10
COLUMNS = "id, sample, made_by, mass, note"
PLAN = """
[[table]]
name = "analyses"
mode = "{mode}"
index = false
[[table.rule]]
column = "made_by"
match = ["email", "username"]
"""


def main() -> None:
    """Measure and print a table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=1_000_000)
    asked.add_argument("--postgres", default=os.environ.get("RIMLOCK_TEST_POSTGRES_URL"))
    asked.add_argument("--mode", choices=("side", "column"), action="append")
    asked.add_argument("--only", choices=("sqlite", "postgres"))
    asked.add_argument("--journal", default="wal")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for mode in given.mode or ["side", "column"]:
            if given.only != "postgres":
                measure(f"sqlite:///{folder}/{mode}.db", mode, given.rows, Path(folder), given.journal)
            if given.postgres and given.only != "sqlite":
                url = f"{given.postgres.rpartition('/')[0]}/backfill_{mode}_{os.getpid()}"
                asyncio.run(administer(given.postgres, f"CREATE DATABASE backfill_{mode}_{os.getpid()}"))
                try:
                    measure(url, mode, given.rows, Path(folder), given.journal)
                finally:
                    asyncio.run(administer(given.postgres, f"DROP DATABASE backfill_{mode}_{os.getpid()} WITH (FORCE)"))


def measure(url: str, mode: str, rows: int, folder: Path, journal: str) -> None:
    """Measure one database in one mode, and print it."""
    found = measured(url, mode, rows, folder, journal)
    print(f"\n{url.partition(':')[0]}, {mode}, {rows} rows; apply with checksums {found.applied:.1f} s")
    print(f"backfill {found.seconds:.1f} s, {found.rate:.0f} rows/s, peak memory {found.memory:.0f} MiB")
    print(f"given {found.by}, owners right: {found.right}")
    print(f"{'ms':<10}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}{'requests':>10}")
    for name, times in {"alone": found.alone, "beside": found.beside}.items():
        for kind, took in times.items():
            print(f"{name + ' ' + kind:<16}" + shown(took))
    sys.stdout.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What was measured: seconds, rows per second, MiB, and the seconds that each request took."""

    applied: float
    seconds: float
    rate: float
    memory: float
    by: Any
    right: bool
    alone: dict[str, list[float]]
    beside: dict[str, list[float]]


def measured(url: str, mode: str, rows: int, folder: Path, journal: str = "wal") -> Backfill:
    """Fill a table, and give its rows owners while others read and write it."""
    fill(url, rows, journal)
    asyncio.run(accounts(url))
    plan = folder / "rimlock-ownership.toml"
    plan.write_text(PLAN.format(mode=mode))
    began = time.monotonic()
    rimlock(url, plan, "apply")
    applied = time.monotonic() - began
    alone = latencies(url, rows, lambda: time.sleep(ALONE_SECONDS))
    seen: dict[str, Any] = {}

    def work() -> None:
        before = time.monotonic()
        seen["out"], seen["rss"] = rimlock(url, plan, "backfill")
        seen["seconds"] = time.monotonic() - before

    beside = latencies(url, rows, work)
    checked, _ = rimlock(url, plan, "verify")
    return Backfill(
        applied=applied,
        seconds=seen["seconds"],
        rate=rows / seen["seconds"],
        memory=seen["rss"] / 1024,
        by=seen["out"]["items"][0]["by"],
        right=checked["right"],
        alone=alone,
        beside=beside,
    )


def shown(times: list[float]) -> str:
    """Return a line of the table."""
    cuts = quantiles(times, n=1000)
    found = (cuts[499], cuts[989], cuts[998], max(times))
    return "".join(f"{one * 1000:9.1f}" for one in found) + f"{len(times):10}"


def rimlock(url: str, plan: Path, step: str) -> tuple[Any, int]:
    """Run one step as an operator does; return its answer and the peak memory of the process in KiB."""
    command = [sys.executable, "-m", "rimlock.cli", "retrofit", step, "--plan", str(plan), "--json"]
    environment = {**os.environ, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET}
    told = plan.with_suffix(".err")
    with (
        told.open("w") as errors,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        out = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and step != "verify":
        raise SystemExit(f"{step} failed: {told.read_text()}")
    return json.loads(out), used.ru_maxrss


def latencies(url: str, rows: int, work: Any) -> dict[str, list[float]]:
    """Run readers and writers while `work` runs; return how long each of their requests took."""
    stop, queue = multiprocessing.Event(), multiprocessing.Queue()
    kinds = ["read"] * READERS + ["write"] * WRITERS
    load = [multiprocessing.Process(target=run, args=(url, rows, kind, n, stop, queue)) for n, kind in enumerate(kinds)]
    for one in load:
        one.start()
    time.sleep(1)
    try:
        work()
    finally:
        stop.set()
    times: dict[str, list[float]] = {"read": [], "write": []}
    for _ in load:
        kind, found = queue.get()
        times[kind] += found
    for one in load:
        one.join()
    return times


def run(url: str, rows: int, kind: str, seed: int, stop: Event, queue: Any) -> None:
    """Be one reader or writer until told to stop."""
    dice, times = random.Random(seed), []
    asyncio.run((requests_lite if url.startswith("sqlite") else requests_pg)(url, rows, kind, dice, stop, times))
    queue.put((kind, times[10:]))


async def requests_lite(url: str, rows: int, kind: str, dice: Any, stop: Event, times: list[float]) -> None:
    """Requests on SQLite, as an application makes them: a transaction each, waiting for the lock."""
    on = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30, isolation_level=None)
    while not stop.is_set():
        place, began = dice.randrange(1, rows), time.monotonic()
        if kind == "read":
            on.execute("SELECT * FROM analyses WHERE id BETWEEN ? AND ?", (place, place + 20)).fetchall()
        else:
            on.execute("BEGIN IMMEDIATE")
            on.execute("UPDATE analyses SET mass = mass + 1 WHERE id = ?", (place,))
            on.execute("COMMIT")
        times.append(time.monotonic() - began)
        time.sleep(REST)
    on.close()


async def requests_pg(url: str, rows: int, kind: str, dice: Any, stop: Event, times: list[float]) -> None:
    """The same on PostgreSQL; half of the writes are near where the backfill is at work."""
    import asyncpg

    on = await asyncpg.connect(url)
    while not stop.is_set():
        place, began = dice.randrange(1, rows), time.monotonic()
        if kind == "read":
            await on.fetch("SELECT * FROM analyses WHERE id BETWEEN $1 AND $2", place, place + 20)
        else:
            await on.execute("UPDATE analyses SET mass = mass + 1 WHERE id = $1", place)
        times.append(time.monotonic() - began)
        time.sleep(REST)
    await on.close()


def fill(url: str, rows: int, journal: str) -> None:
    """Make the table and fill it."""
    made = "CREATE TABLE analyses (id INTEGER PRIMARY KEY, sample TEXT, made_by TEXT, mass FLOAT, note TEXT)"
    if not url.startswith("sqlite"):
        return asyncio.run(fill_pg(url, made, rows))
    on = sqlite3.connect(url.removeprefix("sqlite:///"))
    on.execute("PRAGMA journal_mode=" + journal)
    on.execute(made)
    on.executemany(f"INSERT INTO analyses ({COLUMNS}) VALUES (?, ?, ?, ?, ?)", data(rows))
    on.commit()
    return on.close()


async def fill_pg(url: str, made: str, rows: int) -> None:
    """The same on PostgreSQL."""
    import asyncpg

    on = await asyncpg.connect(url)
    await on.execute(made)
    await on.copy_records_to_table("analyses", records=data(rows), columns=COLUMNS.split(", "))
    await on.execute("ANALYZE analyses")
    await on.close()


def data(rows: int) -> Any:
    """Rows whose makers are fifty people, strangers and nobody."""
    makers = [f"user{n}" for n in range(50)] + ["somebody else", None]
    return ((n, f"sample {n}", makers[n % len(makers)], n / 7, f"{n:>100}") for n in range(1, rows + 1))


async def accounts(url: str) -> None:
    """Make our tables and fifty accounts."""
    from rimlock import migrations
    from rimlock.core import accounts
    from rimlock.core.engines import open_database
    from rimlock.core.users import NewUser, OwnUsers

    await migrations.upgrade(url)
    database, users = open_database(url, lambda _: None), OwnUsers()

    def make(tx: Any) -> None:
        for n in range(50):
            user = users.create(tx, NewUser(email=f"user{n}@lab.example", username=f"user{n}"), 1)
            accounts.open_account(tx, user.id, now=1)

    await database.write(make)
    await database.close()


async def administer(url: str, statement: str) -> None:
    """Make or drop a database."""
    import asyncpg

    on = await asyncpg.connect(url)
    await on.execute(statement)
    await on.close()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
