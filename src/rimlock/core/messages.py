"""What is said to people: a kind of message, and one message of it.

Threat: a message that says to one person what is for another; a secret that rests readable until it is sent.
Source: design section 3 (Message); OWASP ASVS 5.0 V6.4.4.

A kind names the package its templates lie in: `<name>.<locale>.html`, `.txt` and `.subject`, English at least. Facts
are all that a template sees, beside what every message has: `product`, `locale`, and in HTML `button(url, words)`.
The HTML of a kind is the inside of the page; the layout around it is one for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rimlock.core.database import Transaction

__all__ = ["Fact", "Message", "MessageKind", "Post"]

Fact = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageKind:
    """One kind of message. `package`: where its templates lie; `example`: facts for a preview and for tests."""

    name: str
    package: str
    example: Mapping[str, Fact]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be said to one address.

    `locale`: the language asked for (RFC 5646), None for the user's, or else the installation's. `expires_at`: from
    when on it is better not sent, in seconds since the epoch, like the end of the link in it; None for never.
    """

    kind: str
    to: str = field(repr=False)
    facts: Mapping[str, Fact] = field(default_factory=dict, repr=False)
    user_id: str | None = None
    locale: str | None = None
    expires_at: int | None = None


class Post(Protocol):
    """Takes a message to be sent once the transaction is committed, never if it is not."""

    def __call__(self, tx: Transaction, message: Message, *, void: bool = False) -> None:
        """Write it into the outbox. Raises InvalidRequest for an address nothing can be sent to.

        `void`: do the same work and send nothing, so that the time does not tell whether there was anybody to tell.
        """
        ...
