"""A clock that a test moves by hand.

Threat: a lifetime that is tested by waiting is tested loosely or not at all.
Source: design section 3 (one clock, passed as a value).
"""

from __future__ import annotations

from datetime import timedelta

__all__ = ["FrozenClock"]

START = 1_800_000_000.0
"""15 January 2027, 08:00 UTC: a moment like any other, the same in every run."""


class FrozenClock:
    """Stands still at `at` (seconds since the epoch) until it is moved. Pass it wherever a `Clock` is asked for."""

    def __init__(self, at: float = START) -> None:
        self._at = at

    def __call__(self) -> float:
        """Return the moment it stands at, in seconds since the epoch."""
        return self._at

    def advance(self, by: timedelta | float) -> float:
        """Move on by a duration or by seconds (backwards when negative) and return the new moment."""
        self._at += by.total_seconds() if isinstance(by, timedelta) else by
        return self._at
