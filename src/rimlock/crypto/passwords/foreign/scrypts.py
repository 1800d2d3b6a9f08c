"""Scrypt as Better Auth, Werkzeug, Django and passlib write it.

Threat: a stored cost of gigabytes or hours.
Source: RFC 7914; Better Auth's `salt:key` (the salt is the hexadecimal text itself, the password in NFKC, N=16384,
    r=16, p=1, 64 bytes); Werkzeug's `scrypt:`; Django's `scrypt`; passlib's `$scrypt$`.
"""

from __future__ import annotations

import re
from hashlib import scrypt
from typing import Final

from rimlock.crypto.passwords.encoding import as_nfkc, as_typed
from rimlock.crypto.passwords.errors import HashUnreadable
from rimlock.crypto.passwords.foreign.form import form
from rimlock.crypto.passwords.stored import from_base64, from_hex, require_equal, require_length

__all__ = ["FORMS", "bounded_scrypt"]

MOST_MEMORY: Final = 128 * 1024 * 1024
MOST_WORK: Final = 1 << 21
_NUMBER: Final = r"[1-9][0-9]{0,8}"
_SALT: Final = r"(?P<salt>[!-#%-~]+)"


def bounded_scrypt(password: bytes, salt: bytes, *, n: int, r: int, p: int, length: int) -> bytes:
    """Compute scrypt. Raises `HashUnreadable` above 128 MiB (128 x n x r) or 2^21 blocks (n x r x p)."""
    if 128 * n * r > MOST_MEMORY or n * r * p > MOST_WORK:
        raise HashUnreadable
    try:
        return scrypt(password, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=2 * MOST_MEMORY)
    except ValueError:
        raise HashUnreadable from None


def _better_auth(parts: re.Match[str], password: str) -> None:
    salt, key = parts["salt"].encode(), from_hex(parts["key"])
    require_equal(bounded_scrypt(as_nfkc(password), salt, n=16_384, r=16, p=1, length=64), key)


def _werkzeug(parts: re.Match[str], password: str) -> None:
    _require_match(parts, password, parts["salt"].encode(), from_hex(parts["digest"]))


def _django(parts: re.Match[str], password: str) -> None:
    _require_match(parts, password, parts["salt"].encode(), from_base64(parts["digest"]))


def _passlib(parts: re.Match[str], password: str) -> None:
    salt, digest = from_base64(parts["salt"]), require_length(from_base64(parts["digest"]), 32, 64)
    n, r, p = 1 << int(parts["log_n"]), int(parts["r"]), int(parts["p"])
    require_equal(bounded_scrypt(as_typed(password), salt, n=n, r=r, p=p, length=len(digest)), digest)


def _require_match(parts: re.Match[str], password: str, salt: bytes, digest: bytes) -> None:
    n, r, p = int(parts["n"]), int(parts["r"]), int(parts["p"])
    require_length(digest, 64)
    require_equal(bounded_scrypt(as_typed(password), salt, n=n, r=r, p=p, length=64), digest)


FORMS = (
    form("better-auth-scrypt", r"(?P<salt>[0-9a-f]{32}):(?P<key>[0-9a-f]{128})", _better_auth),
    form(
        "werkzeug-scrypt",
        rf"scrypt:(?P<n>{_NUMBER}):(?P<r>{_NUMBER}):(?P<p>{_NUMBER})\${_SALT}\$(?P<digest>[0-9a-f]+)",
        _werkzeug,
    ),
    form(
        "django-scrypt",
        rf"scrypt\$(?P<n>{_NUMBER})\${_SALT}\$(?P<r>{_NUMBER})\$(?P<p>{_NUMBER})\$(?P<digest>[A-Za-z0-9+/=]+)",
        _django,
    ),
    form(
        "passlib-scrypt",
        rf"\$scrypt\$ln=(?P<log_n>[1-9][0-9]?),r=(?P<r>{_NUMBER}),p=(?P<p>{_NUMBER})"
        r"\$(?P<salt>[A-Za-z0-9+/]+)\$(?P<digest>[A-Za-z0-9+/]+)",
        _passlib,
    ),
)
