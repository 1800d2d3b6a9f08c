"""Counters of attempts in Valkey or Redis, by the same rules as in the database: one script takes every place, or none.

Threat: a server that is away and lets everybody guess; an address, which holds a password, in a log.
Source: https://limits.readthedocs.io (storages and their addresses); https://redis.io/docs/latest/develop/programmability/.

The package `limits` finds the server, also by Sentinel or in a cluster. Its own windows know no attempt that is still
under way, and count in one bucket at a time: the scripts here do both.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from rimlock.core.errors import ConfigurationError
from rimlock.core.limits_counting import HOLD_SECONDS, CountersDown, change_of, held, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.core.limits_counting import Bucket, Full, Outcome

__all__ = ["SharedCounters"]

PATIENCE = 2.0
"""Seconds the server may take to answer."""

PATIENCE_TO_FORGIVE = 60.0
"""Seconds it may take to look through every key it holds, those of others included: what an administrator asked for."""

MOST_AT_ONCE = 16
"""How many connections a process opens; who comes then waits for one of them."""

PAUSE = 1.0
"""Seconds during which it is not asked again once it did not answer: or every sign-in would wait for it."""

PREFIX = "{rimlock:limits}:"
"""In a cluster all counters of an attempt have to lie on one node."""

log = logging.getLogger("rimlock.limits")


class SharedCounters:
    """Implements `limits_counting.Counters`."""

    def __init__(self, url: str) -> None:
        """`url`: redis://, rediss://, redis+sentinel://, redis+cluster://, valkey://…  Raises ConfigurationError."""
        self._url = url
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        self._keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()
        self._doors: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self._away: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()
        _storage(url)

    async def take(self, buckets: Sequence[Bucket], now: int) -> Full | None:
        """See Counters.take."""
        given: list[int] = [now, HOLD_SECONDS]
        for bucket in buckets:
            given += [bucket.seconds, -1 if bucket.limit is None else bucket.limit]
        found = await self._run(_TAKE, buckets, given)
        rows = zip(buckets, found, strict=True)
        return judge(((bucket, hits, others, resets_at) for bucket, (hits, others, resets_at) in rows), now)

    async def settle(self, buckets: Sequence[Bucket], outcome: Outcome, *, since: int, now: int) -> tuple[Bucket, ...]:
        """See Counters.settle."""
        given: list[int] = [now, int(held(since, now))]
        for bucket in buckets:
            change = change_of(bucket, outcome)
            given += [bucket.seconds, change.hits, change.extends, change.clears]
        hits = await self._run(_SETTLE, buckets, given)
        return tuple(
            bucket for bucket, count in zip(buckets, hits, strict=True) if outcome == "failed" and count == bucket.limit
        )

    async def forgive(self, accounts: Sequence[str]) -> None:
        """See Counters.forgive."""

        async def work(client: Any) -> None:
            for account in accounts:
                async for key in client.scan_iter(match=f"{_escaped(PREFIX)}*@{account}*", count=5_000):
                    await client.delete(key)

        await self._ask(work, PATIENCE_TO_FORGIVE)

    async def _run(self, script: str, buckets: Sequence[Bucket], given: Sequence[int]) -> Any:
        keys = [f"{PREFIX}{bucket.key}" for bucket in buckets]
        return await self._ask(lambda client: client.eval(script, len(keys), *keys, *given))

    async def _ask(self, work: Any, patience: float = PATIENCE) -> Any:
        loop = asyncio.get_running_loop()
        async with self._doors.setdefault(loop, asyncio.Semaphore(MOST_AT_ONCE)):
            if self._away.get(loop, 0.0) > loop.time():
                raise CountersDown
            return await self._asked(loop, work, patience)

    async def _asked(self, loop: asyncio.AbstractEventLoop, work: Any, patience: float) -> Any:
        try:
            async with asyncio.timeout(patience):
                return await work(await self._client(loop))
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing was counted
            self._away[loop] = loop.time() + PAUSE
            log.error("the shared counters did not answer: %s", type(error).__name__)  # noqa: TRY400 - it may quote
            raise CountersDown from None

    async def close(self) -> None:
        """Give the connections of this loop back."""
        keeper = self._keepers.pop(asyncio.get_running_loop(), None)
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _client(self, loop: asyncio.AbstractEventLoop) -> Any:
        """Return the client of this loop: a connection belongs to the loop that opened it."""
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = _storage(self._url).bridge.get_connection()
            self._keepers[loop] = asyncio.create_task(self._keep(loop, client))
            await asyncio.sleep(0)  # a task that is cancelled before it began would never give anything back
        return client

    async def _keep(self, loop: asyncio.AbstractEventLoop, client: Any) -> None:
        """Close the connections when the loop ends, whoever ends it."""
        try:
            await loop.create_future()
        finally:
            self._clients.pop(loop, None)
            await client.aclose()


def _storage(url: str) -> Any:
    try:
        from limits.errors import ConfigurationError as NotConfigured
        from limits.storage import storage_from_string
    except ImportError:
        raise ConfigurationError("limits_url needs the limits package; install rimlock[limits]") from None
    if not url.startswith(("redis", "valkey")):
        raise ConfigurationError("limits_url is not understood; write redis://host:6379/0 or valkey://host:6379/0")
    options: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
    if url.startswith("redis"):
        options["implementation"] = "redispy"
    try:
        return storage_from_string(f"async+{url}", **options)
    except (NotConfigured, ValueError, ImportError):
        raise ConfigurationError("limits_url is not understood; write redis://host:6379/0 or rediss://…") from None


def _escaped(pattern: str) -> str:
    return pattern.replace("{", r"\{").replace("}", r"\}")


_TAKE = """
local now, hold = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, free = {}, true
for i, key in ipairs(KEYS) do
  local seconds, limit = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local row = redis.call('HMGET', key, 'hits', 'resets_at', 'pending', 'pending_until')
  local hits, resets = tonumber(row[1]) or 0, tonumber(row[2]) or 0
  local pending, ends = tonumber(row[3]) or 0, tonumber(row[4]) or 0
  if not (resets > now and resets - now <= 2 * seconds) then hits, resets = 0, now + seconds end
  if not (ends > now and ends - now <= 2 * hold) then pending = 0 end
  if limit >= 0 and hits + pending >= limit then free = false end
  found[i] = {hits, pending, resets}
end
if free then
  for i, key in ipairs(KEYS) do
    local seconds = tonumber(ARGV[1 + 2 * i])
    redis.call('HSET', key, 'hits', found[i][1], 'resets_at', found[i][3],
               'pending', found[i][2] + 1, 'pending_until', now + hold)
    redis.call('EXPIRE', key, found[i][1] == 0 and 2 * hold or 2 * seconds + hold)
  end
end
return found
"""

_SETTLE = """
local now, mine = tonumber(ARGV[1]), tonumber(ARGV[2])
local counted = {}
for i, key in ipairs(KEYS) do
  local at = 4 * i - 1
  local seconds, more = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local extends, clears = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local row = redis.call('HMGET', key, 'hits', 'resets_at', 'pending')
  local hits, resets, pending = tonumber(row[1]) or 0, tonumber(row[2]) or 0, tonumber(row[3]) or 0
  if not (resets > now and resets - now <= 2 * seconds) then hits, resets = 0, now + seconds end
  if extends == 1 then resets = now + seconds end
  if clears == 1 then hits = 0 else hits = hits + more end
  if mine == 1 and pending > 0 then pending = pending - 1 end
  if hits == 0 and pending == 0 then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'hits', hits, 'resets_at', resets, 'pending', pending)
    redis.call('EXPIRE', key, hits == 0 and 60 or 2 * seconds + 30)
  end
  counted[i] = hits
end
return counted
"""
