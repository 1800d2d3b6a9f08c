"""Messages that wait to be sent, written in the transaction that causes them.

Threat: a mail for something that did not happen, or none for something that did; a link that can be read in a copy of
    the database; two processes that send the same message.
Source: design section 4; OWASP ASVS 5.0 V14.2.1; the transactional outbox.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert

from rimlock.core.errors import InvalidRequest
from rimlock.core.events import Event, Told
from rimlock.core.ids import new_id
from rimlock.core.messages import Message
from rimlock.core.schema import outbox as table
from rimlock.crypto.sealing import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

    from rimlock.core.clock import Clock
    from rimlock.core.database import Transaction
    from rimlock.crypto.secret import RootSecret

__all__ = ["MessagePosted", "Outbox"]

PURPOSE = "outbox"

NEVER = 2**62 + 1
"""When a message that is over is due: no worker that looks for due ones comes across it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagePosted(Event):
    """A message waits to be sent. What it says is not told."""

    told = Told(audited=False, logged=False)
    message_id: str
    kind: str
    user_id: str | None


class Outbox:
    """Writes messages down, sealed under the root secret, and opens them for who sends them."""

    def __init__(self, root: RootSecret, clock: Clock) -> None:
        """Hold the secret."""
        self._root = root
        self._clock = clock
        self.witnesses: list[Callable[[str, Message], None]] = []
        """Told of each message by its id as it is written, before the commit: for an application's tests."""

    def __call__(self, tx: Transaction, message: Message, *, void: bool = False) -> None:
        """See messages.Post."""
        if not message.to.isprintable() or "@" not in message.to:
            raise InvalidRequest
        now = int(self._clock())
        message_id = new_id(now)
        sealed = self._seal(message_id, message)
        row = {
            "id": message_id,
            "kind": message.kind,
            "user_id": message.user_id,
            "sealed": None if void else sealed,
            "created_at": now,
            "due_at": NEVER if void else now,
            "sent_at": now if void else None,
        }
        tx.change(insert(table), row)
        for told in () if void else self.witnesses:
            told(message_id, message)
        tx.emit(MessagePosted(at=now, message_id=message_id, kind=message.kind, user_id=message.user_id))

    def open(self, message_id: str, kind: str, sealed: bytes) -> Message:
        """Return what was written down. Raises SealBroken."""
        found = json.loads(unseal(self._root, PURPOSE, sealed, context=_place(message_id, kind)))
        return Message(kind=kind, **found)

    def _seal(self, message_id: str, message: Message) -> bytes:
        said = {name: getattr(message, name) for name in ("to", "user_id", "locale", "expires_at")}
        said["facts"] = dict(message.facts)
        return seal(self._root, PURPOSE, json.dumps(said).encode(), context=_place(message_id, message.kind))


def _place(message_id: str, kind: str) -> bytes:
    return f"auth_outbox.sealed:{message_id}:{kind}".encode()
