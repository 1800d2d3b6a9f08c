"""Single-use secrets: bound to a purpose, stored by digest, spent by one guarded statement.

Threat: a link used twice, used for something else, or read out of the database.
Source: OWASP ASVS 5.0 V6.5.1, V15.4.2; RFC 6819 section 5.1.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from rimlock.core.errors import AuthError
from rimlock.core.schema import challenge as table
from rimlock.crypto.opaque import OpaqueRefused, new_challenge, split_challenge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock.core.database import Transaction

__all__ = [
    "Challenge",
    "ChallengeRefused",
    "consume",
    "forget_expired",
    "issue",
    "issued_since",
    "once",
    "peek",
    "recall",
    "withdraw",
    "withdraw_all",
]


class ChallengeRefused(AuthError):
    """The one-time secret is unknown, spent, expired or for another purpose. Which of these is not told."""

    code, status, title = "challenge_refused", 400, "This link or code is not valid any more."


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A challenge that was presented: whom it was for, and what was noted when it was issued."""

    id: str
    purpose: str
    user_id: str | None
    data: Mapping[str, Any]
    spent: bool = False


def issue(
    tx: Transaction,
    purpose: str,
    *,
    now: int,
    seconds: int,
    user_id: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> str:
    """Make a secret for one use within `seconds`, and return it. It can be read nowhere afterwards."""
    token, challenge_id, stored = new_challenge()
    row = {
        "id": challenge_id,
        "purpose": purpose,
        "digest": stored,
        "user_id": user_id,
        "data": dict(data or {}),
        "created_at": now,
        "expires_at": now + seconds,
    }
    tx.change(insert(table), row)
    return token


def consume(tx: Transaction, purpose: str, token: str, *, now: int) -> Challenge:
    """Spend the secret. Of any number of simultaneous users exactly one succeeds. Raises ChallengeRefused."""
    found = peek(tx, purpose, token, now=now)
    if tx.change(_SPEND, {"which": found.id, "now": now}) != 1:
        raise ChallengeRefused
    return found


def peek(tx: Transaction, purpose: str, token: str, *, now: int) -> Challenge:
    """Return what the secret is for without spending it: it may be gone a moment later. Raises ChallengeRefused."""
    found = recall(tx, purpose, token, now=now)
    if found.spent:
        raise ChallengeRefused
    return found


def recall(tx: Transaction, purpose: str, token: str, *, now: int) -> Challenge:
    """Return what the secret is or was for, also once it is spent or withdrawn, until its time is over.

    For saying to who holds it that it did its work already; nothing may rest on it. Raises ChallengeRefused.
    """
    try:
        challenge_id, presented = split_challenge(token)
    except OpaqueRefused:
        raise ChallengeRefused from None
    row = tx.one(_BY_ID, {"id": challenge_id})
    if row is None or not compare_digest(row["digest"], presented) or row["purpose"] != purpose:
        raise ChallengeRefused
    if row["expires_at"] <= now:
        raise ChallengeRefused
    spent = row["consumed_at"] is not None
    return Challenge(id=challenge_id, purpose=purpose, user_id=row["user_id"], data=row["data"], spent=spent)


def once(tx: Transaction, purpose: str, thing: str, *, now: int, expires_at: int) -> bool:
    """Note that something was used that we keep no row of until then; False when it was used before.

    `thing`: 32 hexadecimal digits that name it and give nothing of it away. `expires_at`: from when on it is refused
    anyhow. Of any number of simultaneous users exactly one gets True.
    """
    row = {"id": thing, "purpose": purpose, "digest": "", "data": {}, "created_at": now}
    row |= {"expires_at": expires_at, "consumed_at": now}
    return tx.change(tx.upsert(table).on_conflict_do_nothing(), row) == 1


def withdraw(tx: Transaction, purpose: str, *, now: int, user_id: str | None = None) -> int:
    """Make the unspent secrets of a purpose (and user, when given) worthless; return how many."""
    statement = update(table).where(table.c.purpose == purpose, table.c.consumed_at.is_(None))
    if user_id is not None:
        statement = statement.where(table.c.user_id == user_id)
    return tx.change(statement.values(consumed_at=now))


def withdraw_all(tx: Transaction, user_id: str, *, now: int) -> int:
    """Make every unspent secret of a user worthless, whatever it is for; return how many."""
    return tx.change(_WITHDRAW_ALL, {"whose": user_id, "now": now})


def issued_since(tx: Transaction, purpose: str, user_id: str, *, since: int) -> int:
    """Count the secrets of a purpose that were made for a user from a moment on, spent or not."""
    return int(tx.value(_ISSUED, {"purpose": purpose, "user": user_id, "since": since}))


def forget_expired(tx: Transaction, *, before: int) -> int:
    """Delete what expired before the given moment; return how many."""
    return tx.change(delete(table).where(table.c.expires_at < before))


_WITHDRAW_ALL = (
    update(table)
    .where(table.c.user_id == bindparam("whose"), table.c.consumed_at.is_(None))
    .values(consumed_at=bindparam("now"))
)
_ISSUED = select(func.count()).where(
    table.c.user_id == bindparam("user"),
    table.c.purpose == bindparam("purpose"),
    table.c.created_at >= bindparam("since"),
)
_BY_ID = select(table).where(table.c.id == bindparam("id"))
_SPEND = (
    update(table)
    .where(table.c.id == bindparam("which"), table.c.consumed_at.is_(None), table.c.expires_at > bindparam("now"))
    .values(consumed_at=bindparam("now"))
)
