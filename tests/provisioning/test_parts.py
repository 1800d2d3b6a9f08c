"""The fixtures that stand under every other test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import anyio
import asyncpg
import pytest
import redis

from parts.ladder import Absent, Part, climb, once, recorded, stop


@pytest.mark.anyio
async def test_a_postgres_database_is_new_and_private(postgres_url):
    """A test gets a PostgreSQL database that holds nothing yet and takes tables."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("CREATE TABLE mark (id int)")
        assert (
            await connection.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_name = 'mark'") == 1
        )
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1
    finally:
        await connection.close()


@pytest.mark.anyio
async def test_a_postgres_database_is_dropped_under_open_connections(parts, request):
    """A connection that a test forgot does not keep its database alive."""
    from parts.postgres import Databases

    fresh = Databases(parts.use("postgres", request).url).fresh()
    url = next(fresh)
    forgotten = await asyncpg.connect(url)
    await anyio.to_thread.run_sync(fresh.close)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    forgotten.terminate()


@pytest.mark.parametrize("turn", [1, 2])
def test_a_redis_database_is_empty_each_time(redis_url, turn):
    """What one test leaves in Redis or Valkey is gone for the next one in the same process."""
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left behind", turn)


def test_both_kinds_of_database_come_in_turn(database_url, request):
    """`database_url` runs a test on SQLite and on PostgreSQL."""
    assert database_url.partition(":")[0] == {"sqlite": "sqlite", "postgres": "postgresql"}[request.node.callspec.id]


def test_the_clock_moves_only_by_hand(clock):
    """The frozen clock gives the same moment until a test advances it."""
    before = clock()
    assert clock() == before
    assert clock.advance(90) == before + 90
    assert clock() == before + 90


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_connections_that_leave_the_machine_are_refused(host):
    """A test that would reach another machine fails at once instead of depending on it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe, pytest.raises(ConnectionRefusedError, match="do not leave the machine"):
        probe.connect((host, 443))


def test_names_of_other_machines_are_not_looked_up():
    """Not even the name server hears of a test."""
    with pytest.raises(ConnectionRefusedError, match="do not leave the machine"):
        socket.getaddrinfo("accounts.example", 443)


def test_the_first_rung_that_holds_wins_and_refusals_are_kept(tmp_path):
    """A part comes from the first rung that has it; rungs behind it are not tried."""

    def empty(directory):
        raise Absent("nothing here")

    def full(directory):
        return Part(name="clockwork", url="x://y", source=str(directory))

    assert climb("clockwork", [empty, full, empty], tmp_path).source == str(tmp_path)
    assert climb("clockwork", [empty, empty], tmp_path) == Part(name="clockwork", tried=["empty: nothing here"] * 2)


def test_processes_of_one_run_start_a_part_once(tmp_path):
    """Eight processes that ask at the same moment find the same part, started by one of them."""
    program = (
        "import sys, pathlib, parts.ladder as l\n"
        "def rung(home):\n"
        "    with (home / 'starts').open('a') as f: f.write('x')\n"
        "    return l.Part(name='clockwork', url='x://y')\n"
        "print(l.once(pathlib.Path(sys.argv[1]), 'clockwork', [rung]).url)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    asking = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    assert [process.communicate()[0].strip() for process in asking] == ["x://y"] * 8
    assert (tmp_path / "clockwork" / "starts").read_text() == "x"


def test_a_missing_part_is_remembered_with_its_reasons(tmp_path):
    """The ladder is climbed once even when nothing is found, and the reasons survive."""

    def empty(directory):
        raise Absent("nothing here")

    once(tmp_path, "clockwork", [empty])
    assert not recorded(tmp_path, "clockwork").url
    assert recorded(tmp_path, "clockwork").tried == ["empty: nothing here"]


@pytest.mark.parametrize("deaf", [False, True])
def test_a_part_is_ended_by_its_process_id_even_when_deaf(deaf):
    """Stopping asks first and, when the process does not listen, insists."""
    plug = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if deaf else ""
    process = subprocess.Popen([sys.executable, "-c", f"{plug}print('up', flush=True); input()"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    process.stdout.readline()
    stop(Part(name="clockwork", pid=process.pid), patience=0.3)
    process.wait(timeout=10)  # on a busy machine the end itself takes a moment
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize(("demand", "outcome"), [("", "skipped"), ("all", "failed")])
def test_a_missing_part_is_loud(tmp_path, demand, outcome):
    """Without a part a test is skipped with the reason; where parts are required it fails, and the ledger names it."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text("pytest_plugins = ['parts.plugin']\n")
    (tmp_path / "test_it.py").write_text(
        "from parts import ledger\n"
        "ledger.RUNGS['redis'] = ()\n"
        "def test_it(parts, request):\n"
        "    parts.use('redis', request)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "REQUIRE_PARTS": demand}
    environment.pop("PYTEST_XDIST_WORKER", None)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, f"1 {outcome}" in run.stdout) == (1 if demand else 0, True), run.stdout
    ledger = {line["name"]: line for line in json.loads((tmp_path / "build" / "parts.json").read_text())}
    assert ledger["redis"]["source"] == "missing"
    assert ledger["redis"]["run" if demand else "skipped"] == 1


def test_results_of_several_runs_are_added_up(tmp_path):
    """One line says how a whole `make test` went: errors count as failures, skipped tests are named."""
    for number, attributes in enumerate(['tests="5" failures="1" errors="1" skipped="1"', 'tests="4"']):
        (tmp_path / f"{number}.xml").write_text(f"<testsuites><testsuite {attributes}/></testsuites>")
    program = Path(__file__).parents[1] / "parts" / "total.py"
    run = subprocess.run(
        [sys.executable, program, *sorted(tmp_path.iterdir())], capture_output=True, text=True, check=True
    )
    assert run.stdout == "6 passed, 2 failed, 1 skipped\n"
