"""Counters of attempts in the database: one statement takes a place in each of them, one gives the places back.

Threat: forty guesses at once that all read the counter before one of them writes it; a clock that is moved.
Source: OWASP ASVS 5.0 V2.3.4, V6.3.1, V15.4.2; ZITADEL CVE-2023-47111.

A count is of failures, and is forgotten once its window has passed since the last of them. An attempt whose outcome
is not known yet holds a place as if it had failed, for `HOLD_SECONDS` at most: what fails later counts all the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sqlalchemy import BigInteger, TextClause, bindparam, delete, or_, select, text

from rimlock.core.schema import limit as table

if TYPE_CHECKING:
    from rimlock.core.database import Database, Transaction

__all__ = [
    "FOREVER",
    "HOLD_SECONDS",
    "MOST_BUCKETS",
    "Bucket",
    "Change",
    "Counters",
    "CountersDown",
    "Full",
    "Kind",
    "Outcome",
    "SqlCounters",
    "change_of",
    "forget_expired",
    "forgive",
    "held",
    "judge",
    "settle",
    "take",
]

HOLD_SECONDS = 30
"""How long an attempt may take. One whose process died gives its place back after that."""

FOREVER = 100 * 365 * 24 * 3600
"""Seconds of a count that only a success ends."""

MOST_BUCKETS = 4
Kind = Literal["address", "account", "pair", "total", "device", "device_total", "session", "session_total", "visits"]
Outcome = Literal["passed", "failed", "void"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One counter of an attempt.

    `limit`: how many places it has, None for a counter that only counts. `seconds`: after how long without a failure
    it is forgotten. `cleared`: a success empties it; otherwise it gives back its own place and no other.
    `each`: counts successes too, in windows that begin with the first.
    """

    key: str
    kind: Kind
    limit: int | None
    seconds: int
    cleared: bool = False
    each: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """The attempt found no place. `waiting`: only because others have not come to an end; one may become free."""

    bucket: Bucket
    resets_at: int
    retry_after: int
    waiting: bool


class CountersDown(Exception):
    """The shared counters did not answer. Nothing was counted."""


class Counters(Protocol):
    """Where attempts are counted. All buckets of an attempt change at once, or none."""

    async def take(self, buckets: Sequence[Bucket], now: int) -> Full | None:
        """Take a place in each bucket; return what is full, and then nothing was taken. Raises CountersDown."""

    async def settle(self, buckets: Sequence[Bucket], outcome: Outcome, *, since: int, now: int) -> tuple[Bucket, ...]:
        """Give the places back and count the outcome; return the buckets this made full. Raises CountersDown."""
        ...

    async def forgive(self, accounts: Sequence[str]) -> None:
        """Empty every bucket of these names of accounts. Raises CountersDown."""

    async def close(self) -> None:
        """Give connections back."""


class SqlCounters:
    """Counters in the table `auth_limit`."""

    def __init__(self, database: Database) -> None:
        """The table belongs to the database."""
        self.database = database

    async def take(self, buckets: Sequence[Bucket], now: int) -> Full | None:
        """See Counters.take. Raises Unavailable."""
        try:
            await self.database.write(lambda tx: take(tx, buckets, now))
        except _NoPlace as none:
            return none.full
        return None

    async def settle(self, buckets: Sequence[Bucket], outcome: Outcome, *, since: int, now: int) -> tuple[Bucket, ...]:
        """See Counters.settle. Raises Unavailable."""
        return await self.database.write(lambda tx: settle(tx, buckets, outcome, since=since, now=now))

    async def forgive(self, accounts: Sequence[str]) -> None:
        """See Counters.forgive. Raises Unavailable."""
        await self.database.write(lambda tx: forgive(tx, accounts))

    async def close(self) -> None:
        """See Counters.close. The database closes its own."""


class _NoPlace(Exception):
    """Undoes the transaction: who was not let in has taken no place anywhere."""

    def __init__(self, full: Full) -> None:
        self.full = full
        super().__init__("no place")


def take(tx: Transaction, buckets: Sequence[Bucket], now: int) -> None:
    """Take a place in each bucket, by one statement."""
    ordered = sorted(buckets, key=_key)
    given: dict[str, Any] = {"now": now, "hold": HOLD_SECONDS, "until": now + HOLD_SECONDS}
    for place, bucket in enumerate(ordered):
        given |= {f"k{place}": bucket.key, f"r{place}": now + bucket.seconds}
    rows = {row["key"]: row for row in tx.all(_TAKE[len(ordered)], given)}
    full = judge(
        (
            (bucket, rows[bucket.key]["hits"], rows[bucket.key]["pending"] - 1, rows[bucket.key]["resets_at"])
            for bucket in ordered
        ),
        now,
    )
    if full is not None:
        raise _NoPlace(full)


def settle(tx: Transaction, buckets: Sequence[Bucket], outcome: Outcome, *, since: int, now: int) -> tuple[Bucket, ...]:
    """Give the places taken at `since` back and count the outcome, by one statement; return what this made full."""
    ordered = sorted(buckets, key=_key)
    given: dict[str, Any] = {"now": now}
    for place, bucket in enumerate(ordered):
        change = change_of(bucket, outcome)
        resets = now if change.clears else now + bucket.seconds
        given |= {f"k{place}": bucket.key, f"r{place}": resets, f"h{place}": change.hits}
        given |= {f"x{place}": change.extends + 2 * held(since, now), f"c{place}": change.clears}
    hits = {row["key"]: row["hits"] for row in tx.all(_SETTLE[len(ordered)], given)}
    return tuple(bucket for bucket in ordered if outcome == "failed" and hits[bucket.key] == bucket.limit)


def forgive(tx: Transaction, accounts: Sequence[str]) -> int:
    """Empty every counter of these names of accounts; return how many."""
    named = (table.c.key.like(f"%@{account}%") for account in accounts)
    doomed = select(table.c.key).where(or_(*named)).order_by(table.c.key).with_for_update()
    return tx.change(delete(table).where(table.c.key.in_(doomed)))


def forget_expired(tx: Transaction, now: int) -> int:
    """Delete counters that say nothing any more; return how many."""
    over = table.c.resets_at <= now, table.c.pending_until <= now
    # What an attempt holds at this moment is no longer over in the next one, and nobody has to wait for this.
    doomed = select(table.c.key).where(*over).with_for_update(skip_locked=True)
    return tx.change(delete(table).where(table.c.key.in_(doomed)))


@dataclass(frozen=True, slots=True)
class Change:
    """What an outcome does to one counter, each 0 or 1. One that is emptied is over, and can be forgotten."""

    hits: int
    extends: int
    clears: int


def change_of(bucket: Bucket, outcome: Outcome) -> Change:
    """Return what the outcome does to the counter. One that was void leaves it as if nobody had come."""
    counted = outcome == "failed" or (outcome == "passed" and bucket.each)
    clears = outcome == "passed" and bucket.cleared
    return Change(int(counted), int(clears or (counted and not bucket.each)), int(clears))


def judge(found: Any, now: int) -> Full | None:
    """Return the fullest of the buckets: the one that stays full longest, None when there was a place in each.

    `found`: each bucket with its failures, the places that others hold, and when it resets.
    """
    full = [
        Full(
            bucket=bucket,
            resets_at=resets_at,
            retry_after=_seconds_left(bucket, resets_at, now) if hits >= bucket.limit else 1,
            waiting=hits < bucket.limit,
        )
        for bucket, hits, others, resets_at in found
        if bucket.limit is not None and hits + others >= bucket.limit
    ]
    return max(full, key=lambda one: (not one.waiting, one.retry_after), default=None)


def _seconds_left(bucket: Bucket, resets_at: int, now: int) -> int:
    """What only a success resets is worth another look after a quarter of an hour: somebody may have lifted it."""
    return _LOOK_AGAIN if bucket.kind in _IN_ALL else min(max(1, resets_at - now), bucket.seconds)


def held(since: int, now: int) -> bool:
    """Whether the place is still the attempt's own: after HOLD_SECONDS it may be somebody else's."""
    return 0 <= now - since < HOLD_SECONDS


def _key(bucket: Bucket) -> str:
    return bucket.key  # rows are locked in this order, so that two attempts never wait for each other


_LOOK_AGAIN = 900
_IN_ALL: frozenset[Kind] = frozenset({"total", "device_total", "session_total"})

# A time further ahead than twice its window was written before the clock was set back: it counts as over. Twice, since
# the clocks of several hosts differ a little.
LIVING = "auth_limit.resets_at > :now AND auth_limit.resets_at - :now <= 2 * (excluded.resets_at - :now)"
HELD = "auth_limit.pending_until > :now AND auth_limit.pending_until - :now <= 2 * :hold"
INTO = "INSERT INTO auth_limit (key, hits, resets_at, pending, pending_until) VALUES"
TAKEN = f"""
ON CONFLICT (key) DO UPDATE SET
  hits = CASE WHEN {LIVING} THEN auth_limit.hits ELSE 0 END,
  resets_at = CASE WHEN {LIVING} THEN auth_limit.resets_at ELSE excluded.resets_at END,
  pending = CASE WHEN {HELD} THEN auth_limit.pending + 1 ELSE 1 END,
  pending_until = excluded.pending_until
RETURNING key, hits, pending, resets_at
"""
# What an outcome does to a counter travels in two columns of the row that would be inserted: in `pending`, 1 when the
# window begins anew and 2 when a place is given back; in `pending_until`, 1 when the counter is emptied. Where there is
# no such counter any more, the row is inserted as it stands, and a place held until 1970 is none.
SETTLED = f"""
ON CONFLICT (key) DO UPDATE SET
  hits = CASE WHEN excluded.pending_until = 1 THEN 0
              WHEN {LIVING} THEN auth_limit.hits + excluded.hits ELSE excluded.hits END,
  resets_at = CASE WHEN excluded.pending IN (1, 3) THEN excluded.resets_at
                   WHEN {LIVING} THEN auth_limit.resets_at ELSE excluded.resets_at END,
  pending = CASE WHEN excluded.pending >= 2 AND auth_limit.pending > 0
                 THEN auth_limit.pending - 1 ELSE auth_limit.pending END
RETURNING key, hits
"""
T0 = "(:k0, 0, CAST(:r0 AS BIGINT), 1, CAST(:until AS BIGINT))"
T1 = f"{T0}, (:k1, 0, CAST(:r1 AS BIGINT), 1, CAST(:until AS BIGINT))"
T2 = f"{T1}, (:k2, 0, CAST(:r2 AS BIGINT), 1, CAST(:until AS BIGINT))"
T3 = f"{T2}, (:k3, 0, CAST(:r3 AS BIGINT), 1, CAST(:until AS BIGINT))"
S0 = "(:k0, CAST(:h0 AS INTEGER), CAST(:r0 AS BIGINT), CAST(:x0 AS INTEGER), CAST(:c0 AS BIGINT))"
S1 = f"{S0}, (:k1, CAST(:h1 AS INTEGER), CAST(:r1 AS BIGINT), CAST(:x1 AS INTEGER), CAST(:c1 AS BIGINT))"
S2 = f"{S1}, (:k2, CAST(:h2 AS INTEGER), CAST(:r2 AS BIGINT), CAST(:x2 AS INTEGER), CAST(:c2 AS BIGINT))"
S3 = f"{S2}, (:k3, CAST(:h3 AS INTEGER), CAST(:r3 AS BIGINT), CAST(:x3 AS INTEGER), CAST(:c3 AS BIGINT))"


def _typed(statement: TextClause) -> TextClause:
    """Times do not fit into four bytes for ever, and some of them are a century ahead."""
    named = set(re.findall(r"(?<!:):([a-z]+[0-9]?)", statement.text)) - {"k0", "k1", "k2", "k3"}
    return statement.bindparams(*(bindparam(name, type_=BigInteger) for name in sorted(named)))


_TAKE = {
    1: _typed(text(f"{INTO} {T0} {TAKEN}")),
    2: _typed(text(f"{INTO} {T1} {TAKEN}")),
    3: _typed(text(f"{INTO} {T2} {TAKEN}")),
    4: _typed(text(f"{INTO} {T3} {TAKEN}")),
}
_SETTLE = {
    1: _typed(text(f"{INTO} {S0} {SETTLED}")),
    2: _typed(text(f"{INTO} {S1} {SETTLED}")),
    3: _typed(text(f"{INTO} {S2} {SETTLED}")),
    4: _typed(text(f"{INTO} {S3} {SETTLED}")),
}
