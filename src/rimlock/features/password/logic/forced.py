"""Choosing a password of one's own after a temporary one: the only thing that a temporary password is good for.

Threat: a password that an administrator knows and that goes on being used; a step of the way left out; a temporary
    password, or what was handed out for it, used twice.
Source: OWASP ASVS 5.0 V2.3.1 (steps in order), V6.4.1, V6.4.6; design section 3 (a pending login is never a session).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import accounts, login, sessions
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import AuthError
from rimlock.core.proving import verdict
from rimlock.core.registering import Known
from rimlock.core.revocations import hold
from rimlock.features.password.events import PasswordChanged
from rimlock.features.password.logic.knowing import require_new_password, unchanged

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.login import Pending, SignedIn
    from rimlock.core.sessions import Device
    from rimlock.feature import Context

__all__ = ["choose_password"]


async def choose_password(context: Context, token: str, new: str, device: Device) -> SignedIn | Pending:
    """Set the password of somebody whose login is pending, and let them in through the one door.

    With that the temporary password and everything that was handed out for it are spent. Raises ChallengeRefused,
    TooManyAttempts, PasswordNotAccepted, Busy, a policy's error (then the new password counts all the same).
    """
    async with await context.limits.secret("pending-login", device.address, ChallengeRefused):
        known = await context.database.read(lambda tx: _whose(context, tx, token))
        require_new_password(context, known.user, new)
        if await verdict(context.passwords, known.account, new) is not None:
            raise unchanged()
        hashed = await context.passwords.hash(new)
        outcome = await context.database.write(lambda tx: _replace(context, tx, token, hashed, device))
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def _whose(context: Context, tx: Transaction, token: str) -> Known:
    account = login.peek(tx, "password_change", token, now=context.now())
    user = context.users.get(tx, account.user_id)
    if user is None:
        raise ChallengeRefused
    return Known(user, account)


def _replace(
    context: Context, tx: Transaction, token: str, hashed: str, device: Device
) -> SignedIn | Pending | AuthError:
    now = context.now()
    hold(tx)
    proof = login.resume(tx, "password_change", token, now=now)
    accounts.set_password_hash(tx, proof.user_id, hashed, now=now)
    ended = sessions.end_all(tx, proof.user_id, reason="password", now=now)
    login.withdraw(tx, proof.user_id, "password_change", now=now)
    tx.emit(PasswordChanged(at=now, user_id=proof.user_id, sessions_ended=ended))
    return login.complete(tx, proof, device=device, lifetimes=context.lifetimes, policies=context.policies, now=now)
