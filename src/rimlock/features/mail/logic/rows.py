"""The statements on the outbox. Each is one guarded change.

Threat: two claims on one message; a look into years of sent messages each time somebody asks what is due.
Source: https://www.postgresql.org/docs/current/sql-select.html (SKIP LOCKED); OWASP ASVS 5.0 V15.4.2.

`due_at` alone says whether a message waits: who claims it moves that to the end of the claim, who settles it to a
moment that never comes. So the index on it holds little before today, however many were sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, or_, select, update

from rimlock.core.schema import account
from rimlock.core.schema import outbox as table

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction

__all__ = [
    "Claimed",
    "Waiting",
    "again",
    "claim",
    "dead",
    "dead_with_words",
    "empty",
    "forget",
    "give_back",
    "listed",
    "next_due",
    "raise_dead",
    "sent",
    "settle",
    "waiting",
]

DEAD, SENT = 2**62, 2**62 + 1
"""Moments that never come."""

MOST_LISTED = 1_000
LONGEST_ERROR = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message somebody has taken upon themselves, by which claim, and until when."""

    id: str
    kind: str
    user_id: str | None
    sealed: bytes = field(repr=False)
    attempts: int
    by: str
    until: int
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits: messages, since when the oldest of them does, and those that nobody tries any more."""

    messages: int
    oldest: int | None
    dead: int


def next_due(tx: Transaction) -> int | None:
    """Return when the next message is due."""
    found: int | None = tx.value(select(func.min(table.c.due_at)).where(_OPEN))
    return found


def claim(
    tx: Transaction, *, by: str, now: int, until: int, most: int, message_id: str | None = None
) -> Sequence[Claimed]:
    """Take at most so many messages that are due, and that nobody else is taking at this moment."""
    due = select(table.c.id).where(_OPEN, table.c.due_at <= now)
    if message_id is not None:
        due = due.where(table.c.id == message_id)
    picked = due.order_by(table.c.due_at, table.c.id).limit(most).with_for_update(skip_locked=True).cte("picked")
    taking = (
        update(table)
        .where(table.c.id.in_(select(picked.c.id)), _OPEN, table.c.due_at <= now)
        .values(claimed_by=by, claimed_until=until, due_at=until, attempts=table.c.attempts + 1)
        .returning(*(table.c[name] for name in ("id", "kind", "user_id", "sealed", "attempts", "created_at")))
    )
    taken = sorted(tx.all(taking), key=lambda row: (row["created_at"], row["id"]))
    spoken = _languages(tx, {row["user_id"] for row in taken if row["user_id"]})
    return [_claimed(row, by, until, spoken) for row in taken]


def settle(tx: Transaction, row: Claimed, values: Mapping[str, Any]) -> bool:
    """Note what became of a message, unless the claim on it is another's by now."""
    mine = (table.c.id == row.id, table.c.claimed_by == row.by, _OPEN)
    return tx.change(update(table).where(*mine).values(**values)) == 1


def sent(now: int) -> dict[str, Any]:
    """Return what is noted of a message that was sent; what it said is gone."""
    return {**_FREE, "sent_at": now, "due_at": SENT, "sealed": None, "error": ""}


def dead(now: int, reason: str, *, emptied: bool) -> dict[str, Any]:
    """Return what is noted of a message that is not tried again by itself."""
    noted = {**_FREE, "dead_at": now, "due_at": DEAD, "error": reason[:LONGEST_ERROR]}
    return {**noted, "sealed": None} if emptied else noted


def again(due: int, reason: str) -> dict[str, Any]:
    """Return what is noted of a message that is tried again."""
    return {**_FREE, "due_at": due, "error": reason[:LONGEST_ERROR]}


def give_back(tx: Transaction, ids: Sequence[str], *, by: str, due: int) -> int:
    """Let others have what was claimed and not tried."""
    mine = (table.c.id.in_(ids), table.c.claimed_by == by, _OPEN)
    values = {**_FREE, "due_at": due, "attempts": table.c.attempts - 1}
    return tx.change(update(table).where(*mine).values(**values))


def raise_dead(tx: Transaction, *, now: int, message_id: str | None = None) -> int:
    """Let dead messages be tried again from the beginning, or one of them; return how many still say something."""
    which = [table.c.due_at == DEAD, table.c.sealed.is_not(None)]
    if message_id is not None:
        which.append(table.c.id == message_id)
    return tx.change(update(table).where(*which).values(**_FREE, dead_at=None, due_at=now, attempts=0))


def waiting(tx: Transaction) -> Waiting:
    """Count what waits."""
    counted = tx.one(select(func.count().label("messages"), func.min(table.c.created_at).label("oldest")).where(_OPEN))
    buried = tx.value(select(func.count()).where(table.c.due_at == DEAD))
    return Waiting(counted["messages"], counted["oldest"], buried) if counted else Waiting(0, None, buried)


def listed(tx: Transaction, *, dead_only: bool, limit: int) -> Sequence[RowMapping]:
    """Return messages that were not sent, the oldest first; not what they say."""
    shown = [column for column in table.columns if column.name != "sealed"]
    which = table.c.due_at == DEAD if dead_only else or_(_OPEN, table.c.due_at == DEAD)
    held = table.c.sealed.is_not(None).label("held")
    return tx.all(select(*shown, held).where(which).order_by(table.c.created_at, table.c.id).limit(limit))


def dead_with_words(tx: Transaction) -> Sequence[Claimed]:
    """Return dead messages that still say something."""
    found = select(table).where(table.c.due_at == DEAD, table.c.sealed.is_not(None)).limit(MOST_LISTED)
    return [_claimed(row, "", 0, {}) for row in tx.all(found)]


def empty(tx: Transaction, ids: Sequence[str]) -> int:
    """Forget what these dead messages say."""
    which = (table.c.id.in_(ids), table.c.due_at == DEAD)
    return tx.change(update(table).where(*which).values(sealed=None))


def forget(tx: Transaction, *, before: int) -> int:
    """Delete messages that were sent, or given up, before a moment."""
    return tx.change(delete(table).where(or_(table.c.sent_at < before, table.c.dead_at < before)))


def _languages(tx: Transaction, users: set[str]) -> dict[str, str | None]:
    if not users:
        return {}
    found = tx.all(select(account.c.user_id, account.c.locale).where(account.c.user_id.in_(sorted(users))))
    return {row["user_id"]: row["locale"] for row in found}


def _claimed(row: RowMapping, by: str, until: int, spoken: Mapping[str, str | None]) -> Claimed:
    return Claimed(
        id=row["id"],
        kind=row["kind"],
        user_id=row["user_id"],
        sealed=row["sealed"] or b"",
        attempts=row["attempts"],
        by=by,
        until=until,
        locale=spoken.get(row["user_id"] or ""),
    )


_FREE: dict[str, Any] = {"claimed_by": None, "claimed_until": None}
_OPEN = (table.c.due_at < DEAD) & table.c.sent_at.is_(None) & table.c.dead_at.is_(None)
