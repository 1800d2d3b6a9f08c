"""The System user: an account that owns what nobody else does, and that nobody can sign in to.

Threat: somebody who registered the System's address first and would be given every old row.
Source: requirements L7, N3 (notebooks from before go to a default user).

It is made once, through the Users port. Its profile notes for which hosts, so that the last one to leave removes it;
in a table of the host's without such a field it stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rimlock.core import accounts
from rimlock.core.errors import ConfigurationError
from rimlock.core.revocations import hold
from rimlock.core.users import NewUser, offered

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.users import User, Users

__all__ = ["EMAIL", "ensure_system", "release_system"]

EMAIL = "system@rimlock.example"
"""`.example` is reserved by RFC 2606: no mail goes there, and nobody can prove to own it."""
MARK = "rimlock_retrofit_of"


def ensure_system(tx: Transaction, users: Users, host: str, now: int) -> str:
    """Return the id of the System user, made when there is none. Raises ConfigurationError for somebody else's."""
    hold(tx)
    found = users.find(tx, EMAIL)
    if found is None:
        return _make(tx, users, host, now)
    held = accounts.standing(tx, found.id)
    if held is None or held.active or held.password_hash is not None:
        raise ConfigurationError(f"the account {EMAIL} can sign in, so it is not the System user; delete or rename it")
    if MARK in found.profile and host not in found.profile[MARK]:
        _note(tx, users, found, [*found.profile[MARK], host], now)
    return found.id


def release_system(tx: Transaction, users: Users, host: str, now: int) -> bool:
    """Remove the System user when we made it and no other host needs it; say whether it was removed."""
    hold(tx)
    found = users.find(tx, EMAIL)
    if found is None or MARK not in found.profile:
        return False
    others = [one for one in found.profile[MARK] if one != host]
    if others:
        _note(tx, users, found, others, now)
        return False
    if accounts.standing(tx, found.id) is not None:
        accounts.close(tx, found.id, now=now)
    return users.delete(tx, found.id)


def _make(tx: Transaction, users: Users, host: str, now: int) -> str:
    fields: dict[str, Any] = {"display_name": "System", "profile": {MARK: [host]}}
    user = users.create(tx, NewUser(email=EMAIL, **{name: fields[name] for name in offered(users, fields)}), now)
    accounts.open_account(tx, user.id, now=now)
    accounts.set_active(tx, user.id, active=False, now=now)
    return user.id


def _note(tx: Transaction, users: Users, user: User, hosts: list[str], now: int) -> None:
    users.change(tx, user.id, {"profile": {**user.profile, MARK: hosts}}, now)
