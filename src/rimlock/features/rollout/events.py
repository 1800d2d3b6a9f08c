"""What was done to the counts of usage.

Threat: somebody who wipes out who still calls what, unseen, before a route is turned.
Source: OWASP ASVS 5.0 V16.2.1, V16.4.2. Who did it, from where, is noted with every event.
"""

from __future__ import annotations

from dataclasses import dataclass

from rimlock.core.events import Event

__all__ = ["UsageForgotten"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageForgotten(Event):
    """All counts of usage were deleted by hand. `rows`: how many there were."""

    rows: int
