"""Who somebody is elsewhere: an issuer and a subject lead to one user.

Threat: an account taken over through an address that somebody else wrote into a profile; two accounts made for one
    person in a race; the last way in taken away.
Source: OpenID Connect Core 1.0 section 5.7 (only `iss` and `sub` identify); OWASP ASVS 5.0 V6.8.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, delete, select, update

from rimlock.core.events import Event
from rimlock.core.schema import identity as table

if TYPE_CHECKING:
    from rimlock.core.database import Transaction

__all__ = ["Identity", "IdentityLinked", "IdentityUnlinked", "find", "link", "of_user", "unlink", "used"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One login elsewhere. `verified`: whether the issuer said that the address is proven. Times are in seconds."""

    issuer: str
    subject: str
    user_id: str
    provider: str
    email: str
    verified: bool
    created_at: int
    used_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLinked(Event):
    """A login elsewhere leads to this account from now on."""

    user_id: str
    provider: str
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnlinked(Event):
    """A login elsewhere leads here no more."""

    user_id: str
    provider: str
    issuer: str


def find(tx: Transaction, issuer: str, subject: str) -> Identity | None:
    """Return the identity, if it leads to anybody."""
    row = tx.one(_FIND, {"issuer": issuer, "subject": subject})
    return None if row is None else Identity(**{name: row[name] for name in Identity.__dataclass_fields__})


def of_user(tx: Transaction, user_id: str) -> list[Identity]:
    """Return all identities of a user, oldest first."""
    rows = tx.all(_OF_USER, {"user": user_id})
    return [Identity(**{name: row[name] for name in Identity.__dataclass_fields__}) for row in rows]


def link(
    tx: Transaction,
    user_id: str,
    issuer: str,
    subject: str,
    *,
    provider: str,
    now: int,
    email: str = "",
    verified: bool = False,
) -> Identity:
    """Let the identity lead to this user, unless it leads to somebody already; return what it leads to afterwards.

    Of any number of simultaneous callers one wins, and all get what that one wrote.
    """
    row: dict[str, object] = {"issuer": issuer, "subject": subject, "user_id": user_id, "provider": provider}
    row |= {"email": email, "verified": verified, "created_at": now}
    if tx.change(tx.upsert(table).on_conflict_do_nothing(), row) == 1:
        tx.emit(IdentityLinked(at=now, user_id=user_id, provider=provider, issuer=issuer))
    found = find(tx, issuer, subject)
    assert found is not None  # noqa: S101 - written a line above, or by who was first
    return found


def used(tx: Transaction, identity: Identity, *, now: int) -> None:
    """Note that somebody came by this identity."""
    tx.change(_USED, {"which": identity.issuer, "whose": identity.subject, "now": now})


def unlink(tx: Transaction, user_id: str, issuer: str, subject: str, *, now: int) -> bool:
    """Let the identity lead here no more; False when it did not. That a way in is left is for the caller."""
    found = find(tx, issuer, subject)
    if found is None or tx.change(_UNLINK, {"which": issuer, "whose": subject, "user": user_id}) != 1:
        return False
    tx.emit(IdentityUnlinked(at=now, user_id=user_id, provider=found.provider, issuer=issuer))
    return True


_FIND = select(table).where(table.c.issuer == bindparam("issuer"), table.c.subject == bindparam("subject"))
_OF_USER = select(table).where(table.c.user_id == bindparam("user")).order_by(table.c.created_at, table.c.subject)
_ONE = (table.c.issuer == bindparam("which"), table.c.subject == bindparam("whose"))
_USED = update(table).where(*_ONE).values(used_at=bindparam("now"))
_UNLINK = delete(table).where(*_ONE, table.c.user_id == bindparam("user"))
