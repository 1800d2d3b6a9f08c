"""Signing in by password: every way to be wrong costs the same and reads the same.

Threat: an account told from none by time or text; a sign-in that outlives the password it was made with.
Source: OWASP ASVS 5.0 V6.3.8; NIST SP 800-63B-4 section 3.2.2; design section 4.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from rimlock.core import accounts
from rimlock.core.errors import AuthError, Busy, InvalidLogin
from rimlock.core.login import Pending, Proof, SignedIn, complete
from rimlock.core.proving import verdict
from rimlock.core.revocations import hold
from rimlock.crypto.passwords.encoding import as_nfc
from rimlock.crypto.passwords.errors import PasswordUnusable
from rimlock.features.password.events import FailureReason, LoginFailed
from rimlock.features.password.logic.knowing import find_account, password_replaced

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.limits import Attempt
    from rimlock.core.registering import Known
    from rimlock.core.sessions import Device
    from rimlock.crypto.passwords import Verified
    from rimlock.feature import Context

__all__ = ["METHOD", "sign_in"]

METHOD = "pwd"
"""How a session says that it began with a password (RFC 8176)."""


async def sign_in(context: Context, login: str, password: str, device: Device) -> SignedIn | Pending:
    """Start a session for the right password, or a pending login where another password has to be chosen first.

    Raises InvalidLogin for whatever is wrong, TooManyAttempts, ApprovalWaiting, Busy, a policy's error. Without an
    account, with a disabled one, with one that has no password or whose temporary one is over, the same hashing is
    done in vain. A text that no password can be (over 1,024 bytes, or a NUL in it) is refused before anything is looked
    up. Every try is counted before it is tested.
    """
    if not _is_possible(password):
        attempt = await context.limits.secret("sign-in", device.address)
        return await _fail(context, attempt, None, "impossible_password", device)
    known = await context.database.read(lambda tx: find_account(context, tx, login))
    async with await _admitted(context, known, login, device) as attempt:
        return await _tested(context, attempt, known, password, device)


async def _admitted(context: Context, known: Known | None, login: str, device: Device) -> Attempt:
    user_id = known.user.id if known else None
    known_as = context.devices.known(device.notes, user_id, now=context.now())
    return await context.limits.sign_in(device.address, user_id, login, known_as)


async def _tested(
    context: Context, attempt: Attempt, known: Known | None, password: str, device: Device
) -> SignedIn | Pending:
    lack = _lack(known, context.now())
    verified = await verdict(context.passwords, known.account if known and lack is None else None, password)
    if known is None or lack is not None or verified is None:
        return await _fail(context, attempt, known, lack or "wrong_password", device)
    better = await _better_hash(context, verified, password)
    outcome = await attempt.conclude(lambda tx: _begin(context, tx, known, better, device), failed=_is_wrong)
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def _is_possible(password: str) -> bool:
    try:
        as_nfc(password)
    except PasswordUnusable:
        return False
    return True


def _lack(known: Known | None, now: int) -> FailureReason | None:
    """Say why no password can be right."""
    if known is None:
        return "unknown_account"
    if not known.account.active:
        return "disabled"
    if known.account.password_over(now):
        return "password_expired"
    return "no_password" if known.account.password_hash is None else None


async def _better_hash(context: Context, verified: Verified, password: str) -> str | None:
    """Return today's form of a hash that is not; the next sign-in does it when there is no time now."""
    if not verified.upgrade:
        return None
    with suppress(Busy, PasswordUnusable):
        return await context.passwords.hash(password)
    return None


def _begin(
    context: Context, tx: Transaction, known: Known, better: str | None, device: Device
) -> SignedIn | Pending | AuthError:
    now, before = context.now(), known.account
    if context.policies:  # a policy may end sessions, and what announces takes the journal before any row
        hold(tx)
    held = accounts.standing(tx, before.user_id, held=True)
    if held is None or password_replaced(before, held):
        return _failed(tx, before.user_id, "wrong_password", device, now)
    if held.password_over(now):
        return _failed(tx, before.user_id, "password_expired", device, now)
    if better is not None and before.password_hash is not None:
        accounts.upgrade_password_hash(tx, before.user_id, before.password_hash, better)
    proof = Proof(user_id=before.user_id, method=METHOD, at=now)
    return complete(tx, proof, device=device, lifetimes=context.lifetimes, policies=context.policies, now=now)


async def _fail(
    context: Context, attempt: Attempt, known: Known | None, reason: FailureReason, device: Device
) -> SignedIn:
    now, user_id = context.now(), known.user.id if known else None
    raise await attempt.conclude(lambda tx: _failed(tx, user_id, reason, device, now), failed=_is_wrong)


def _is_wrong(outcome: SignedIn | Pending | AuthError) -> bool:
    """Whether it counts as a failure: a policy that says no, or a step that is missing, is none."""
    return isinstance(outcome, InvalidLogin)


def _failed(tx: Transaction, user_id: str | None, reason: FailureReason, device: Device, now: int) -> AuthError:
    tx.emit(LoginFailed(at=now, reason=reason, user_id=user_id, address=device.address))
    return InvalidLogin()
