"""From what was typed to the bytes that are hashed, in one documented step per scheme.

Threat: the same password typed on two keyboards that makes two hashes; a long text that burns time; a NUL that
    ends the password early in a C library.
Source: NIST SP 800-63B-4 section 3.1.1.2 (normalise by NFC or NFKC, then hash); UAX #15; RFC 8265 section 4.2 (NFC).

Our own scheme, version 1 (the tag `nfc1`), is NFC and then UTF-8. NFC joins only what Unicode calls canonically
equal, so no two passwords that look different become one. Another system's hash gets the bytes that system hashed.
"""

from __future__ import annotations

from unicodedata import normalize

from rimlock.crypto.passwords.errors import PasswordTooLong, PasswordUnencodable

__all__ = ["MAXIMUM_BYTES", "as_nfc", "as_nfkc", "as_typed"]

MAXIMUM_BYTES = 1_024
"""The longest password, in bytes of UTF-8 after NFC."""

_MOST_CODE_POINTS = 2 * MAXIMUM_BYTES
# No text of 1,024 bytes in NFC has more code points than this in any canonically equal spelling (U+0390 is the worst:
# two bytes, three code points), and normalising marks in a bad order takes quadratic time, so this is asked first.


def as_nfc(password: str) -> bytes:
    """Return the bytes of our own scheme. Raises `PasswordTooLong`, `PasswordUnencodable`."""
    if len(password) > _MOST_CODE_POINTS:
        raise PasswordTooLong
    if "\0" in password:
        raise PasswordUnencodable
    try:
        encoded = normalize("NFC", password).encode()
    except UnicodeEncodeError:
        raise PasswordUnencodable from None
    if len(encoded) > MAXIMUM_BYTES:
        raise PasswordTooLong
    return encoded


def as_typed(password: str) -> bytes:
    """Return the UTF-8 of exactly what was typed, for origins that normalise nothing. Raises as `as_nfc` does."""
    as_nfc(password)
    return password.encode()


def as_nfkc(password: str) -> bytes:
    """Return the UTF-8 of the NFKC form, for origins that hash it. Raises as `as_nfc` does."""
    as_nfc(password)
    return normalize("NFKC", password).encode()
