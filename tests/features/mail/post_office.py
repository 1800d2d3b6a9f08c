"""Installations that send mails, a real mail server, and one that misbehaves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.policy import default

from aiosmtpd.smtp import SMTP
from sqlalchemy import select

from rimlock import Rimlock, Settings
from rimlock.core.events import Event
from rimlock.core.messages import Message, MessageKind
from rimlock.core.schema import outbox
from rimlock.feature import Feature
from rimlock.features.mail import MailFeature

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
GREETING = MessageKind(name="greeting", package="features.mail.kinds", example={"name": "Ann"})


class Greetings(Feature):
    """A feature of somebody else's, with a message of its own and its templates in a package of its own."""

    name = "greetings"

    def messages(self):
        return (GREETING,)


def installed(url, mail_url, *, clock=None, mail=None, features=(), **settings):
    """Return an installation that sends by `mail_url`, and the list its events are written to."""
    mail = mail or MailFeature()
    chosen = {"mail_from": "Lab <lab@lab.example.com>", "create_tables": True, **settings}
    timed = {"clock": clock} if clock else {}
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, mail_url=mail_url, **chosen), features=[mail, *features], **timed
    )
    events = []
    auth.on(Event, events.append)
    return auth, events


@asynccontextmanager
async def running(auth):
    """Start an installation and stop it again."""
    await auth.start()
    try:
        yield auth
    finally:
        await auth.stop()


async def post(auth, to="ann@example.com", **said):
    """Post one message and commit."""
    message = Message(**{"kind": "test", "to": to, **said})
    await auth.database.write(lambda tx: auth.context.post(tx, message))


async def rows(auth):
    """Return the rows of the outbox, the oldest first."""
    return await auth.database.read(lambda tx: [dict(row) for row in tx.all(select(outbox).order_by(outbox.c.id))])


def told(events, name):
    """Return the events of one name."""
    return [event for event in events if type(event).__name__ == name]


class Sink:
    """What a mail server took: envelopes, and messages as a mail program reads them."""

    def __init__(self):
        self.envelopes, self.mails = [], []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.envelopes.append(envelope)
        self.mails.append(message_from_bytes(envelope.original_content, policy=default))
        return "250 taken"


@asynccontextmanager
async def mail_server(**options):
    """Run a real mail server on this machine; yield what it took, and its `mail_url`."""
    sink = Sink()
    options = {"hostname": "sink", "enable_SMTPUTF8": True, **options}
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(sink, **options), "127.0.0.1", 0)
    try:
        yield sink, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


class Rogue:
    """A mail server that misbehaves at one stage: it answers something else, hangs, or breaks off.

    `at`: connect, ehlo, mail, rcpt, data, end (after the last dot). `how`: a line to answer, `hang` or `drop`.
    """

    def __init__(self, at, how):
        self.at, self.how, self.taken, self.connections = at, how, [], set()

    async def __call__(self, reader, writer):
        self.connections.add(asyncio.current_task())
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader, writer):
        if await self._say(writer, "connect", "220 rogue"):
            return
        while line := (await reader.readline()).decode().strip():
            verb = line.split(":")[0].split()[0].lower()
            if verb == "quit":
                return
            good = "354 go on" if verb == "data" else "250 fine"
            if await self._say(writer, verb, good):
                return
            if verb == "data" and not (self.at == "data" and self.how[0] in "45"):
                content = await reader.readuntil(b"\r\n.\r\n")
                if await self._say(writer, "end", "250 taken"):
                    return
                if self.at != "end":
                    self.taken.append(content)

    async def _say(self, writer, stage, good):
        """Answer; say whether the talk is over."""
        line = self.how if stage == self.at else good
        if line == "drop":
            return True
        if line == "hang":
            await asyncio.get_running_loop().create_future()
        writer.write(f"{line}\r\n".encode("latin-1"))
        await writer.drain()
        return False


@asynccontextmanager
async def rogue_server(at, how):
    """Run one; yield it, and its `mail_url`."""
    rogue = Rogue(at, how)
    server = await asyncio.start_server(rogue, "127.0.0.1", 0)
    try:
        yield rogue, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in rogue.connections:
            task.cancel()
        await asyncio.gather(*rogue.connections, return_exceptions=True)
