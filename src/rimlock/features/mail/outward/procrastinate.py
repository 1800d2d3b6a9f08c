"""Sends by the jobs of a host that runs procrastinate, instead of a worker of ours.

Threat: a job that is lost between our commit and its own; a link in the arguments of a job.
Source: https://procrastinate.readthedocs.io (tasks, periodic tasks).

The outbox stays where messages wait: its row is written in the transaction that causes it. A job says only that there
is something, by its id, and is deferred after the commit. What no job says, because a process died in between, and what
has to be tried again, is found by the periodic task, once a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from rimlock.features.mail.logic.delivering import Delivery

__all__ = ["ProcrastinateJobs"]

QUEUE = "rimlock_mail"
EVERY_MINUTE = "* * * * *"
MINUTE, HOUR = 60, 3_600


class ProcrastinateJobs:
    """Give it to `MailFeature(jobs=…)`. `app`: the host's procrastinate App, opened by the host where it defers.

    Its tasks are `rimlock.mail.send` and `rimlock.mail.look`, on a queue of their own.
    """

    def __init__(self, app: Any, *, queue: str = QUEUE) -> None:
        """Register nothing yet."""
        self._app = app
        self._queue = queue
        self._send: Any = None
        self._wanted = False

    def bind(self, delivery: Delivery) -> None:
        """Register the tasks. See Jobs.bind."""

        async def send(message_id: str) -> None:
            await delivery.one(message_id)

        async def look(timestamp: int) -> None:
            await delivery.all_due()
            if timestamp % HOUR < MINUTE:
                await delivery.tidy()

        self._send = self._app.task(send, name="rimlock.mail.send", queue=self._queue)
        task = self._app.task(look, name="rimlock.mail.look", queue=self._queue, queueing_lock="rimlock.mail.look")
        self._app.periodic(cron=EVERY_MINUTE)(task)

    def begin(self) -> None:
        """See Jobs.begin."""
        self._wanted = True

    def posted(self, event: Any) -> Awaitable[None] | None:
        """See Jobs.posted. A stop that comes next waits for it."""
        return self._send.defer_async(message_id=event.message_id) if self._wanted else None

    async def stop(self) -> None:
        """See Jobs.stop."""
        self._wanted = False
