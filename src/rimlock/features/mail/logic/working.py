"""Sends in the background: told when there is something, looking now and then, and stopping when it is told to.

Threat: a mail server that hangs and holds up a sign-in; an answer that takes longer when there is somebody to write to;
    a worker that dies unnoticed.
Source: OWASP ASVS 5.0 V6.3.8 (equal answers), V15.4.4 (no starvation); design section 4.
"""

from __future__ import annotations

import asyncio
import logging
from contextvars import Context
from secrets import randbelow
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from rimlock.features.mail.logic.delivering import Delivery

__all__ = ["Jobs", "Worker"]

ASIDE_MS = 100
"""How long a message waits at least after it was posted: the answer to whoever caused it goes first, and takes the same
time whether there is a message or none."""

LONGEST_PAUSE = 60.0
FIRST_PAUSE = 5.0
TIDY_SECONDS = 3_600
PATIENCE_SECONDS = 5.0
"""How long a stop waits for what is being sent."""

T = TypeVar("T")
log = logging.getLogger("rimlock.mail")


class Jobs(Protocol):
    """Who sees to it that messages are sent."""

    def bind(self, delivery: Delivery) -> None:
        """Take what sends; before anything else, and once."""
        ...

    def begin(self) -> None:
        """Start, on the running loop."""
        ...

    def posted(self, event: Any) -> Awaitable[None] | None:
        """Hear that a message waits."""
        ...

    async def stop(self) -> None:
        """End what was begun."""
        ...


class Worker:
    """One task of a process. A loop that ends takes it along; the next message starts it on another."""

    def __init__(self, *, poll: float) -> None:
        """Start nothing yet. `poll`: how many seconds pass at most until it looks, told or not."""
        self._poll = poll
        self._delivery: Delivery | None = None
        self._task: asyncio.Task[None] | None = None
        self._bell: asyncio.Event | None = None
        self._end: asyncio.Event | None = None
        self._wanted = False

    def bind(self, delivery: Delivery) -> None:
        """See Jobs.bind."""
        self._delivery = delivery

    def begin(self) -> None:
        """See Jobs.begin."""
        assert self._delivery is not None, "bind comes first"  # noqa: S101 - a mistake of ours, not of a caller's
        self._wanted, self._delivery.stopping = True, False
        self._bell, self._end = asyncio.Event(), asyncio.Event()
        work = self._run(self._delivery, self._bell, self._end)
        # In a context of its own: what it does is not done by whoever made the request that began it.
        self._task = asyncio.get_running_loop().create_task(work, context=Context())

    def posted(self, event: Any) -> None:  # noqa: ARG002 - which one does not matter
        """See Jobs.posted. From any thread; where no loop runs, the next look finds the message."""
        if not self._wanted:
            return
        task, bell = self._task, self._bell
        if task is not None and bell is not None and not task.done() and task.get_loop().is_running():
            task.get_loop().call_soon_threadsafe(bell.set)
        elif _loop_runs():
            self.begin()

    async def stop(self) -> None:
        """See Jobs.stop. What is being sent gets a moment; what is not begun stays in the outbox."""
        self._wanted = False
        task, self._task = self._task, None
        if task is None or task.done() or self._delivery is None or self._end is None:
            return
        self._delivery.stopping = True
        if task.get_loop() is not asyncio.get_running_loop():
            if task.get_loop().is_running():
                task.get_loop().call_soon_threadsafe(task.cancel)
            return
        self._end.set()
        await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _run(self, delivery: Delivery, bell: asyncio.Event, end: asyncio.Event) -> None:
        wait, tidied, pause = self._poll, monotonic(), FIRST_PAUSE
        while not await _rung(end, bell, wait):
            bell.clear()
            if await _rung(end, None, (ASIDE_MS + randbelow(ASIDE_MS)) / 1_000):
                return
            if monotonic() - tidied >= TIDY_SECONDS:
                tidied = monotonic()
                await _tried(delivery.tidy())
            done = await _tried(self._look(delivery))
            wait = self._poll if done is None else done[0]
            if done is not None and not done[1]:
                pause = FIRST_PAUSE
            elif await _rung(end, None, pause):
                return
            else:
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _look(self, delivery: Delivery) -> tuple[float, bool]:
        """Send what is due; return how long nothing will be, at most until the next look, and whether the way broke."""
        broken = (await delivery.all_due()).broken
        due = await delivery.next_due()
        return self._poll if due is None else min(self._poll, max(0.0, due - delivery.now())), broken


async def _rung(end: asyncio.Event, bell: asyncio.Event | None, seconds: float) -> bool:
    """Wait until the bell, the end or the time, whichever comes first; say whether it is the end."""
    waiting = [asyncio.ensure_future(one.wait()) for one in (end, bell) if one is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
    return end.is_set()


async def _tried(work: Coroutine[Any, Any, T]) -> T | None:
    """Do a piece of work; log that it could not be done, for the next round has to come."""
    try:
        return await work
    except Exception as error:  # noqa: BLE001 - see above
        log.error("mails could not be seen to: %s", type(error).__name__)  # noqa: TRY400 - a trace may quote values
        return None


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
