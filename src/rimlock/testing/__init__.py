"""What an application's own tests may use.

Threat: a test double that is laxer than the thing it stands for.
Source: design section 2 (shipped to users).
"""

from __future__ import annotations

from rimlock.testing.clock import FrozenClock
from rimlock.testing.counting import Statements, count_statements
from rimlock.testing.outbox import Outbox
from rimlock.testing.owning import UnownedQuery, unowned_queries
from rimlock.testing.signing_in import Visitor, sign_in, sign_in_async

__all__ = [
    "FrozenClock",
    "Outbox",
    "Statements",
    "UnownedQuery",
    "Visitor",
    "count_statements",
    "sign_in",
    "sign_in_async",
    "unowned_queries",
]
