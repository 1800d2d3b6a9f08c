"""Changing what one signs in with: the password is asked for again, and what rested on the old one ends.

Threat: somebody at an unlocked screen who takes the account over; a change that rests on a password replaced meanwhile.
Source: OWASP ASVS 5.0 V6.2.3, V7.4.3, V7.5.1; NIST SP 800-63B-4 section 3.1.1.2.

Hashing never happens inside a transaction. What was verified outside of one is compared again inside.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from rimlock.core import accounts, sessions
from rimlock.core.errors import CredentialInvalid, CurrentPasswordWrong
from rimlock.core.proving import require_current
from rimlock.core.registering import Known
from rimlock.core.revocations import hold
from rimlock.core.users import require_wellformed
from rimlock.crypto.passwords.encoding import as_nfc
from rimlock.features.password.events import EmailChanged, PasswordChanged
from rimlock.features.password.logic.knowing import (
    own_account,
    password_replaced,
    require_new_password,
    standing_of,
    unchanged,
)

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = ["change_email", "change_password"]


async def change_password(
    context: Context, principal: Principal, current: str, new: str, *, keep_other_sessions: bool
) -> Account:
    """Replace the password of the signed-in user; every access token so far dies, and so do the other sessions.

    Raises PasswordNotAccepted, CurrentPasswordWrong, TooManyAttempts, CredentialInvalid, Busy.
    """
    known = await own_account(context, principal)
    require_new_password(context, known.user, new)
    await _require_current(context, principal, known.account, current)
    if compare_digest(as_nfc(current), as_nfc(new)):
        raise unchanged()
    hashed, now = await context.passwords.hash(new), context.now()
    but = principal.credential_id

    def replace(tx: Transaction) -> Account:
        _require_unchanged(tx, known.account)
        accounts.set_password_hash(tx, known.user.id, hashed, now=now)
        ended = 0 if keep_other_sessions else sessions.end_all(tx, known.user.id, reason="password", now=now, but=but)
        tx.emit(PasswordChanged(at=now, user_id=known.user.id, sessions_ended=ended))
        return standing_of(tx, known.user.id)

    return await context.database.write(replace)


async def change_email(context: Context, principal: Principal, email: str, password: str) -> Known:
    """Give the signed-in user another address, not verified yet.

    Raises InvalidRequest, CurrentPasswordWrong, TooManyAttempts, RegistrationConflict, CredentialInvalid, Busy.
    """
    require_wellformed({"email": email})
    known = await own_account(context, principal)
    await _require_current(context, principal, known.account, password)
    now = context.now()

    def change(tx: Transaction) -> Known:
        _require_unchanged(tx, known.account)
        user = context.users.change(tx, known.user.id, {"email": email}, now)
        if user is None:
            raise CredentialInvalid
        accounts.set_verified(tx, user.id, verified=False, now=now)
        tx.emit(EmailChanged(at=now, user_id=user.id))
        return Known(user, standing_of(tx, user.id))

    return await context.database.write(change)


async def _require_current(context: Context, principal: Principal, account: Account, password: str) -> None:
    await require_current(context.limits, context.passwords, account, password, principal=principal, now=context.now())


def _require_unchanged(tx: Transaction, before: Account) -> None:
    """Return, holding the account, when what was verified still counts. Raises CurrentPasswordWrong."""
    hold(tx)
    held = accounts.standing(tx, before.user_id, held=True)
    if held is None or not held.active:
        raise CredentialInvalid
    if password_replaced(before, held):
        raise CurrentPasswordWrong
