"""Base64url, one spelling per value.

Threat: two texts for one value (padding, stray bits, whitespace) slip past a check that compares texts.
Source: RFC 4648 sections 3.5 and 5; RFC 7515 section 2 and appendix C.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

__all__ = ["ALPHABET", "decode", "decode_clean", "encode"]

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
"""Every byte that base64url text may hold."""

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", b"", b"==", b"=")
# A short last group leaves bits over; canonical text has them zero, which only these last characters do.
_LAST = (frozenset(ALPHABET), frozenset[int](), frozenset(b"AQgw"), frozenset(b"AEIMQUYcgkosw048"))


def encode(data: bytes) -> str:
    """Return base64url text without padding."""
    return b2a_base64(data, newline=False).rstrip(b"=").translate(_TO_URL).decode("ascii")


def decode(text: str | bytes) -> bytes:
    """Return the bytes behind canonical base64url `text`, or raise ValueError for any other text."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if raw.translate(None, ALPHABET):
        raise ValueError("not base64url")
    return decode_clean(raw) if raw else b""


def decode_clean(raw: bytes) -> bytes:
    """Return the bytes behind non-empty `raw`, whose every byte is already known to be of the alphabet.

    Raises ValueError for an impossible length or for left-over bits that are not zero.
    """
    rest = len(raw) & 3
    if raw[-1] not in _LAST[rest]:
        raise ValueError("not canonical base64url")
    return a2b_base64(raw.translate(_TO_STANDARD) + _PADDING[rest])
