"""New accounts and deleted ones, whichever feature or command makes and removes them.

Threat: a role or a standing that one way of making an account gives and another forgets; a key that outlives its owner.
Source: OWASP ASVS 5.0 V7.4.2, V14.2.7, V15.3.3; design section 2 (features never import each other).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sqlalchemy import delete, update

from rimlock.core import accounts, keys, schema, sessions
from rimlock.core.errors import AuthError
from rimlock.core.events import Event, Told
from rimlock.core.languages import asked_for
from rimlock.core.mapped_standing import leave
from rimlock.core.revocations import announce, hold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.users import NewUser, User, Users

__all__ = [
    "Known",
    "Origin",
    "RegistrationClosed",
    "UserDeleted",
    "UserRegistered",
    "follow_user",
    "open_user",
    "remove_user",
]

Origin = Literal["registration", "invitation", "approval", "first_admin", "admin", "command", "social", "import"]
"""How an account came to be. `approval`: registered, and waiting to be let in."""

Remover = Literal["owner", "admin", "rejection", "application", "import"]
"""Who removes an account. `rejection`: it was never let in. `application`: in its own table. `import`: by taking back
the import that had made it."""

_THEMSELVES = frozenset({"registration", "invitation", "approval", "first_admin", "social"})
"""Accounts that are made by who they are for: the language of the request is theirs."""


class RegistrationClosed(AuthError):
    """Nobody may register here by themselves."""

    code, status, title = "registration_closed", 403, "Registration is closed."


@dataclass(frozen=True, slots=True)
class Known:
    """A user and their standing."""

    user: User
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRegistered(Event):
    """An account was made. `by`: see Origin; with `approval` it waits.

    `invitation_id`: by which invitation. `roles`: those it began with.
    """

    told = Told(self_made=lambda event: event.by not in {"admin", "command", "import"})
    user_id: str
    by: Origin
    invitation_id: str | None = None
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDeleted(Event):
    """An account was deleted; sessions and keys ended with it. `by`: see Remover."""

    user_id: str
    by: Remover = "owner"


def open_user(
    users: Users,
    tx: Transaction,
    new: NewUser,
    *,
    now: int,
    by: Origin,
    password_hash: str | None = None,
    roles: Iterable[str] = (),
    verified: bool = False,
    expires_at: int | None = None,
    invitation_id: str | None = None,
) -> Known:
    """Make a user and give them a standing. Raises RegistrationConflict, InvalidRequest.

    `expires_at`: the password is temporary, and good until then.
    """
    user = users.create(tx, new, now)
    account = accounts.open_account(
        tx,
        user.id,
        now=now,
        password_hash=password_hash,
        roles=roles,
        verified=verified,
        waiting=by == "approval",
        expires_at=expires_at,
        locale=asked_for(tx.acting.languages) if by in _THEMSELVES else None,
    )
    named = tuple(sorted(account.roles))
    tx.emit(UserRegistered(at=now, user_id=user.id, by=by, invitation_id=invitation_id, roles=named))
    return Known(user, account)


def remove_user(users: Users, tx: Transaction, user_id: str, *, now: int, by: Remover = "owner") -> None:
    """Delete a user with sessions, keys, standing, and whatever else is kept of them. Raises NotFound, LastAdmin.

    That a row of another system was taken over stays written, without whom: the next import must not bring them back.
    """
    hold(tx)
    sessions.end_all(tx, user_id, reason="deleted", now=now)
    keys.revoke_all(tx, user_id, now=now)
    accounts.close(tx, user_id, now=now)
    users.delete(tx, user_id)
    _forget(tx, user_id)
    tx.emit(UserDeleted(at=now, user_id=user_id, by=by))


def follow_user(users: Users, tx: Transaction, user_id: str, *, now: int) -> None:
    """Take over what the application itself changed about a user in its own table, a deletion too."""
    hold(tx)
    if users.get(tx, user_id) if tx.host is None else tx.host.follow(tx, user_id):
        account = accounts.standing(tx, user_id)
        return announce(tx, "user", user_id, value=account.epoch if account else 0, now=now)
    leave(tx, user_id, now=now)
    if tx.change(delete(schema.account).where(schema.account.c.user_id == user_id)) == 1:
        _forget(tx, user_id)
        tx.emit(UserDeleted(at=now, user_id=user_id, by="application"))
    return None


def _forget(tx: Transaction, user_id: str) -> None:
    for table in (schema.identity, schema.subscription, schema.outbox):
        tx.change(delete(table).where(table.c.user_id == user_id))
    tx.change(update(schema.imported).where(schema.imported.c.user_id == user_id).values(user_id=""))
