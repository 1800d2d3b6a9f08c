"""Who was seen at a route lately, the last first.

Threat: a route closed to a caller nobody remembered.
Source: design section 5 (observe); requirement L3.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rimlock.core.database import Database
    from rimlock.core.usage import Seen

__all__ = ["Caller", "last_callers"]

MOST = 3
DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One kind of caller of one route: by which credential, of what name, with what client, and when last (seconds)."""

    credential: str
    label: str
    client: str
    requests: int
    last_seen: int


async def last_callers(database: Database, now: int) -> dict[tuple[str, str], list[Caller]]:
    """Return the last callers of each route by method and path. Raises Unavailable."""
    from rimlock.core import usage

    since = now // usage.DAY - DAYS
    rows = await database.read(lambda tx: usage.seen(tx, since=since))
    return {
        (method, path): _summed(found) for (method, path), found in _grouped(rows, lambda one: (one.method, one.path))
    }


def _summed(rows: list[Seen]) -> list[Caller]:
    by_caller = _grouped(rows, lambda one: (one.credential, one.credential_id, one.label, one.client))
    callers = [
        Caller(
            credential=credential,
            label=label or identifier,
            client=client,
            requests=sum(one.requests for one in of_caller),
            last_seen=max(one.last_seen for one in of_caller),
        )
        for (credential, identifier, label, client), of_caller in by_caller
    ]
    return sorted(callers, key=lambda one: one.last_seen, reverse=True)[:MOST]


def _grouped(rows: Iterable[Seen], key: Callable[[Seen], tuple[str, ...]]) -> list[tuple[tuple[str, ...], list[Seen]]]:
    ordered = sorted(rows, key=key)
    return [(name, list(members)) for name, members in groupby(ordered, key)]
