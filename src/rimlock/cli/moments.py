"""Durations, dates and windows as they are typed.

Threat: a date that is read as another, an hour off or in another month.
Source: RFC 3339; ISO 8601 (intervals: a start, a slash, an end or a duration).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import typer

from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock.core.windows import Window

__all__ = ["moment_of", "seconds_of", "window_of"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DAY_LENGTH = 10


def seconds_of(text: str) -> int:
    """Return a duration like 10m, 12h or 30d in seconds. Raises BadParameter."""
    found = re.fullmatch(r"(\d{1,6})([smhdw])", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 10m, 12h or 30d")
    return int(found[1]) * _UNITS[found[2]]


def moment_of(text: str, *, ends: bool = False) -> int:
    """Return a date or a time in seconds since the epoch. Of a bare date its begin or its end; UTC without an offset.

    Raises BadParameter.
    """
    try:
        if len(text) == _DAY_LENGTH:
            found = datetime.combine(date.fromisoformat(text), time(23, 59, 59) if ends else time.min, UTC)
        else:
            found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date; write 2027-03-31 or 2027-03-31T09:00Z") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


def window_of(text: str, every: str | None = None) -> Window:
    """Return a window like 2027-03-01T09:00Z/10m or 2027-03-01T09:00Z/2027-03-01T09:10Z. Raises BadParameter."""
    from rimlock.core.windows import Window

    begin, _, rest = text.partition("/")
    if not rest:
        raise typer.BadParameter(f"{text!r} is no window; write 2027-03-01T09:00Z/10m")
    start = moment_of(begin)
    end = start + seconds_of(rest) if re.fullmatch(r"\d+[smhdw]", rest) else moment_of(rest)
    try:
        return Window(start=start, end=end, every=every)  # type: ignore[arg-type]
    except ConfigurationError as error:
        raise typer.BadParameter(str(error)) from None
