"""The one place that reads the time.

Threat: a check against a clock nobody can move in a test is a check nobody tests.
Source: RFC 7519 section 2 (NumericDate: whole seconds since the epoch, UTC).
"""

from __future__ import annotations

from collections.abc import Callable
from time import time

__all__ = ["Clock", "system_clock"]

Clock = Callable[[], float]
"""Seconds since the Unix epoch, UTC."""


def system_clock() -> float:
    """Return the seconds since the Unix epoch by the machine's clock."""
    return time()
