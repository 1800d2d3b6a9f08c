"""Counts what a piece of work asks of the database.

Threat: a query per request that nobody notices until there are many requests.
Source: design section 8 (query counts on the hot paths).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rimlock.auth import Rimlock

__all__ = ["Statements", "count_statements"]


@dataclass(slots=True)
class Statements:
    """How many statements were run in the block; the number stands once the block is left."""

    count: int = 0


@contextmanager
def count_statements(auth: Rimlock) -> Iterator[Statements]:
    """Count the statements this Rimlock sends to its database inside the block.

    What it does behind the answer (written observations, the polled journal) counts as well, when it falls in.
    """
    before, counted = auth.database.executed, Statements()
    try:
        yield counted
    finally:
        counted.count = auth.database.executed - before
