"""Identifiers of rows: time-ordered, 128 bits, 32 lower-case hexadecimal digits.

Threat: none rests on them. An identifier is never a secret and never proves anything.
Source: RFC 9562 section 5.7 (UUID version 7).
"""

from __future__ import annotations

from secrets import randbits

__all__ = ["new_id"]


def new_id(now: float) -> str:
    """Return a new identifier for the moment `now` (seconds since the epoch): UUIDv7 without dashes."""
    milliseconds = int(now * 1000) & 0xFFFF_FFFF_FFFF
    value = milliseconds << 80 | 0x7 << 76 | randbits(12) << 64 | 0b10 << 62 | randbits(62)
    return f"{value:032x}"
