"""The shared list in Valkey or Redis: what is rung is heard, and nothing depends on it."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import redis
from fastapi import FastAPI
from fastapi.testclient import TestClient

from core.wire import Wire, until
from parts.ladder import free_port
from parts.valkey import PROGRAMS
from rimlock import CurrentPrincipal, Rimlock, Settings
from rimlock.core.bell_redis import RedisBell
from rimlock.core.errors import ConfigurationError
from rimlock.core.revocations import KEPT_SECONDS, Entry
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import sign_in

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
KEY = "rimlock:revocations"
NOW = 1_800_000_000
SESSION = "0123456789abcdef0123456789abcdef"


def entry(subject=SESSION, kind="session", value=0, at=NOW):
    """Return a line of the journal as it comes through the bell: without its place."""
    return Entry(0, kind, subject, value, at + KEPT_SECONDS)


@asynccontextmanager
async def listening(bell):
    """Listen in the background; yield what was heard, and how to wait for it."""
    heard, came = [], asyncio.Event()

    def hear(entries):
        heard.extend(entries)
        came.set()

    async def wait_for(wanted):
        async with asyncio.timeout(10):
            while wanted not in heard:
                came.clear()
                await came.wait()

    task = asyncio.create_task(bell.listen(hear))
    try:
        yield heard, wait_for
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.anyio
@pytest.mark.req("L5")
async def test_what_is_rung_is_kept_once_until_it_expires(redis_url):
    """The same line is one member, however often it is rung; what has expired is taken out with the next."""
    bell = RedisBell(redis_url)
    for line in (entry(at=NOW - 2 * KEPT_SECONDS), entry("u1", "user", 3), entry("u1", "user", 3), entry()):
        await bell.ring(line)
    with redis.Redis.from_url(redis_url) as client:
        kept = [json.loads(member) for member in client.zrange(KEY, 0, -1)]
        assert sorted(kept) == sorted(
            [["session", SESSION, 0, NOW + KEPT_SECONDS], ["user", "u1", 3, NOW + KEPT_SECONDS]]
        )
        assert client.expiretime(KEY) == NOW + KEPT_SECONDS


@pytest.mark.anyio
async def test_a_listener_hears_the_list_and_then_the_messages(redis_url):
    """What was rung before is read; changed rules are told as they happen and not again."""
    bell = RedisBell(redis_url)
    await bell.ring(entry())
    await bell.ring(entry("*", "rollout"))
    async with listening(RedisBell(redis_url)) as (heard, wait_for):
        await wait_for(entry())
        assert entry("*", "rollout") not in heard
        await bell.ring(entry("k1", "signing_key"))
        await wait_for(entry("k1", "signing_key"))


@pytest.mark.anyio
async def test_what_is_none_of_ours_silences_nothing(redis_url):
    """Members and messages of another form are passed over."""
    bell = RedisBell(redis_url)
    rubbish = [b"", b"{", b"[]", b"[1,2,3,4]", b'["session","zz",0,1]', b'["other","a",0,1]', b'["user","a",true,1]']
    with redis.Redis.from_url(redis_url) as client:
        client.zadd(KEY, dict.fromkeys([*rubbish, b"[" * 50_000], NOW))
        async with listening(bell) as (heard, wait_for):
            await bell.ring(entry("first", "key"))
            await wait_for(entry("first", "key"))
            for message in rubbish:
                client.publish(f"rimlock:journal:{urlsplit(redis_url).path.strip('/') or '0'}", message)
            await bell.ring(entry())
            await wait_for(entry())
            assert {one.kind for one in heard} == {"key", "session"}


@pytest.mark.anyio
async def test_what_was_rung_while_a_listener_was_away_is_read_when_it_is_back(redis_url):
    """A connection that breaks is made again, and the list is read again, since messages are told only once."""
    with Wire(redis_url) as wire:
        async with listening(RedisBell(wire.url)) as (_, wait_for):
            direct = RedisBell(redis_url)
            await direct.ring(entry())
            await wait_for(entry())
            await asyncio.to_thread(wire.cut)
            missed = entry("f" * 32)
            await direct.ring(missed)
            wire.mend()
            await wait_for(missed)


@pytest.mark.anyio
async def test_a_long_list_is_read_in_pieces(redis_url):
    """Ten thousand lines are heard completely."""
    with redis.Redis.from_url(redis_url) as client:
        lines = {
            json.dumps(["session", f"{number:032x}", 0, NOW], separators=(",", ":")): NOW for number in range(10_000)
        }
        client.zadd(KEY, lines)
    async with listening(RedisBell(redis_url)) as (heard, wait_for):
        await RedisBell(redis_url).ring(entry("last", "key"))
        assert await asyncio.to_thread(until, lambda: len({one.subject for one in heard}) == 10_001, 10)
        await wait_for(entry("last", "key"))


@pytest.mark.anyio
async def test_a_server_that_is_away_is_no_error_and_its_address_no_news(caplog):
    """Ringing returns, listening goes on; the log names the kind of failure and nothing of the address."""
    bell = RedisBell("redis://:hidden@127.0.0.1:1/0")
    with caplog.at_level(logging.DEBUG, "rimlock"):
        await bell.ring(entry())
        async with listening(bell) as (heard, _):
            assert await asyncio.to_thread(until, lambda: caplog.text.count("cannot be heard") >= 2, 10)
    assert heard == []
    assert "hidden" not in caplog.text
    assert "ConnectionError" in caplog.text


def test_a_bell_that_cannot_work_is_refused_when_it_is_made(monkeypatch):
    """An address of another kind, and a missing package, are told at construction, without the address."""
    with pytest.raises(ConfigurationError, match="redis_url is not understood") as refused:
        RedisBell("http://:hidden@127.0.0.1")
    assert "hidden" not in str(refused.value)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(ConfigurationError, match=r"rimlock\[redis\]"):
        RedisBell("redis://127.0.0.1")


class Server:
    """A server of this test's own, that can be killed and started again."""

    def __init__(self):
        self._port = free_port()
        self._program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self):
        command = [self._program, "--port", str(self._port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        assert until(self._answers, 10)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def _answers(self):
        try:
            with redis.Redis.from_url(self.url) as client:
                return client.ping()
        except redis.ConnectionError:
            return False


def process(url, bell, **settings):
    """Return an installation with a bell, and a client on a loop of its own."""
    chosen = {"secrets": [SECRET], "database": url, "create_tables": True, "redis_url": bell, "listen": False}
    auth = Rimlock(Settings(**chosen, **settings), features=[SessionsFeature()])
    app = FastAPI()

    @app.get("/mine")
    def mine(principal: CurrentPrincipal):
        return principal.subject

    auth.install(app)
    return auth, TestClient(app)


@pytest.mark.req("L5")
def test_without_its_bell_an_installation_polls_until_the_bell_is_back(postgres_url, redis_url):
    """Killed: logouts succeed and are seen by polling. Started again, empty: they are told by the bell once more."""
    if not any(map(shutil.which, PROGRAMS)):
        pytest.skip("no program to start a server of our own with")
    server = Server()
    here, client = process(postgres_url, server.url, poll_interval=timedelta(milliseconds=200))
    seldom = {"poll_interval": timedelta(hours=1), "max_staleness": timedelta(hours=1)}
    _, polling = process(postgres_url, server.url, poll_interval=timedelta(milliseconds=200))
    _, hearing = process(postgres_url, server.url, **seldom)

    def refused(reader, visitor):
        return reader.get("/mine", headers=visitor.headers).status_code == 401

    def sign_out():
        visitor = sign_in(here, client)
        assert client.post("/auth/logout", headers=visitor.headers).status_code == 204
        return visitor

    try:
        with client, polling, hearing:
            first = sign_out()
            assert until(lambda: refused(hearing, first))
            server.kill()
            second = sign_out()
            assert until(lambda: refused(polling, second))
            assert not refused(hearing, second), "it neither polls nor hears"
            server.start()
            assert until(lambda: refused(hearing, sign_out()), 20)
            assert refused(hearing, first)
    finally:
        server.kill()


def test_a_file_database_rings_for_others(sqlite_url, redis_url):
    """On SQLite nobody listens, but whoever shares the list hears of a logout."""
    auth, client = process(sqlite_url, redis_url)
    with client, redis.Redis.from_url(redis_url) as reader:
        visitor = sign_in(auth, client)
        client.post("/auth/logout", headers=visitor.headers)
        assert until(lambda: any(visitor.session_id in str(member) for member in reader.zrange(KEY, 0, -1)))
