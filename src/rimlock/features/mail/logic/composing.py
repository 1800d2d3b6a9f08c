"""Makes a mail of a letter: the form that every mail server takes.

Threat: a subject or a name that begins another header; two mails that are one, and nobody can tell.
Source: RFC 5322; RFC 6532 (UTF-8 in addresses); RFC 3834 section 5 (Auto-Submitted); RFC 2046 section 5.1.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.core.mail_url import Sender, recipient
from rimlock.features.mail.errors import Unwritable

if TYPE_CHECKING:
    from rimlock.features.mail.logic.writing import Letter

__all__ = ["Mail", "composed"]

_PLAIN = SMTP.clone(cte_type="7bit")
"""Every server takes it. It refuses a line feed in a header."""
_WITH_UTF8 = _PLAIN.clone(utf8=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail on its way: the envelope, and the message as it is written."""

    message_id: str
    sender: Sender
    to: str = field(repr=False)
    letter: Letter = field(repr=False)
    content: EmailMessage = field(repr=False)

    @property
    def needs_utf8(self) -> bool:
        """Whether an address has letters that only a server with SMTPUTF8 takes."""
        return not (self.to.isascii() and self.sender.address.isascii())


def composed(letter: Letter, *, to: str, message_id: str, sender: Sender, at: int) -> Mail:
    """Return the mail. Of the same message it has the same `Message-ID` however often it is made. Raises Unwritable."""
    try:
        address = recipient(to)
        content = _headed(letter, address, message_id, sender, at)
    except (ConfigurationError, ValueError, UnicodeError):
        raise Unwritable("nothing can be sent to this address, or under this subject") from None
    content.set_content(letter.text, charset="utf-8")
    if letter.html is not None:
        content.add_alternative(letter.html, subtype="html", charset="utf-8")
    content["Content-Language"] = letter.locale  # last, for it would go to the first part
    return Mail(message_id=message_id, sender=sender, to=address, letter=letter, content=content)


def _headed(letter: Letter, to: str, message_id: str, sender: Sender, at: int) -> EmailMessage:
    content = EmailMessage(policy=_PLAIN if to.isascii() and sender.address.isascii() else _WITH_UTF8)
    content["From"] = _address(sender.address, sender.name)
    content["To"] = _address(to)
    content["Subject"] = letter.subject
    content["Date"] = format_datetime(datetime.fromtimestamp(at, UTC))
    content["Message-ID"] = f"<{message_id}@{sender.domain}>"
    content["Auto-Submitted"] = "auto-generated"
    content["X-Auto-Response-Suppress"] = "All"
    return content


def _address(address: str, name: str = "") -> Address:
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain)
