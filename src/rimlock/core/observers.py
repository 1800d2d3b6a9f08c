"""Tells observers what happened, and keeps whatever they do from whoever made it happen.

Threat: an observer that breaks a sign-in, holds it up, or loses its own failure.
Source: design section 7 (observe).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutine
from typing import Any

from rimlock.core.events import Event

__all__ = ["Background", "Handler", "Observers"]

Handler = Callable[[Any], Awaitable[None] | None]
log = logging.getLogger("rimlock")
PATIENCE_SECONDS = 2.0
"""How long work in the background may go on at a stop: an observer may be carrying away what it was told."""


class Background:
    """Work nobody waits for. It is held until it is done, and its failure is logged."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, work: Awaitable[Any]) -> None:
        """Begin `work` on the running loop."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    async def stop(self) -> None:
        """Give what is not done a moment, then cancel it, on this loop."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._tasks if task.get_loop() is loop]
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()

    def _finished(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background work failed: %s", type(task.exception()).__name__)


class Observers:
    """Handlers by type of event; a handler of a type hears of its subtypes too."""

    def __init__(self, background: Background) -> None:
        """Async handlers run in `background`."""
        self._background = background
        self._handlers: defaultdict[type[Event], list[Handler]] = defaultdict(list)

    def add(self, event: type[Event], handler: Handler) -> None:
        """Call `handler` after every committed event of this type; handlers of one type in the order they came."""
        self._handlers[event].append(handler)

    def publish(self, event: Event) -> None:
        """Tell everybody who asked."""
        for kind in type(event).__mro__:
            for handler in self._handlers.get(kind, ()):
                self._tell(handler, event)

    def _begin(self, waiting: Awaitable[None], event: Event) -> None:
        try:
            self._background.start(waiting)
        except RuntimeError:  # the loop of whoever made it happen has ended, and there is none to run it on
            if iscoroutine(waiting):
                waiting.close()
            log.error("an observer of %s was not run: there is no loop", type(event).__name__)  # noqa: TRY400 - values

    def _tell(self, handler: Handler, event: Event) -> None:
        try:
            waiting = handler(event)
            if isawaitable(waiting):
                self._begin(waiting, event)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - an observer can break nothing
            log.error("an observer of %s failed: %s", type(event).__name__, type(error).__name__)  # noqa: TRY400 - values
