"""Stretches of time that are agreed beforehand: once, or every day or week again. UTC only.

Threat: a window that never ends, or moves by an hour when a clock is put back somewhere.
Source: RFC 3339 (times with their offset); POSIX (a day has 86,400 seconds).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rimlock.core.errors import ConfigurationError

__all__ = ["EVERY", "Window", "ends_at", "merged", "over"]

Every = Literal["day", "week"]
EVERY: Mapping[str, int] = {"day": 86_400, "week": 604_800}
"""How many seconds after one occurrence the next one begins."""

MOST_STEPS = 64
"""Windows that follow each other without a gap are joined this many times; what lasts longer has no known end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `start` until before `end`, in seconds since the epoch; with `every` again each day or week from then on."""

    start: int
    end: int
    every: Every | None = None

    def __post_init__(self) -> None:
        """Refuse what is empty, runs backwards or overlaps itself. Raises ConfigurationError."""
        if not 0 <= self.start < self.end < 1 << 53:
            raise ConfigurationError("a window has to end after it starts")
        if self.every is not None and self.every not in EVERY:
            raise ConfigurationError("a window comes again every day or every week")
        if self.every is not None and self.end - self.start >= EVERY[self.every]:
            raise ConfigurationError(f"a window of every {self.every} has to be over before the next one")

    def until(self, now: float) -> int | None:
        """Return when the occurrence that holds now will be over, None while none holds."""
        if now < self.start:
            return None
        period = EVERY[self.every] if self.every else 0
        end = self.end + (int((now - self.start) // period) * period if period else 0)
        return end if now < end else None

    def over(self, now: float) -> bool:
        """Say whether it will not come again."""
        return self.every is None and self.end <= now

    def next(self, now: float) -> int | None:
        """Return when it begins next, after now; None when it does not."""
        if now < self.start:
            return self.start
        if self.every is None:
            return None
        period = EVERY[self.every]
        return self.start + (int(now - self.start) // period + 1) * period

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return {"start": self.start, "end": self.end, "every": self.every}


def ends_at(windows: Iterable[Window], now: float) -> tuple[bool, int | None]:
    """Say whether one of the windows holds now, and when none will any more: None when that cannot be foreseen."""
    known = tuple(windows)
    end: int | None = None
    for _ in range(MOST_STEPS):
        later = [until for window in known if (until := window.until(now if end is None else end)) is not None]
        if not later:
            return end is not None, end
        end = max(later)
    return True, None


def merged(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return the same time in as few windows as it takes: those of one date joined where they touch, in order."""
    known = sorted(set(windows), key=lambda window: (window.start, window.end, window.every or ""))
    joined: list[Window] = []
    for window in (one for one in known if one.every is None):
        if joined and window.start <= joined[-1].end:
            joined[-1] = replace(joined[-1], end=max(joined[-1].end, window.end))
        else:
            joined.append(window)
    return tuple(sorted([*joined, *(one for one in known if one.every is not None)], key=lambda one: one.start))


def over(windows: Iterable[Window], now: float) -> bool:
    """Say whether all of the windows are over for good."""
    return all(window.over(now) for window in windows)
