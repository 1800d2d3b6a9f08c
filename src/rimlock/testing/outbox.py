"""Reads the messages an application's tests cause, without sending any.

Threat: a test that reads a message which was never committed, or misses one because it was sent meanwhile.
Source: design section 2 (shipped to users).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rimlock.core.outbox import MessagePosted
from rimlock.core.outbox import Outbox as Posting

if TYPE_CHECKING:
    from rimlock.auth import Rimlock
    from rimlock.core.messages import Message

__all__ = ["Outbox"]

_LINK = re.compile(r"https?://\S+")


class Outbox:
    """Every message that was posted and committed since this was made, in order; whether it is sent changes nothing.

    `messages`: them all, each with kind, address (`to`), `facts` and `locale`.
    """

    def __init__(self, auth: Rimlock) -> None:
        """Listen to an installation."""
        self.messages: list[Message] = []
        self._uncommitted: dict[str, Message] = {}
        post = auth.context.post
        assert isinstance(post, Posting), "this installation posts its messages somewhere else"
        post.witnesses.append(self._uncommitted.__setitem__)
        auth.on(MessagePosted, self._take)

    def to(self, address: str, kind: str | None = None) -> list[Message]:
        """Return what was said to an address, of one kind when that is given."""
        return [one for one in self.messages if one.to == address and kind in {None, one.kind}]

    def last(self, address: str | None = None, kind: str | None = None) -> Message:
        """Return the newest message, to an address and of a kind when these are given. AssertionError for none."""
        found = [one for one in self.messages if address in {None, one.to} and kind in {None, one.kind}]
        assert found, f"no such message was posted; there are {sorted({one.kind for one in self.messages})}"
        return found[-1]

    def link(self, address: str | None = None, kind: str | None = None) -> str:
        """Return the first address of a page in the facts of the newest message. AssertionError for none."""
        message = self.last(address, kind)
        links = [fact for fact in message.facts.values() if isinstance(fact, str) and _LINK.fullmatch(fact)]
        assert links, f"there is no link in a message of the kind {message.kind!r}"
        return links[0]

    def clear(self) -> None:
        """Forget what was posted so far."""
        self.messages.clear()

    def _take(self, posted: MessagePosted) -> None:
        message = self._uncommitted.pop(posted.message_id, None)
        if message is not None:
            self.messages.append(message)
