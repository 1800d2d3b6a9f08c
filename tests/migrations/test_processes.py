"""Several processes at once, and a process that is killed in the middle."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url

from migrations.neighbourhood import definitions, fill_host, fill_ours, on, row_counts, seals, tables
from rimlock import migrations
from rimlock.core import schema

FIRST, SECOND, THIRD = 9 + 5, 6 + 7 + 5 + 1 + 1, 4 + 4 + 1 + 2
"""Statements of the revisions: tables and indexes; tables, indexes, columns, rows carried over, a table dropped."""

STATEMENTS = {
    "upgrade": 1 + FIRST + 1 + SECOND + 1 + THIRD + 1,
    "downgrade": (2 + 1 + 4) + 1 + (1 + 1 + 5 + 6) + 1 + 9 + 1 + 1,
}
"""How many statements change something, the version table and its row included."""

KILLED = """
import asyncio, os, signal, sys
from sqlalchemy import Engine, event
from rimlock import migrations

url, step, last = sys.argv[1], getattr(migrations, sys.argv[2]), int(sys.argv[3])
changes = []

@event.listens_for(Engine, "after_cursor_execute")
def count(connection, cursor, statement, *rest):
    if statement.split()[0].upper() in ("CREATE", "DROP", "ALTER", "INSERT", "UPDATE", "DELETE"):
        changes.append(statement)
    if len(changes) == last:
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(step(url))
print(len(changes))
"""

TOGETHER = """
import asyncio, sys
import alembic.command
from rimlock import migrations

print("ready", flush=True)
sys.stdin.readline()
for step in sys.argv[2:]:
    print(asyncio.run(getattr(migrations, step)(sys.argv[1])))
"""


def change_and_die(url: str, step: str, last: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, url, step, str(last)], capture_output=True, text=True, check=False
    )


def four_at_once(url: str, *steps: str) -> list[str]:
    """Start four processes, let them go together, and return what each says."""
    command = [sys.executable, "-c", TOGETHER, url, *steps]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, **streams) for _ in range(4)]  # type: ignore[call-overload]
    assert [process.stdout.readline() for process in started] == ["ready\n"] * 4
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0] * 4
    return said


async def look(url: str) -> list[object]:
    looks: tuple[Callable[[Connection], object], ...] = (tables, definitions, row_counts, seals)
    return [await on(url, each) for each in looks]


@pytest.mark.req("L7")
@pytest.mark.parametrize("last", [2, STATEMENTS["upgrade"]])
@pytest.mark.anyio
async def test_killed_on_the_way_up(database_url: str, last: int) -> None:
    """A process killed after any statement of an upgrade leaves the host's tables alone, and the next one succeeds."""
    await on(database_url, fill_host)
    before = await look(database_url)
    assert change_and_die(database_url, "upgrade", last).returncode == -signal.SIGKILL
    assert await migrations.current(database_url) is None
    assert await look(database_url) == before
    await migrations.upgrade(database_url)
    assert await migrations.current(database_url) == migrations.head()


@pytest.mark.req("L7")
@pytest.mark.parametrize("last", [5, STATEMENTS["downgrade"]])
@pytest.mark.anyio
async def test_killed_on_the_way_down(database_url: str, last: int) -> None:
    """A process killed after any statement of a downgrade leaves every table and row as they were."""
    await on(database_url, fill_host)
    await migrations.upgrade(database_url)
    # More than SQLite keeps in memory, so that changes reach the file before the commit.
    await on(database_url, lambda connection: fill_ours(connection, rows=3_000))
    before = await look(database_url)
    assert change_and_die(database_url, "downgrade", last).returncode == -signal.SIGKILL
    assert await migrations.current(database_url) == migrations.head()
    assert await look(database_url) == before


@pytest.mark.parametrize("step", ["upgrade", "downgrade"])
@pytest.mark.anyio
async def test_the_counts_above_are_right(database_url: str, step: str) -> None:
    """The last statement at which the tests above kill is the last one there is."""
    if step == "downgrade":
        await migrations.upgrade(database_url)
    told = change_and_die(database_url, step, STATEMENTS[step] + 1)
    assert told.stdout.strip() == str(STATEMENTS[step])


@pytest.mark.anyio
async def test_four_create_at_once(database_url: str) -> None:
    """Of four processes that find no tables, exactly one makes them."""
    assert sorted(four_at_once(database_url, "create_if_absent")) == ["False", "False", "False", "True"]
    assert await migrations.current(database_url) == migrations.head()


@pytest.mark.anyio
async def test_four_create_at_once_on_a_strict_server(postgres_url: str) -> None:
    """A server whose transactions see the past by default does not keep the waiting from seeing what was made."""
    name = make_url(postgres_url).database
    strict = f"ALTER DATABASE \"{name}\" SET default_transaction_isolation TO 'serializable'"
    await on(postgres_url, lambda connection: connection.exec_driver_sql(strict))
    assert sorted(four_at_once(postgres_url, "create_if_absent")) == ["False", "False", "False", "True"]


@pytest.mark.anyio
async def test_four_migrate_at_once(database_url: str) -> None:
    """Four processes that go up, down and up again, in each other's way, all succeed and leave the newest schema."""
    four_at_once(database_url, "upgrade", "downgrade", "upgrade")
    assert await on(database_url, tables) == {*schema.metadata.tables, schema.VERSION_TABLE}
    assert await on(database_url, lambda connection: row_counts(connection)[schema.VERSION_TABLE]) == 1


@pytest.mark.anyio
async def test_several_in_one_process(postgres_url: str, tmp_path: Path) -> None:
    """Migrations of several databases asked for at once in one process do not mix."""
    urls = [f"sqlite:///{tmp_path / name}.db" for name in "abc"] + [postgres_url, postgres_url]
    await asyncio.gather(*(migrations.upgrade(url) for url in urls))
    assert {await migrations.current(url) for url in urls} == {migrations.head()}
