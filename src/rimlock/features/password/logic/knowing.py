"""Who an account belongs to, whether its password was replaced, and whether a new one may be used.

Threat: a new password that is guessed first; an old one that still counts because it was read a moment ago.
Source: NIST SP 800-63B-4 section 3.1.1.2; OWASP ASVS 5.0 V6.3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import accounts, proving
from rimlock.core.errors import CredentialInvalid
from rimlock.core.registering import Known
from rimlock.core.users import NewUser, User, require_wellformed, vars_of
from rimlock.features.password.errors import PasswordNotAccepted

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = [
    "find_account",
    "own_account",
    "password_replaced",
    "require_acceptable",
    "require_new_password",
    "standing_of",
    "unchanged",
]


def find_account(context: Context, tx: Transaction, login: str) -> Known | None:
    """Return who signs in as `login`, in any spelling of it. The work is the same when nobody does."""
    user = context.users.find(tx, login)
    account = accounts.standing(tx, "" if user is None else user.id)
    return None if user is None or account is None else Known(user, account)


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


def password_replaced(before: Account, after: Account) -> bool:
    """Say whether another password was set meanwhile. A better hash of the same one leaves the epoch alone."""
    return after.epoch != before.epoch and after.password_hash != before.password_hash


def require_acceptable(context: Context, new: NewUser, password: str, *, field: str = "password") -> None:
    """Return when names and password may be used. Raises InvalidRequest, PasswordNotAccepted."""
    require_wellformed(vars_of(new))
    proving.require_acceptable(
        context.password_policy, (new.email, new.username, new.display_name), password, field=field
    )


def require_new_password(context: Context, user: User, password: str) -> None:
    """Return when a user may use this password from now on. Their names are as they are: a host's may be any.

    Raises PasswordNotAccepted.
    """
    words = (user.email, user.username, user.display_name)
    proving.require_acceptable(context.password_policy, words, password, field="new_password")


def unchanged() -> PasswordNotAccepted:
    """Return the refusal of a new password that is the old one."""
    reason = {"name": "new_password", "code": "unchanged", "detail": "This is the password you have."}
    return PasswordNotAccepted(errors=(reason,))
