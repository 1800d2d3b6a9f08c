"""The journal told through Valkey or Redis: a shared list that expires by itself, and a bell that announces it.

Threat: a process that comes back and missed what was rung meanwhile; an address, which holds a password, in a log.
Source: https://redis.io/docs/latest/develop/pubsub/ (messages are told at most once), ZSCAN's guarantees.

The database keeps the journal; this is the faster way to hear of it. A message missed is found in the list, and a
list that is gone is made up for by polling: nothing here can fail a request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import urlsplit

from rimlock.core.errors import ConfigurationError
from rimlock.core.revocations import KEPT_SECONDS, Entry, Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["RedisBell"]

PATIENCE = 2.0
"""Seconds a server may take to answer; a ring that takes longer is given up."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between attempts to reach a server that is away: doubled each time, up to the longest."""

HEARTBEAT = 1.0
"""Seconds without a message after which the server is asked for a sign of life."""

PAGE = 1_000
LISTED = frozenset({"session", "user", "key"})
"""What the list is read for: what stays true. Changed rules and signing keys are read from the database anyway."""

_SESSION = re.compile(r"[0-9a-f]{32}")
log = logging.getLogger("rimlock.bell")


class RedisBell:
    """One shared list under `<name>:revocations`, and one channel. Implements `core.follower.Bell`."""

    def __init__(self, url: str, *, name: str = "rimlock") -> None:
        """`url`: redis:// or rediss://, with the number of the logical database. Raises ConfigurationError."""
        self._url = url
        self._key = f"{name}:revocations"
        # Published messages know no logical databases: two installations on one server must not hear each other.
        self._channel = f"{name}:journal:{urlsplit(url).path.strip('/') or '0'}"
        self._kept: tuple[asyncio.AbstractEventLoop, Any] | None = None
        _client(url)

    async def ring(self, entry: Entry) -> None:
        """See Bell.ring. Never raises: what could not be told is still in the database."""
        try:
            async with asyncio.timeout(PATIENCE), self._lent() as client:
                await self._tell(client, entry)
        except Exception as error:  # noqa: BLE001 - nothing here may fail a request
            log.warning("the shared list could not be told: %s", type(error).__name__)

    async def listen(self, heard: Callable[[list[Entry]], None]) -> None:
        """See Bell.listen."""
        pause = FIRST_PAUSE
        while not _cancelled():
            try:
                async with self._keeping() as client:
                    await self._read_along(client, heard)
            except _Interrupted as error:
                pause = FIRST_PAUSE
                log.warning("the bell fell silent: %s", type(error.__cause__).__name__)
            except Exception as error:  # noqa: BLE001 - whatever it was, polling goes on and so does this
                pause = min(pause * 2, LONGEST_PAUSE)
                log.warning("the bell cannot be heard: %s", type(error).__name__)
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """See Bell.close. Connections are closed by `listen` when it is cancelled, and after each ring without it."""

    async def _tell(self, client: Any, entry: Entry) -> None:
        member = _written(entry)
        async with client.pipeline(transaction=True) as pipe:
            pipe.zadd(self._key, {member: entry.expires_at})
            pipe.zremrangebyscore(self._key, "-inf", f"({entry.expires_at - KEPT_SECONDS}")
            pipe.expireat(self._key, entry.expires_at)
            pipe.publish(self._channel, member)
            await pipe.execute()

    async def _read_along(self, client: Any, heard: Callable[[list[Entry]], None]) -> None:
        """Subscribe, then read the list, then the messages: what is rung in between is heard twice, never missed."""
        async with client.pubsub(ignore_subscribe_messages=True) as ears:
            await ears.subscribe(self._channel)
            await self._read_list(client, heard)
            try:
                while not _cancelled():
                    message = await ears.get_message(timeout=HEARTBEAT)
                    if message is None:
                        await ears.ping()
                    elif entry := _read(message["data"]):
                        heard([entry])
            except Exception as error:
                raise _Interrupted from error

    async def _read_list(self, client: Any, heard: Callable[[list[Entry]], None]) -> None:
        page: list[Entry] = []
        async for member, _ in client.zscan_iter(self._key, count=PAGE):
            entry = _read(member)
            if entry is not None and entry.kind in LISTED:
                page.append(entry)
            if len(page) >= PAGE:
                heard(page)
                page = []
        heard(page)

    @asynccontextmanager
    async def _keeping(self) -> AsyncIterator[Any]:
        """Open a client that rings on this loop use too, for as long as somebody listens here."""
        client = _client(self._url)
        self._kept = asyncio.get_running_loop(), client
        try:
            yield client
        finally:
            self._kept = None
            await client.aclose()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        kept = self._kept
        if kept is not None and kept[0] is asyncio.get_running_loop():
            yield kept[1]
            return
        client = _client(self._url)
        try:
            yield client
        finally:
            await client.aclose()


class _Interrupted(Exception):
    """The server was reached and has gone away since."""


def _cancelled() -> bool:
    """Say whether this task was told to end: before Python 3.12 the driver's wait_for may lose a cancellation."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _client(url: str) -> Any:
    """Return a client that gives up at once: to try again behind our back would be to miss what was rung meanwhile."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigurationError("redis_url needs the redis package; install rimlock[redis]") from None
    try:
        return Redis.from_url(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
        )
    except ValueError:
        raise ConfigurationError("redis_url is not understood; write redis://host:6379/0 or rediss://…") from None


def _written(entry: Entry) -> str:
    """Return the one spelling of an entry. Its place in the journal is left out: the same line is the same member."""
    return json.dumps([entry.kind, entry.subject, entry.value, entry.expires_at], separators=(",", ":"))


def _read(member: bytes) -> Entry | None:
    """Return what a member says; None for what is none of ours, which must not silence the rest."""
    try:
        kind, subject, value, expires_at = json.loads(member)
    except (ValueError, TypeError, RecursionError):
        return None
    if [type(part) for part in (kind, subject, value, expires_at)] != [str, str, int, int]:
        return None
    if kind not in get_args(Kind):
        return None
    if kind == "session" and not _SESSION.fullmatch(subject):
        return None
    return Entry(0, cast("Kind", kind), subject, value, expires_at)
