"""Password hashing beside the event loop, in a bounded room with a door.

Threat: a storm of logins that takes every core and all memory from the rest of the application; an unknown account
    told from a wrong password by its time.
Source: OWASP ASVS 5.0 V15.2.2 and V15.4.4; NIST SP 800-63B-4 section 3.2.2.

A hash takes about 20 ms and 19 MiB. One or two threads compute, a few callers wait, everybody else is told at once
to come back. The threads have a low priority (on Linux, the one system where a thread has its own), so requests that
need no hash keep their pace. But no lower than that: a thread needs the interpreter for a moment before and after
each hash, and the loop waits while a thread that has it, or is next to have it, is kept off the processor by other
processes. Measured with every core busy, the loop then stood still for up to 1.4 s with threads at `SCHED_IDLE`, 0.03 s
at nice 10; on a free core both keep it within 2 ms. No lock of ours is held either: a permit is one atomic step.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from threading import get_native_id
from time import perf_counter
from typing import Final, Literal, TypeVar

from rimlock.core.errors import Busy, ConfigurationError, Unavailable
from rimlock.crypto.passwords.errors import HashUnreadable, PasswordMismatch, VerifierMissing
from rimlock.crypto.passwords.hashes import PasswordHasher, Verified

__all__ = ["HashingPool", "Priority"]

Priority = Literal["low", "idle", "normal"]
_T = TypeVar("_T")
_LONGEST_RETRY_AFTER = 30
_LOW = 10


class HashingPool:
    """Hashes and verifies passwords for any number of event loops.

    `hasher` does the work, and may be called directly where there is no loop (commands, scripts). `workers` threads
    compute, `queue_limit` more callers may wait; the next one gets `Busy` with `retry_after` and nothing is hashed.
    `priority` of the threads: `low` is nice 10, `idle` is `SCHED_IDLE`, for a machine that has no other busy process.
    `timer` gives seconds, to estimate how long the queue is. Raises `ConfigurationError` for a pool without workers.
    """

    def __init__(
        self,
        hasher: PasswordHasher,
        *,
        workers: int = 1,
        queue_limit: int = 16,
        priority: Priority = "low",
        timer: Callable[[], float] = perf_counter,
    ) -> None:
        """Start nothing yet: threads are made when there is work."""
        if workers < 1 or queue_limit < 0:
            raise ConfigurationError("HashingPool needs at least one worker and a queue_limit of 0 or more.")
        self.hasher = hasher
        self._workers = workers
        self._places = workers + queue_limit
        self._permits = deque(range(self._places))
        self._timer = timer
        self._seconds_per_hash = 0.0
        self._closed = False
        self._executor = ThreadPoolExecutor(workers, "rimlock-hashing", _PRIORITIES[priority])

    @property
    def in_flight(self) -> int:
        """How many calls are being computed or wait for it."""
        return self._places - len(self._permits)

    async def hash(self, password: str) -> str:
        """Return the string to store. Raises `PasswordUnusable`, `Busy`, `Unavailable` once the pool is closed."""
        return await self._admit(lambda: self.hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> Verified:
        """Return for the right password; None stands for an account that does not exist or has no password.

        Without an account the work is the same, and the answer is `PasswordMismatch`. Raises that, `HashUnreadable`
        (after the same work), `PasswordUnusable`, `Busy`, and `Unavailable` once the pool is closed.
        """
        return await self._admit(lambda: _judge(self.hasher, stored, password))

    def close(self) -> None:
        """Admit nobody any more, turn away who waits (`Unavailable`), and return when the running hashes are done."""
        self._closed = True
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _admit(self, work: Callable[[], _T]) -> _T:
        future = self._submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._closed and not _caller_was_cancelled():
                raise Unavailable from None
            raise

    def _submit(self, work: Callable[[], _T]) -> Future[_T]:
        if self._closed:
            raise Unavailable
        try:
            permit = self._permits.pop()
        except IndexError:
            raise Busy(retry_after=self._retry_after()) from None
        try:
            future = self._executor.submit(self._timed, work)
        except RuntimeError:  # closed by another thread since the question above
            self._permits.append(permit)
            raise Unavailable from None
        # A waiter that is cancelled leaves here too: its permit is free at once and its work is never started.
        future.add_done_callback(lambda _: self._permits.append(permit))
        return future

    def _timed(self, work: Callable[[], _T]) -> _T:
        started = self._timer()
        try:
            return work()
        finally:
            self._seconds_per_hash = self._timer() - started

    def _retry_after(self) -> int:
        seconds = self._places * self._seconds_per_hash / self._workers
        return min(max(1, ceil(seconds)), _LONGEST_RETRY_AFTER)


def _judge(hasher: PasswordHasher, stored: str | None, password: str) -> Verified:
    if stored is None:
        _spend(hasher, password)
        raise PasswordMismatch
    try:
        return hasher.verify(stored, password)
    except (HashUnreadable, VerifierMissing):
        _spend(hasher, password)
        raise


def _spend(hasher: PasswordHasher, password: str) -> None:
    """Do the work of a verification whose outcome is known."""
    with suppress(PasswordMismatch):
        hasher.verify(hasher.dummy(), password)


def _caller_was_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _lower() -> None:
    """Give the calling thread about a tenth of a contended processor. Threads it starts inherit that."""
    if sys.platform == "linux":  # elsewhere this would slow the whole process
        with suppress(OSError):  # a sandbox may forbid it; the pool is bounded all the same
            thread = get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, max(_LOW, os.getpriority(os.PRIO_PROCESS, thread)))


def _idle() -> None:
    """Let the calling thread run only when the processor has nothing else to do."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _keep() -> None:
    """Leave the calling thread as it is."""


_PRIORITIES: Final[dict[Priority, Callable[[], None]]] = {"normal": _keep, "low": _lower, "idle": _idle}
