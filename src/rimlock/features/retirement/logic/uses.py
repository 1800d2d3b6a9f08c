"""Where a key is used: the counts of usage, by key, route and client.

Threat: a key that is ended while somebody lives on it, because nobody could see who.
Source: requirement L3 (who still uses the old key, on which routes, since when).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, func, select

from rimlock.core.schema import usage as table

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction

__all__ = ["KeyUse", "key_uses"]

BATCH = 500
MOST = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """Requests with one key to one route from one client. `refused`: those a brownout or its end refused or would."""

    key_id: str
    method: str
    path: str
    client: str
    requests: int
    refused: int
    first_seen: int
    last_seen: int


def key_uses(tx: Transaction, key_ids: Collection[str], *, since: int) -> list[KeyUse]:
    """Return how these keys were used on the days from `since` (a day's number) on, the busiest first."""
    wanted = sorted(key_ids)
    return [use for start in range(0, len(wanted), BATCH) for use in _uses(tx, wanted[start : start + BATCH], since)]


def _uses(tx: Transaction, key_ids: list[str], since: int) -> list[KeyUse]:
    c = table.c
    named = (c.credential_id, c.method, c.path, c.client)
    retired = case((c.outcome == "credential_retired", c.requests), else_=0)
    query = (
        select(
            *named,
            func.sum(c.requests).label("requests"),
            func.sum(retired).label("refused"),
            func.min(c.first_seen).label("first_seen"),
            func.max(c.last_seen).label("last_seen"),
        )
        .where(c.credential == "key", c.credential_id.in_(key_ids), c.day >= since)
        .group_by(*named)
        .order_by(func.sum(c.requests).desc(), *named)
        .limit(MOST)
    )
    return [_use(row) for row in tx.all(query)]


def _use(row: RowMapping) -> KeyUse:
    return KeyUse(
        key_id=row["credential_id"],
        method=row["method"],
        path=row["path"],
        client=row["client"],
        requests=int(row["requests"]),
        refused=int(row["refused"]),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
    )
