"""What an account may do: its standing, kept beside whatever table says who it is.

Threat: a role, a disabled account or a changed password that old tokens do not hear of.
Source: design section 4; OWASP ASVS 5.0 V7.4.2, V8.3.2.

Every change that must reach tokens already issued raises the epoch and says so in the journal, in one transaction.
What would leave nobody who may act as administrator is refused by the statement itself, under the journal's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from json import dumps
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, and_, bindparam, cast, delete, exists, func, insert, not_, or_, select, update

from rimlock.core.errors import AuthError, CredentialInvalid, NotFound
from rimlock.core.events import Event
from rimlock.core.revocations import announce, hold
from rimlock.core.schema import account as table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, FromClause, RowMapping

    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal

__all__ = [
    "ADMIN",
    "Account",
    "AccountApproved",
    "AccountDisabledEvent",
    "AccountEnabled",
    "EmailChanged",
    "LastAdmin",
    "RolesChanged",
    "acts_as",
    "anyone_with",
    "approve",
    "close",
    "has_role",
    "open_account",
    "raise_epoch",
    "require_admin",
    "set_active",
    "set_locale",
    "set_password_hash",
    "set_roles",
    "set_verified",
    "standing",
    "standings",
    "upgrade_password_hash",
]

ADMIN = "admin"
"""The role of those who may do everything."""


class LastAdmin(AuthError):
    """The change would leave nobody who may act as administrator."""

    code, status, title = "last_admin", 409, "This is the last administrator."


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Standing of one user. `epoch` counts the times every token so far was made worthless.

    `waiting`: registered, and not let in yet. `password_expires_at`: until when a temporary password is good, in
    seconds since the epoch; None for one the user chose.
    `locale`: the language messages are written in (RFC 5646), None for the installation's.
    """

    user_id: str
    password_hash: str | None
    roles: frozenset[str]
    epoch: int
    active: bool
    verified: bool
    must_change_password: bool
    password_changed_at: int | None
    password_expires_at: int | None = None
    waiting: bool = False
    locale: str | None = None

    def password_over(self, now: int) -> bool:
        """Say whether the password was temporary and its time is over."""
        return self.password_expires_at is not None and self.password_expires_at <= now

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailChanged(Event):
    """A user took another address. `verified`: whether it was proven to be theirs before."""

    user_id: str
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountApproved(Event):
    """Somebody who had registered was let in."""

    user_id: str


def standing(tx: Transaction, user_id: str, *, held: bool = False) -> Account | None:
    """Return the standing of a user, or None for one we never saw.

    `held`: nobody else changes it before the end of this transaction. Without that a sign-in could begin under a
    password, a role or an account that is being taken away, and outlive it.
    """
    if tx.host is not None:
        return tx.host.standing(tx, user_id, held=held)
    return _account(tx.one(_STANDING_HELD if held else _STANDING, {"user": user_id}))


def standings(tx: Transaction, user_ids: Iterable[str]) -> dict[str, Account]:
    """Return the standing of each of these users who has one."""
    if tx.host is not None:
        return tx.host.standings(tx, user_ids)
    rows = tx.all(select(table).where(table.c.user_id.in_(list(user_ids))))
    return {row["user_id"]: _read(row) for row in rows}


def require_admin(tx: Transaction, principal: Principal) -> None:
    """Return, keeping other changes of standing waiting, while the caller still is an administrator.

    Whoever lost the role, or was disabled, a moment ago changes nothing any more. Raises CredentialInvalid.
    """
    hold(tx)
    caller = standing(tx, principal.user_id or "", held=True)
    if caller is None or not caller.active or caller.epoch != principal.epoch or ADMIN not in caller.roles:
        raise CredentialInvalid


def open_account(
    tx: Transaction,
    user_id: str,
    *,
    now: int,
    password_hash: str | None = None,
    roles: Iterable[str] = (),
    verified: bool = False,
    waiting: bool = False,
    expires_at: int | None = None,
    locale: str | None = None,
) -> Account:
    """Give a new user a standing. `waiting`: not let in yet.

    `expires_at`: when the password is temporary, until when it is good; then it has to be changed first of all.
    `locale`: the language messages to them are written in.
    """
    row = {
        "user_id": user_id,
        "password_hash": password_hash,
        "roles": sorted(set(roles)),
        "verified": verified,
        "created_at": now,
        "password_changed_at": now if password_hash else None,
        "must_change_password": expires_at is not None,
        "password_expires_at": expires_at,
        "waiting": waiting,
        "locale": locale,
    }
    if tx.host is not None:
        tx.host.open(tx, row)
    else:
        tx.change(insert(table), row)
    return _standing(tx, user_id)


def set_roles(tx: Transaction, user_id: str, roles: Iterable[str], *, now: int) -> None:
    """Replace the roles; every access token issued so far stops counting at once. Raises NotFound, LastAdmin."""
    names = sorted(set(roles))
    _change(tx, user_id, {"roles": names}, spare=None if ADMIN in names else now)
    raise_epoch(tx, user_id, now=now)
    tx.emit(RolesChanged(at=now, user_id=user_id, roles=tuple(names)))


def set_active(tx: Transaction, user_id: str, *, active: bool, now: int) -> None:
    """Let an account act, or not. Its sessions are ended by the caller. Raises NotFound, LastAdmin."""
    _change(tx, user_id, {"active": active}, spare=None if active else now)
    raise_epoch(tx, user_id, now=now)
    tx.emit(AccountEnabled(at=now, user_id=user_id) if active else AccountDisabledEvent(at=now, user_id=user_id))


def approve(tx: Transaction, user_id: str, *, now: int) -> None:
    """Let in somebody who waits for it. Raises NotFound for anybody else, and for whom another let in just now."""
    hold(tx)
    if tx.change(_APPROVE, {"which": user_id}) != 1:
        raise NotFound
    raise_epoch(tx, user_id, now=now)
    tx.emit(AccountApproved(at=now, user_id=user_id))


def set_password_hash(
    tx: Transaction,
    user_id: str,
    password_hash: str,
    *,
    now: int,
    must_change: bool = False,
    expires_at: int | None = None,
) -> None:
    """Store the hash of a new password. Raises NotFound.

    `must_change`: nothing works before another one is chosen; `expires_at`: until when this one is good for that.
    """
    values = {
        "password_hash": password_hash,
        "password_changed_at": now,
        "must_change_password": must_change,
        "password_expires_at": expires_at,
    }
    _change(tx, user_id, values)
    raise_epoch(tx, user_id, now=now)


def set_verified(tx: Transaction, user_id: str, *, verified: bool, now: int) -> None:
    """Note whether the user proved to own the address; remembered rows are dropped. Raises NotFound."""
    _change(tx, user_id, {"verified": verified})
    announce(tx, "user", user_id, value=_standing(tx, user_id).epoch, now=now)


def set_locale(tx: Transaction, user_id: str, locale: str | None) -> None:
    """Note in which language messages to the user are written; None for the installation's. Raises NotFound."""
    _change(tx, user_id, {"locale": locale})


def upgrade_password_hash(tx: Transaction, user_id: str, old: str, new: str) -> bool:
    """Store a better hash of the same password, unless it was changed meanwhile."""
    if tx.host is not None:
        return tx.host.better(tx, user_id, old, new)
    changed = update(table).where(table.c.user_id == user_id, table.c.password_hash == old).values(password_hash=new)
    return tx.change(changed) == 1


def raise_epoch(tx: Transaction, user_id: str, *, now: int) -> int:
    """Make every access token of the user worthless, in every process. Return the new epoch. Raises NotFound."""
    _change(tx, user_id, {"epoch": table.c.epoch + 1})
    epoch = _standing(tx, user_id).epoch
    announce(tx, "user", user_id, value=epoch, now=now)
    return epoch


def close(tx: Transaction, user_id: str, *, now: int) -> None:
    """Remove the standing of a deleted user; its tokens die with it. Raises NotFound, LastAdmin."""
    raise_epoch(tx, user_id, now=now)
    if tx.change(delete(table).where(table.c.user_id == user_id, _spared(tx, user_id, now))) != 1:
        raise LastAdmin


def anyone_with(tx: Transaction, role: str) -> bool:
    """Say whether any account that may act has the role."""
    if tx.host is not None and role == ADMIN and tx.host.has_admin(tx):
        return True
    return tx.one(select(table.c.user_id).where(acts_as(table, role)).limit(1)) is not None


def has_role(role: str, accounts: FromClause = table) -> ColumnElement[bool]:
    """Return the condition that an account has the role, letter for letter: it stands in the JSON text of the list.

    Before a quote that is not escaped stands what divides the list. LIKE would take `ADMIN` for `admin` on SQLite.
    """
    listed = cast(accounts.c.roles, Text)
    return or_(*(func.replace(listed, divided + dumps(role), "") != listed for divided in ("[", " ")))


def acts_as(accounts: FromClause, role: str) -> ColumnElement[bool]:
    """Return the condition that an account has the role and may act."""
    return and_(accounts.c.active, not_(accounts.c.waiting), has_role(role, accounts))


def _spared(tx: Transaction, user_id: str, now: int) -> ColumnElement[bool]:
    """Whether administrators are left who can get in, when this account is none of them any more."""
    left = None if tx.host is None else tx.host.admin_besides(user_id)
    if left is None:
        other = table.alias("other")
        gets_in = or_(other.c.password_expires_at.is_(None), other.c.password_expires_at > now)
        left = exists(select(other.c.user_id).where(other.c.user_id != user_id, acts_as(other, ADMIN), gets_in))
    return or_(not_(acts_as(table, ADMIN)), left)


def _standing(tx: Transaction, user_id: str) -> Account:
    found = standing(tx, user_id)
    if found is None:
        raise NotFound
    return found


def _change(tx: Transaction, user_id: str, values: dict[str, Any], *, spare: int | None = None) -> None:
    """Change a row; with `spare`, the time, only when an administrator is left. One at a time: `hold` sees to that."""
    hold(tx)
    if tx.host is not None:
        values = tx.host.change(tx, user_id, values)
    guard = [table.c.user_id == user_id, *([] if spare is None else [_spared(tx, user_id, spare)])]
    if tx.change(update(table).where(*guard).values(**values)) != 1:
        _standing(tx, user_id)
        raise LastAdmin


def _account(row: RowMapping | None) -> Account | None:
    return None if row is None else _read(row)


def _read(row: RowMapping) -> Account:
    values = {name: row[name] for name in Account.__dataclass_fields__}
    return Account(**{**values, "roles": frozenset(row["roles"])})


_APPROVE = update(table).where(table.c.user_id == bindparam("which"), table.c.waiting).values(waiting=False)
_STANDING = select(table).where(table.c.user_id == bindparam("user"))
_STANDING_HELD = _STANDING.with_for_update(key_share=True)  # SQLite has one writer, and no such clause
