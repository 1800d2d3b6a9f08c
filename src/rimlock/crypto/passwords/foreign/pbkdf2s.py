"""PBKDF2 as Django, Werkzeug and passlib write it.

Threat: a stored iteration count of billions; a digest cut to a byte or two.
Source: RFC 8018 section 5.2; Django's `pbkdf2_sha256` and `pbkdf2_sha1`; Werkzeug's `pbkdf2:`; passlib's `$pbkdf2`.
"""

from __future__ import annotations

import re
from hashlib import new, pbkdf2_hmac
from typing import Final

from rimlock.crypto.passwords.encoding import as_typed
from rimlock.crypto.passwords.errors import HashUnreadable
from rimlock.crypto.passwords.foreign.form import form
from rimlock.crypto.passwords.stored import from_base64, from_hex, require_equal, require_length

__all__ = ["FORMS"]

MOST_ITERATIONS: Final = 5_000_000
_COUNT: Final = r"(?P<count>[1-9][0-9]{0,9})"
_BASE64: Final = r"[A-Za-z0-9+/=]+"
_ADAPTED_BASE64: Final = r"[A-Za-z0-9./]+"


def _django(parts: re.Match[str], password: str) -> None:
    _require_match(parts, password, parts["salt"].encode(), from_base64(parts["digest"]))


def _werkzeug(parts: re.Match[str], password: str) -> None:
    _require_match(parts, password, parts["salt"].encode(), from_hex(parts["digest"]))


def _passlib(parts: re.Match[str], password: str) -> None:
    _require_match(parts, password, from_base64(parts["salt"]), from_base64(parts["digest"]))


def _require_match(parts: re.Match[str], password: str, salt: bytes, digest: bytes) -> None:
    iterations, hash_name = int(parts["count"]), parts["hash"] or "sha1"
    if iterations > MOST_ITERATIONS:
        raise HashUnreadable
    require_length(digest, new(hash_name, usedforsecurity=False).digest_size)
    require_equal(pbkdf2_hmac(hash_name, as_typed(password), salt, iterations), digest)


FORMS = (
    form(
        "django-pbkdf2",
        rf"pbkdf2_(?P<hash>sha256|sha1)\${_COUNT}\$(?P<salt>[!-#%-~]+)\$(?P<digest>{_BASE64})",
        _django,
    ),
    form(
        "werkzeug-pbkdf2",
        rf"pbkdf2:(?P<hash>sha512|sha256|sha1):{_COUNT}\$(?P<salt>[!-#%-~]+)\$(?P<digest>[0-9a-f]+)",
        _werkzeug,
    ),
    form(
        "passlib-pbkdf2",
        rf"\$pbkdf2(?:-(?P<hash>sha512|sha256))?\${_COUNT}\$(?P<salt>{_ADAPTED_BASE64})\$(?P<digest>{_ADAPTED_BASE64})",
        _passlib,
    ),
)
