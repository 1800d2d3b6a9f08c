"""Ways out that leave nobody's machine: the terminal and a folder, for development.

Threat: a link in a log that is kept and read by many; a mail that another user of the machine reads.
Source: OWASP ASVS 5.0 V16.2.5 (no secrets in logs: standard output is written to, the loggers are not).
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from rimlock.features.mail.errors import NotSent

if TYPE_CHECKING:
    from pathlib import Path

    from rimlock.features.mail.logic.composing import Mail

__all__ = ["Console", "Folder"]

_LINE = "-" * 72


class Console:
    """Shows mails on standard output."""

    def lane(self) -> Console:
        """See Transport.lane."""
        return self

    async def send(self, mail: Mail) -> None:
        """See Lane.send."""
        letter = mail.letter
        shown = f"{_LINE}\nTo: {mail.to}\nSubject: {letter.subject}\n\n{letter.text}{_LINE}\n"
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    async def close(self) -> None:
        """See Lane.close."""


class Folder:
    """Writes each mail into a file of its own, as a mail program opens it."""

    def __init__(self, folder: Path) -> None:
        """Make nothing yet."""
        self._folder = folder

    def lane(self) -> Folder:
        """See Transport.lane."""
        return self

    async def send(self, mail: Mail) -> None:
        """See Lane.send."""
        try:
            await asyncio.to_thread(self._write, mail)
        except OSError as error:
            raise NotSent(f"the folder cannot be written to: {type(error).__name__}", broken=True) from None

    async def close(self) -> None:
        """See Lane.close."""

    def _write(self, mail: Mail) -> None:
        """Write it beside its place first: whoever watches the folder sees whole mails only."""
        self._folder.mkdir(parents=True, exist_ok=True)
        place = self._folder / f"{mail.message_id}-{mail.letter.kind}.eml"
        part = place.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(mail.content.as_bytes())
        part.replace(place)
