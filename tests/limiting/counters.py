"""Counters of each kind, ready for a test."""

from __future__ import annotations

from contextlib import asynccontextmanager

from rimlock import migrations
from rimlock.core.engines import open_database
from rimlock.core.limits_counting import Bucket, SqlCounters
from rimlock.core.limits_redis import SharedCounters

NOW = 1_800_000_000


@asynccontextmanager
async def counting(url):
    """Yield counters in a fresh database, or in the Valkey or Redis at the URL."""
    if url.startswith("redis"):
        shared = SharedCounters(url)
        yield shared
        await shared.close()
        return
    await migrations.upgrade(url)
    database = open_database(url, lambda _: None)
    if hasattr(database, "open"):
        await database.open()
    yield SqlCounters(database)
    await database.close()


def bucket(name="one", *, kind="address", limit=5, seconds=60, **more):
    """Return a counter of five failures a minute, unless said otherwise."""
    return Bucket(key=f"{name}@0", kind=kind, limit=limit, seconds=seconds, **more)


async def fail(counters, *buckets, at=NOW, times=1):
    """Let attempts fail; return what the last of them made full."""
    reached = ()
    for _ in range(times):
        assert await counters.take(buckets, at) is None
        reached = await counters.settle(buckets, "failed", since=at, now=at)
    return reached
