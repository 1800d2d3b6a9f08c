"""The list of common passwords that ships with the package, as digests.

Threat: a password that stands near the top of every guesser's list.
Source: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V6.2.4. How the file was made: `tools/blocklist/build.py`.

The file is the sorted sequence of the first six bytes of the SHA-256 of each entry, folded as `readings` folds. It
is read at the first question and kept: 600 kB, once for each process. Another text has the digest of an entry by
chance about once in three thousand million.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Final, Protocol

__all__ = ["DIGEST_BYTES", "Blocklist", "CommonPasswords", "digest"]

DIGEST_BYTES: Final = 6


class Blocklist(Protocol):
    """Anything that can say whether it holds a folded text: a set will do."""

    def __contains__(self, folded: object, /) -> bool:
        """Whether the folded text is listed."""
        ...


def digest(folded: str) -> bytes:
    """Return what the file keeps of an entry."""
    return sha256(folded.encode()).digest()[:DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class CommonPasswords:
    """The shipped list. Holds nothing until it is asked."""

    def __contains__(self, folded: object) -> bool:
        """Whether the folded text is a common password."""
        if not isinstance(folded, str):
            return False
        wanted, entries = digest(folded), _entries()
        place = bisect_left(range(len(self)), wanted, key=lambda index: _entry(entries, index))
        return _entry(entries, place) == wanted

    def __len__(self) -> int:
        """How many passwords are listed."""
        return len(_entries()) // DIGEST_BYTES


@cache
def _entries() -> bytes:
    from importlib.resources import files

    entries = files("rimlock.crypto.passwords").joinpath("blocklist.bin").read_bytes()
    if not entries or len(entries) % DIGEST_BYTES:
        raise ValueError("blocklist.bin is damaged: install the package again")
    return entries


def _entry(entries: bytes, index: int) -> bytes:
    return entries[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]
