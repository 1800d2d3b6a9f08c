"""The parts of a stored hash: decoded strictly, compared in constant time.

Threat: a truncated digest that a wrong password matches by luck; a comparison whose time tells how much was right.
Source: RFC 4648 sections 4 and 8; OWASP ASVS 5.0 V11.2.4.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from hmac import compare_digest

from rimlock.crypto.passwords.errors import HashUnreadable, PasswordMismatch

__all__ = ["LONGEST", "from_base64", "from_hex", "require_equal", "require_length"]

LONGEST = 1_024
"""Stored forms longer than this, in characters, are not read."""

_STANDARD_ALPHABET = str.maketrans("._-", "+/+", "=")
# "." is what passlib writes for "+", "_" and "-" are the URL-safe digits, and padding says nothing.


def from_base64(text: str) -> bytes:
    """Decode base64 with or without padding, in the standard, URL-safe or passlib alphabet. Raises `HashUnreadable`."""
    digits = text.translate(_STANDARD_ALPHABET)
    try:
        return b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (Base64Error, ValueError):
        raise HashUnreadable from None


def from_hex(text: str) -> bytes:
    """Decode hexadecimal digits. Raises `HashUnreadable`."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise HashUnreadable from None


def require_length(digest: bytes, *lengths: int) -> bytes:
    """Return the digest if it has one of the lengths (bytes). Raises `HashUnreadable`: a part proves little."""
    if len(digest) not in lengths:
        raise HashUnreadable
    return digest


def require_equal(computed: bytes, expected: bytes) -> None:
    """Compare in constant time. Raises `PasswordMismatch`."""
    if not compare_digest(computed, expected):
        raise PasswordMismatch
