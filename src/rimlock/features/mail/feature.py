"""The plug of the mail feature: who sends, by which way, and how the health check hears of it.

Threat: a mistake in the settings that shows when the first mail is due; two senders where one was meant.
Source: design sections 4 and 7.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimlock.core.errors import ConfigurationError
from rimlock.core.mail_url import mail_route, sender
from rimlock.core.outbox import MessagePosted, Outbox
from rimlock.feature import Feature
from rimlock.features.mail.logic.delivering import Delivery
from rimlock.features.mail.logic.rows import waiting
from rimlock.features.mail.logic.working import Worker
from rimlock.features.mail.logic.writing import Writer
from rimlock.features.mail.messages import TEST
from rimlock.features.mail.outward.choosing import transport_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rimlock import Rimlock
    from rimlock.core.messages import MessageKind
    from rimlock.feature import Context, Probe
    from rimlock.features.mail.logic.delivering import Transport
    from rimlock.features.mail.logic.working import Jobs
    from rimlock.web.credentials import Reader

__all__ = ["MailFeature", "mail_of"]


class MailFeature(Feature):
    """Sends the messages of all features. One instance belongs to one installation.

    `templates`: a folder with templates of the host's, which go before ours. `transport`: another way out than
    `mail_url` names. `jobs`: who sends instead of a worker in each process. `patience`: how long one mail may take.
    `poll`: how often is looked for messages that other processes posted.
    """

    name = "mail"

    def __init__(
        self,
        *,
        templates: Path | None = None,
        transport: Transport | None = None,
        jobs: Jobs | None = None,
        patience: timedelta = timedelta(seconds=60),
        poll: timedelta = timedelta(seconds=5),
    ) -> None:
        """Open nothing yet. Raises ConfigurationError."""
        if templates is not None and not templates.is_dir():
            raise ConfigurationError(f"there is no folder {templates.name!r} with templates")
        self._templates = templates
        self._transport = transport
        self._jobs = jobs or Worker(poll=poll.total_seconds())
        self._patience = patience.total_seconds()
        self._delivery: Delivery | None = None
        self._listening = False

    @property
    def delivery(self) -> Delivery | None:
        """What sends, None where mails are left to another process. Raises ConfigurationError before it is wired."""
        return self._delivery

    def writer(self, context: Context) -> Writer:
        """Return what writes the letters of an installation."""
        settings = context.settings
        product = settings.product_name or sender(settings.mail_from).name or "Rimlock"
        folder = self._templates or settings.mail_templates
        return Writer(context.kinds, product=product, locale=settings.locale, folder=folder)

    def readers(self, context: Context) -> Sequence[Reader]:
        """Wire everything, for this is asked at construction; there is no reader. Raises ConfigurationError."""
        settings = context.settings
        route = mail_route(settings.mail_url, insecure=settings.insecure_smtp)
        transport = self._transport or transport_for(route, patience=self._patience)
        if transport is not None and isinstance(context.post, Outbox):
            self._delivery = Delivery(
                context.database,
                context.post,
                context.clock,
                transport=transport,
                writer=self.writer(context),
                sender=sender(settings.mail_from),
                kept=int(settings.mail_kept.total_seconds()),
                patience=self._patience,
            )
            self._jobs.bind(self._delivery)
        return ()

    def messages(self) -> Sequence[MessageKind]:
        """See Feature.messages."""
        return (TEST,)

    def probes(self, context: Context) -> Mapping[str, Probe]:
        """See Feature.probes."""
        return {"mail": partial(_waiting, context)}

    async def start(self, context: Context) -> None:
        """Begin to send, in a process that serves an application: a command is over before a mail would be."""
        if self._delivery is None or context.routes() is None:
            return
        self._jobs.begin()
        if not self._listening:
            self._listening = True
            context.on(MessagePosted, self._jobs.posted)

    async def stop(self, context: Context) -> None:  # noqa: ARG002 - see Feature.stop
        """See Feature.stop."""
        await self._jobs.stop()


def mail_of(auth: Rimlock) -> MailFeature:
    """Return the mail feature of an installation. Raises ConfigurationError where there is none."""
    for one in auth.features:
        if isinstance(one, MailFeature):
            return one
    raise ConfigurationError("this Rimlock has no mail feature; add MailFeature() to its features")


async def _waiting(context: Context) -> Mapping[str, Any]:
    """Count what waits. A mail server that is away does not make an application unwell, so this never fails by it."""
    found = await context.database.read(waiting)
    age = 0 if found.oldest is None else max(0, context.now() - found.oldest)
    return {"waiting": found.messages, "oldest_seconds": age, "dead": found.dead}
