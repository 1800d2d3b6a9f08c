"""Who would have been refused: counted in memory, written in batches.

Threat: a memory or a table that a stranger can fill; a count that costs the request it counts.
Source: design section 5 (observe).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, select

from rimlock.core.principal import ANONYMOUS_KIND
from rimlock.core.schema import observation as table

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.errors import AuthError
    from rimlock.core.principal import Principal

__all__ = ["Observation", "Observations", "forget", "observed", "write"]

LARGEST = 5_000
"""Different observations held in memory; more are counted under `other`."""

Key = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Requests to one route, with one credential, that one reason would have refused. Times in seconds."""

    method: str
    path: str
    credential: str
    credential_id: str
    outcome: str
    label: str
    requests: int
    first_seen: int
    last_seen: int


class Observations:
    """What one process saw since it last wrote."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._seen: dict[Key, list[int]] = {}
        self._labels: dict[Key, str] = {}

    def __len__(self) -> int:
        """How many different observations wait to be written."""
        return len(self._seen)

    def note(self, method: str, path: str, principal: Principal | None, error: AuthError, now: int) -> None:
        """Count one request."""
        kind = principal.kind if principal else ANONYMOUS_KIND
        key = (method, path[:500], kind, principal.credential_id if principal and kind == "key" else "", error.code)
        if key not in self._seen and len(self._seen) >= LARGEST:
            key = ("*", "other", kind, "", error.code)
        entry = self._seen.setdefault(key, [0, now, now])
        entry[0] += 1
        entry[2] = now
        self._labels[key] = principal.label if principal else ""

    def drain(self) -> list[Observation]:
        """Hand over everything and start anew."""
        seen, self._seen = self._seen, {}
        labels, self._labels = self._labels, {}
        return [_observation(key, entry, labels[key]) for key, entry in seen.items()]

    def put_back(self, drained: list[Observation]) -> None:
        """Take back what could not be written."""
        for one in drained:
            key = (one.method, one.path, one.credential, one.credential_id, one.outcome)
            entry = self._seen.setdefault(key, [0, one.first_seen, one.last_seen])
            entry[0] += one.requests
            entry[1] = min(entry[1], one.first_seen)
            self._labels.setdefault(key, one.label)


def write(tx: Transaction, drained: list[Observation]) -> None:
    """Add the counts to the table, one statement for all of them."""
    insert = tx.upsert(table)
    new = insert.excluded
    statement = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={
            "requests": table.c.requests + new.requests,
            "last_seen": case((new.last_seen > table.c.last_seen, new.last_seen), else_=table.c.last_seen),
            "label": new.label,
        },
    )
    rows = [{name: getattr(one, name) for name in Observation.__dataclass_fields__} for one in drained]
    tx.change(statement, sorted(rows, key=lambda row: tuple(map(str, row.values()))))


def observed(tx: Transaction, *, path: str | None = None, limit: int = 200) -> list[Observation]:
    """Return what was seen, most frequent first (of one route, when given)."""
    query = select(table).order_by(table.c.requests.desc(), table.c.method, table.c.path).limit(limit)
    if path is not None:
        query = query.where(table.c.path == path)
    return [Observation(**row) for row in tx.all(query)]


def forget(tx: Transaction) -> int:
    """Delete every observation; return how many."""
    return tx.change(delete(table))


def _observation(key: Key, entry: list[int], label: str) -> Observation:
    method, path, credential, credential_id, outcome = key
    return Observation(
        method=method,
        path=path,
        credential=credential,
        credential_id=credential_id,
        outcome=outcome,
        label=label,
        requests=entry[0],
        first_seen=entry[1],
        last_seen=entry[2],
    )
