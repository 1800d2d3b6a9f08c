"""What an application's own tests may use.

Threat: a test double that is laxer than the thing it stands for.
Source: design section 2 (shipped to users).
"""

from __future__ import annotations

from rimlock.testing.clock import FrozenClock

__all__ = ["FrozenClock"]
