"""Real server processes that count: stopped in an orderly way they lose nothing, and together they add up."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
from sqlalchemy import create_engine, make_url, text

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
SITE = """
import os

from fastapi import FastAPI

from rimlock import Rimlock

app = FastAPI()


@app.get("/who")
async def who():
    return os.getpid()


auth = Rimlock.from_env(features=[])
auth.install(app)
"""


@contextmanager
def serving(tmp_path, url, workers):
    """Run uvicorn on the application until it answers; yield (port, process)."""
    (tmp_path / "site_that_counts.py").write_text(SITE)
    env = {**os.environ, "DATABASE_URL": url, "RIMLOCK_SECRETS": SECRET, "RIMLOCK_CREATE_TABLES": "1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "site_that_counts:app", "--port", str(port), "--workers", str(workers)]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        end = monotonic() + 40
        while ask(port, "/ready")[0] != 404:
            assert monotonic() < end, (tmp_path / "server.log").read_text()
            sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def ask(port, path):
    """Send one request on a connection of its own; status 0 when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers={"Connection": "close", "User-Agent": "curl/8"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def on_record(url):
    """Return how many requests to the route are in the table, and how many processes wrote."""
    made = make_url(url)
    plain = made.set(drivername="postgresql+asyncpg") if made.get_backend_name() == "postgresql" else made
    if plain.get_backend_name() == "postgresql":
        return _by_asyncpg(made.render_as_string(hide_password=False))
    engine = create_engine(plain)
    with engine.connect() as connection:
        found = tuple(connection.execute(text(_QUERY)).one())
    engine.dispose()
    return found


def _by_asyncpg(url):
    import asyncio

    import asyncpg

    async def look():
        connection = await asyncpg.connect(url)
        row = await connection.fetchrow(_QUERY)
        await connection.close()
        return row[0], row[1]

    return asyncio.run(look())


_QUERY = """
SELECT (SELECT coalesce(sum(requests), 0) FROM auth_usage WHERE path = '/who'), (SELECT count(*) FROM auth_usage_batch)
"""


@pytest.mark.req("L3", "N8")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_is_told_to_stop_writes_what_it_counted(tmp_path, database_url, workers):
    """SIGTERM right after the last answer, well within the second that a flush waits: every request is on record."""
    with serving(tmp_path, database_url, workers) as (port, process):
        pids, asked, end = set(), 0, monotonic() + 20
        while (len(pids) < workers or asked < 40) and monotonic() < end:
            status, body = ask(port, "/who")
            assert status == 200
            pids.add(body)
            asked += 1
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    assert len(pids) == workers
    total, writers = on_record(database_url)
    assert total == asked
    assert writers >= workers
