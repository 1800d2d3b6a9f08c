"""Who an account belongs to, whether a password is its own, and whether a new one may be.

Threat: an unknown account told from a wrong password by its time; a damaged hash that lets somebody in.
Source: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V6.3.8.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import accounts
from rimlock.core.errors import CredentialInvalid
from rimlock.core.users import NewUser, User, require_wellformed, vars_of
from rimlock.crypto.passwords.errors import HashUnreadable, PasswordMismatch, PasswordUnusable, VerifierMissing
from rimlock.crypto.passwords.policy import PasswordRefused
from rimlock.features.password.errors import PasswordNotAccepted

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.crypto.passwords import Verified
    from rimlock.feature import Context

__all__ = [
    "Known",
    "find_account",
    "own_account",
    "password_replaced",
    "require_acceptable",
    "standing_of",
    "verdict",
]

_log = logging.getLogger("rimlock.password")


@dataclass(frozen=True, slots=True)
class Known:
    """A user and their standing."""

    user: User
    account: Account


def find_account(context: Context, tx: Transaction, login: str) -> Known | None:
    """Return who signs in as `login`, in any spelling of it."""
    user = context.users.find(tx, login)
    return None if user is None else _with_standing(tx, user)


async def own_account(context: Context, principal: Principal) -> Known:
    """Return the user and the standing behind a token. Raises CredentialInvalid."""

    def load(tx: Transaction) -> Known | None:
        user = context.users.get(tx, principal.user_id or "")
        return None if user is None else _with_standing(tx, user)

    known = await context.database.read(load)
    if known is None:
        raise CredentialInvalid
    return known


def _with_standing(tx: Transaction, user: User) -> Known | None:
    account = accounts.standing(tx, user.id)
    return None if account is None else Known(user, account)


def standing_of(tx: Transaction, user_id: str) -> Account:
    """Return the standing of a user who must have one. Raises CredentialInvalid."""
    found = accounts.standing(tx, user_id)
    if found is None:
        raise CredentialInvalid
    return found


async def verdict(context: Context, account: Account | None, password: str) -> Verified | None:
    """Return the verdict, None for a wrong password. What cannot be read is wrong, and the operator is told."""
    stored = account.password_hash if account else None
    try:
        return await context.passwords.verify(stored, password)
    except (PasswordMismatch, PasswordUnusable):
        return None
    except (HashUnreadable, VerifierMissing) as error:
        _log.error("the password of %s cannot be judged: %s", account and account.user_id, type(error).__name__)
        return None


def password_replaced(before: Account, after: Account) -> bool:
    """Say whether another password was set meanwhile. A better hash of the same one leaves the epoch alone."""
    return after.epoch != before.epoch and after.password_hash != before.password_hash


def require_acceptable(context: Context, new: NewUser, password: str, *, field: str = "password") -> None:
    """Return when names and password may be used. Raises InvalidRequest, PasswordNotAccepted."""
    require_wellformed(vars_of(new))
    words = [word for word in (new.email, new.username, new.display_name) if word]
    try:
        context.password_policy.check(password, words=words)
    except PasswordRefused as refused:
        found = tuple({"name": field, "code": one.code, "detail": one.text} for one in refused.violations)
        raise PasswordNotAccepted(errors=found) from None
