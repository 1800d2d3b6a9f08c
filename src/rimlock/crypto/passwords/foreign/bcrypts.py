"""Bcrypt, plain and in Django's two wrappings.

Threat: bcrypt reads 72 bytes and no more: a longer password was cut at its origin, so its tail was never checked.
    We cut in the same place, or the owner could not come in; the hash made at that sign-in covers the whole password.
Source: Provos and Mazières, "A Future-Adaptable Password Scheme" (1999); Django's `bcrypt` and `bcrypt_sha256`.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from rimlock.crypto.passwords.encoding import as_typed
from rimlock.crypto.passwords.errors import HashUnreadable, PasswordMismatch, VerifierMissing
from rimlock.crypto.passwords.foreign.form import form

__all__ = ["FORMS"]

FEWEST_ROUNDS: Final = 4
MOST_ROUNDS: Final = 15
_BYTES_READ: Final = 72
_STRING: Final = r"(?P<string>\$2[aby]\$(?P<rounds>[0-9]{2})\$[./A-Za-z0-9]{53})"


def _plain(parts: re.Match[str], password: str) -> None:
    _require_match(parts, as_typed(password)[:_BYTES_READ])


def _django_sha256(parts: re.Match[str], password: str) -> None:
    _require_match(parts, sha256(as_typed(password)).hexdigest().encode())


def _require_match(parts: re.Match[str], password: bytes) -> None:
    if not FEWEST_ROUNDS <= int(parts["rounds"]) <= MOST_ROUNDS:
        raise HashUnreadable
    try:
        from bcrypt import checkpw
    except ImportError:
        raise VerifierMissing from None
    try:
        matches = checkpw(password, parts["string"].encode())
    except ValueError:
        raise HashUnreadable from None
    if not matches:
        raise PasswordMismatch


FORMS = (
    form("bcrypt", rf"(?:bcrypt\$)?{_STRING}", _plain),
    form("django-bcrypt-sha256", rf"bcrypt_sha256\${_STRING}", _django_sha256),
)
