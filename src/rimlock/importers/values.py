"""From what a driver returns to values of ours: ids, texts, flags and moments of six systems on two databases.

Threat: a flag that is misread as yes; a time zone that is guessed twice.
Source: RFC 9562 section 4 (text form of UUIDs); RFC 3339; https://sqlite.org/datatype3.html (SQLite has neither).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from rimlock.importers.records import RowUnfit

__all__ = ["field_of", "id_of", "moment_of", "optional", "text_of", "truth_of"]

_HEX_UUID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
_UUID_BYTES = 16
_TRUE, _FALSE = {"1", "t", "true", "yes"}, {"0", "f", "false", "no"}
MILLISECONDS_FROM = 100_000_000_000
"""A number above this is no count of seconds of this millennium: it counts milliseconds."""


def text_of(value: Any) -> str:
    """Return a value as text, empty for none."""
    if value is None:
        return ""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def optional(value: Any) -> str | None:
    """Return a value as text, None for none and for an empty one."""
    return text_of(value) or None


def id_of(value: Any, *, uuids: bool = False) -> str:
    """Return an id as the source's own tokens write it. `uuids`: 32 hexadecimal digits are a UUID without dashes.

    Raises RowUnfit for none.
    """
    if isinstance(value, bytes | memoryview) and len(value) == _UUID_BYTES:
        return str(UUID(bytes=bytes(value)))
    found = text_of(value)
    if not found:
        raise RowUnfit("id_missing")
    return str(UUID(found)) if uuids and _HEX_UUID.fullmatch(found) else found


def truth_of(value: Any, *, otherwise: bool) -> bool:
    """Return a flag, `otherwise` where nothing is. Raises RowUnfit for anything else: nobody guesses who may act."""
    if value is None:
        return otherwise
    word = text_of(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise RowUnfit("flag_unreadable")


def moment_of(value: Any) -> int | None:
    """Return a moment in seconds since the epoch; without a zone it is UTC. None for what is no moment."""
    if value is None or isinstance(value, bool) or value == "":
        return None
    if isinstance(value, int | float):
        return _seconds(value)
    if isinstance(value, date):
        return _from_date(value)
    return _from_text(text_of(value).strip())


def field_of(value: Any) -> Any:
    """Return a value as a profile may hold it."""
    if value is None or isinstance(value, bool | int | float | list | dict):
        return value
    return value.isoformat() if isinstance(value, date) else text_of(value)


def _seconds(number: float) -> int | None:
    try:
        return int(number / 1000 if abs(number) >= MILLISECONDS_FROM else number)
    except (ValueError, OverflowError):
        return None


def _from_text(text: str) -> int | None:
    try:
        return _from_date(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        return _seconds(float(text))
    except ValueError:
        return None


def _from_date(day: date) -> int | None:
    moment = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day, tzinfo=UTC)
    try:
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
