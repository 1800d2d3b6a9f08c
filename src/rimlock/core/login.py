"""The door in: every way to sign in ends here, and nothing else may start a session.

Threat: a new sign-in method that forgets a second factor, a disabled account or the audit.
Source: design section 1 (one door in); OWASP ASVS 5.0 V6.3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import accounts, sessions
from rimlock.core.errors import AuthError, InvalidLogin
from rimlock.core.events import Event

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.sessions import Device, Lifetimes, Session

__all__ = ["Allow", "Deny", "Login", "LoginRefused", "Policy", "Proof", "SignedIn", "complete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a sign-in method established: this user, by this method, at this moment (seconds since the epoch)."""

    user_id: str
    method: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An attempt, as policies see it: who, how, from where."""

    proof: Proof
    account: Account
    device: Device


@dataclass(frozen=True, slots=True)
class Allow:
    """A policy has nothing against it."""


@dataclass(frozen=True, slots=True)
class Deny:
    """A policy refuses, with the error the caller gets."""

    error: AuthError


Policy = Callable[["Transaction", Login], Allow | Deny]
"""Decides within the transaction of the sign-in; may write through it. Must not wait for anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session was started for this account."""

    session: Session
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(Event):
    """Somebody proved who they are and was refused by a policy or by their standing. `code` says why."""

    user_id: str
    method: str
    code: str
    address: str


def complete(
    tx: Transaction, proof: Proof, *, device: Device, lifetimes: Lifetimes, policies: Sequence[Policy], now: int
) -> SignedIn | AuthError:
    """Turn a proof into a session, or into the error that says why not.

    The error is returned and not raised, so that what policies and events wrote is kept.
    """
    account = accounts.standing(tx, proof.user_id, held=True)
    if account is None or not account.active:
        return _refused(tx, proof, InvalidLogin(), device, now)
    login = Login(proof=proof, account=account, device=device)
    for policy in policies:
        verdict = policy(tx, login)
        if isinstance(verdict, Deny):
            return _refused(tx, proof, verdict.error, device, now)
    session = sessions.issue(tx, proof.user_id, methods=(proof.method,), device=device, lifetimes=lifetimes, now=now)
    return SignedIn(session=session, account=account)


def _refused(tx: Transaction, proof: Proof, error: AuthError, device: Device, now: int) -> AuthError:
    tx.emit(LoginRefused(at=now, user_id=proof.user_id, method=proof.method, code=error.code, address=device.address))
    return error
