"""The feed of new results within this process: writers publish from any thread, sockets subscribe."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock
from typing import Annotated, Any

from fastapi import Depends
from fastapi.requests import HTTPConnection

Message = dict[str, Any]
BACKLOG = 1_000


class Subscription:
    """One listener's queue, bound to the event loop the listener runs on. When it is full the oldest message goes."""

    def __init__(self) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Message] = asyncio.Queue(BACKLOG)

    async def next(self) -> Message:
        """Wait for the next message."""
        return await self._queue.get()

    def offer(self, message: Message) -> None:
        """Queue `message`. May be called from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._put, message)
        except RuntimeError:
            return  # the listener's loop has ended, and the listener with it

    def _put(self, message: Message) -> None:
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(message)


class LiveFeed:
    """Everybody who listens at the moment."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._lock = Lock()
        self._subscriptions: set[Subscription] = set()

    @contextmanager
    def subscribe(self) -> Generator[Subscription, None, None]:
        """Listen for the length of the block."""
        subscription = Subscription()
        with self._lock:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)

    def publish(self, message: Message) -> None:
        """Hand `message` to everybody who listens. May be called from any thread."""
        with self._lock:
            listening = tuple(self._subscriptions)
        for subscription in listening:
            subscription.offer(message)


def get_feed(connection: HTTPConnection) -> LiveFeed:
    """Return the application's feed."""
    feed: LiveFeed = connection.app.state.feed
    return feed


FeedDep = Annotated[LiveFeed, Depends(get_feed)]
