"""What an account may do: its standing, kept beside whatever table says who it is.

Threat: a role, a disabled account or a changed password that old tokens do not hear of.
Source: design section 4; OWASP ASVS 5.0 V7.4.2, V8.3.2.

Every change that must reach tokens already issued raises the epoch and says so in the journal, in one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, bindparam, cast, delete, insert, select, update

from rimlock.core.errors import NotFound
from rimlock.core.events import Event
from rimlock.core.revocations import announce, hold
from rimlock.core.schema import account as table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import RowMapping

    from rimlock.core.database import Transaction

__all__ = [
    "Account",
    "AccountDisabledEvent",
    "AccountEnabled",
    "RolesChanged",
    "anyone_with",
    "close",
    "open_account",
    "raise_epoch",
    "set_active",
    "set_password_hash",
    "set_roles",
    "set_verified",
    "standing",
    "upgrade_password_hash",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Standing of one user. `epoch` counts the times every token so far was made worthless."""

    user_id: str
    password_hash: str | None
    roles: frozenset[str]
    epoch: int
    active: bool
    verified: bool
    must_change_password: bool
    password_changed_at: int | None

    def __repr__(self) -> str:
        """Show no hash."""
        return (
            f"Account(user_id={self.user_id!r}, active={self.active}, epoch={self.epoch}, roles={sorted(self.roles)})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesChanged(Event):
    """The roles of an account were set to something else."""

    user_id: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDisabledEvent(Event):
    """An account may no longer act; its sessions are ended."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountEnabled(Event):
    """A disabled account may act again."""

    user_id: str


def standing(tx: Transaction, user_id: str, *, held: bool = False) -> Account | None:
    """Return the standing of a user, or None for one we never saw.

    `held`: nobody else changes it before the end of this transaction. Without that a sign-in could begin under a
    password, a role or an account that is being taken away, and outlive it.
    """
    return _account(tx.one(_STANDING_HELD if held else _STANDING, {"user": user_id}))


def open_account(
    tx: Transaction,
    user_id: str,
    *,
    now: int,
    password_hash: str | None = None,
    roles: Iterable[str] = (),
    verified: bool = False,
) -> Account:
    """Give a new user a standing."""
    row = {
        "user_id": user_id,
        "password_hash": password_hash,
        "roles": sorted(set(roles)),
        "verified": verified,
        "created_at": now,
        "password_changed_at": now if password_hash else None,
    }
    tx.change(insert(table), row)
    return _standing(tx, user_id)


def set_roles(tx: Transaction, user_id: str, roles: Iterable[str], *, now: int) -> None:
    """Replace the roles; every access token issued so far stops counting at once. Raises NotFound."""
    names = sorted(set(roles))
    _change(tx, user_id, {"roles": names})
    raise_epoch(tx, user_id, now=now)
    tx.emit(RolesChanged(at=now, user_id=user_id, roles=tuple(names)))


def set_active(tx: Transaction, user_id: str, *, active: bool, now: int) -> None:
    """Let an account act, or not. Its sessions are ended by the caller. Raises NotFound."""
    _change(tx, user_id, {"active": active})
    raise_epoch(tx, user_id, now=now)
    tx.emit(AccountEnabled(at=now, user_id=user_id) if active else AccountDisabledEvent(at=now, user_id=user_id))


def set_password_hash(
    tx: Transaction, user_id: str, password_hash: str, *, now: int, must_change: bool = False
) -> None:
    """Store the hash of a new password. Raises NotFound."""
    _change(
        tx, user_id, {"password_hash": password_hash, "password_changed_at": now, "must_change_password": must_change}
    )
    raise_epoch(tx, user_id, now=now)


def set_verified(tx: Transaction, user_id: str, *, verified: bool, now: int) -> None:
    """Note whether the user proved to own the address; remembered rows are dropped. Raises NotFound."""
    _change(tx, user_id, {"verified": verified})
    announce(tx, "user", user_id, value=_standing(tx, user_id).epoch, now=now)


def upgrade_password_hash(tx: Transaction, user_id: str, old: str, new: str) -> bool:
    """Store a better hash of the same password, unless it was changed meanwhile."""
    changed = update(table).where(table.c.user_id == user_id, table.c.password_hash == old).values(password_hash=new)
    return tx.change(changed) == 1


def raise_epoch(tx: Transaction, user_id: str, *, now: int) -> int:
    """Make every access token of the user worthless, in every process. Return the new epoch. Raises NotFound."""
    _change(tx, user_id, {"epoch": table.c.epoch + 1})
    epoch = _standing(tx, user_id).epoch
    announce(tx, "user", user_id, value=epoch, now=now)
    return epoch


def close(tx: Transaction, user_id: str, *, now: int) -> None:
    """Remove the standing of a deleted user; its tokens die with it."""
    raise_epoch(tx, user_id, now=now)
    tx.change(delete(table).where(table.c.user_id == user_id))


def anyone_with(tx: Transaction, role: str) -> bool:
    """Say whether any active account has the role."""
    named = cast(table.c.roles, Text).contains(dumps(role), autoescape=True)
    return any(role in row["roles"] for row in tx.all(select(table.c.roles).where(table.c.active, named)))


def _standing(tx: Transaction, user_id: str) -> Account:
    found = standing(tx, user_id)
    if found is None:
        raise NotFound
    return found


def _change(tx: Transaction, user_id: str, values: dict[str, Any]) -> None:
    hold(tx)
    if tx.change(update(table).where(table.c.user_id == user_id).values(**values)) != 1:
        raise NotFound


def _account(row: RowMapping | None) -> Account | None:
    if row is None:
        return None
    values = {name: row[name] for name in Account.__dataclass_fields__}
    return Account(**{**values, "roles": frozenset(row["roles"])})


_STANDING = select(table).where(table.c.user_id == bindparam("user"))
_STANDING_HELD = _STANDING.with_for_update(key_share=True)  # SQLite has one writer, and no such clause
