"""Known devices: a signed note that this device signed in to this account before. It opens nothing.

Threat: an owner locked out by somebody else's failures; a note that is taken to another account, or lasts for ever.
Source: OWASP "Slow Down Online Guessing Attacks with Device Cookies"; NIST SP 800-63B-4 section 3.2.2; RFC 2104.

Nothing is stored: the note names a device and a moment, and fits one account alone. A browser several people use keeps
a note for each of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest, digest
from secrets import token_hex
from typing import TYPE_CHECKING

from rimlock.crypto.encoding import encode

if TYPE_CHECKING:
    from rimlock.crypto.secret import RootSecret

__all__ = ["MOST_NOTES", "Devices"]

MOST_NOTES = 8
"""How many accounts one device is known to at most; the one that signed in longest ago is dropped."""

_NOTE = re.compile(r"rd1\.([0-9a-f]{32})\.(0|[1-9][0-9]{0,14})\.([A-Za-z0-9_-]{43})")
_LONGEST = 110 * MOST_NOTES
_BETWEEN = "~"
_SKEW_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Devices:
    """The notes of one installation. `seconds`: how long a device is known after a sign-in."""

    root: RootSecret
    seconds: int

    def known(self, presented: str, user_id: str | None, *, now: int) -> str | None:
        """Return the id of the device that one of the presented notes makes known to this account, or None.

        For an account that does not exist the work is the same.
        """
        whose = user_id if user_id is not None else ""
        found = [_id(note) for note in _notes(presented) if self._fits(note, whose, now)]
        return found[0] if found and user_id is not None else None

    def remember(self, presented: str, user_id: str, *, now: int) -> str:
        """Return the notes for the device to keep: a new one for this account first, those of others after it.

        A device that is known keeps its id, so that its failures go on being counted.
        """
        device = self.known(presented, user_id, now=now) or token_hex(16)
        text = f"rd1.{device}.{now}"
        others = [note for note in _notes(presented) if not self._fits(note, user_id, now)]
        note = f"{text}.{encode(self._mac(self.root.derive(_PURPOSE), text, user_id))}"
        return _BETWEEN.join([note, *others[: MOST_NOTES - 1]])

    def _fits(self, note: str, user_id: str, now: int) -> bool:
        text, _, mac = note.rpartition(".")
        age = now - int(text.rpartition(".")[2])
        fits = [compare_digest(encode(self._mac(key, text, user_id)), mac) for key in self.root.derive_all(_PURPOSE)]
        return any(fits) and -_SKEW_SECONDS <= age < self.seconds

    @staticmethod
    def _mac(key: bytes, text: str, user_id: str) -> bytes:
        return digest(key, f"{text}.{user_id}".encode(), "sha256")


_PURPOSE = "known-device"


def _notes(presented: str) -> list[str]:
    """Return what has the form of a note: at most so many, each once."""
    if len(presented) > _LONGEST or not presented.isascii():
        return []
    notes = dict.fromkeys(note for note in presented.split(_BETWEEN) if _NOTE.fullmatch(note))
    return list(notes)[:MOST_NOTES]


def _id(note: str) -> str:
    return note.split(".")[1]
