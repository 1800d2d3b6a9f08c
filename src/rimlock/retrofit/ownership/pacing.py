"""How much at once, and how long to step aside: so that nobody who uses the application waits for the backfill.

Threat: a backfill that is fast because everybody else stands still.
Source: https://sqlite.org/c3ref/busy_timeout.html (a waiting writer looks again only now and then).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Pace"]

SMALLEST, LONGEST_PAUSE = 200, 1.0
LONGEST_HOLD = {"sqlite": 0.03, "postgresql": 0.08}
"""Seconds a batch should hold its locks at most: all writers of a file, or those few who want the same rows."""
SHARE = {"sqlite": 3.0, "postgresql": 0.5}
"""Times as long as a batch held its locks that nothing is held after it. SQLite has one lock for all writers."""


@dataclass(slots=True, kw_only=True)
class Pace:
    """The pace of one backfill. `most`: rows in a batch at most. `pause`: seconds between two batches at least."""

    dialect: str
    most: int
    pause: float = 0.0
    size: int = 0

    def __post_init__(self) -> None:
        """Begin small: nothing is known of the machine yet."""
        self.size = self.size or min(self.most, 250)

    def after(self, held: float) -> float:
        """Learn from a batch that held its locks for so many seconds; return for how many to step aside."""
        longest = LONGEST_HOLD[self.dialect]
        if held > longest:
            self.size = max(min(SMALLEST, self.most), int(self.size * max(0.5, longest / held)))
        elif held < longest / 2:
            self.size = min(self.most, self.size * 2)
        return min(LONGEST_PAUSE, max(self.pause, held * SHARE[self.dialect]))
