"""Phpass portable hashes: WordPress before 6.8 (`$P$`) and phpBB 3 (`$H$`).

Threat: a stored count of a thousand million rounds. The rounds run in Python and not in C, so the limit is low.
Source: the portable hashes of the phpass framework: MD5 of salt and password, then 2^count times MD5 of digest and
    password. MD5 is how the old store was made, not something we rest on: the hash is replaced at this sign-in.
"""

from __future__ import annotations

import re
from hashlib import md5
from typing import Final

from rimlock.crypto.passwords.encoding import as_typed
from rimlock.crypto.passwords.errors import HashUnreadable
from rimlock.crypto.passwords.foreign.form import form
from rimlock.crypto.passwords.stored import require_equal

__all__ = ["FORMS"]

FEWEST_ROUNDS_LOG2: Final = 7
MOST_ROUNDS_LOG2: Final = 16
_DIGITS: Final = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _phpass(parts: re.Match[str], password: str) -> None:
    rounds_log2 = _DIGITS.index(parts["rounds"])
    if not FEWEST_ROUNDS_LOG2 <= rounds_log2 <= MOST_ROUNDS_LOG2:
        raise HashUnreadable
    secret = as_typed(password)
    digest = _md5(parts["salt"].encode() + secret)
    for _ in range(1 << rounds_log2):
        digest = _md5(digest + secret)
    require_equal(_in_digits(digest).encode(), parts["digest"].encode())


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()


def _in_digits(digest: bytes) -> str:
    """Write 16 bytes as 22 digits: three bytes at a time, the lowest six bits first."""
    groups = (int.from_bytes(digest[start : start + 3], "little") for start in range(0, 16, 3))
    digits = "".join(_DIGITS[group >> shift & 63] for group in groups for shift in (0, 6, 12, 18))
    return digits[:22]


FORMS = (
    form(
        "phpass", r"\$[PH]\$(?P<rounds>[./0-9A-Za-z])(?P<salt>[./0-9A-Za-z]{8})(?P<digest>[./0-9A-Za-z]{22})", _phpass
    ),
)
