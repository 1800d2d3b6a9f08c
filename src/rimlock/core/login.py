"""The door in: every way to sign in ends here, and nothing else may start a session.

Threat: a new sign-in method that forgets a second factor, a disabled account or the audit.
Source: design section 1 (one door in); OWASP ASVS 5.0 V2.3.1, V6.3.4.

Who proved who they are and has to do something first gets a pending login, which is never a session: a secret for one
use, bound to the user, to that step and to their standing. Whoever did the step comes through this door again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from rimlock.core import accounts, challenges, sessions
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import ApprovalWaiting, AuthError, EmailNotVerified, InvalidLogin
from rimlock.core.events import Event, Told

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.challenges import Challenge
    from rimlock.core.database import Transaction
    from rimlock.core.sessions import Device, Lifetimes, Session

__all__ = [
    "PENDING_SECONDS",
    "Allow",
    "Deny",
    "Login",
    "LoginPending",
    "LoginRefused",
    "Pending",
    "Policy",
    "Proof",
    "SignedIn",
    "Step",
    "complete",
    "peek",
    "refuse_unverified",
    "resume",
    "withdraw",
]

Step = Literal["password_change"]
"""What can stand between a proof and a session."""

PENDING_SECONDS = 600
"""How long a pending login waits for its step."""


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
    notes: str = field(default="", repr=False)
    """What the device presented to be known by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Somebody proved who they are and has to do `step` before a session begins. `token`: good for that, once.

    `seconds`: how long it is good.
    """

    user_id: str
    step: Step
    token: str = field(repr=False)
    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPending(Event):
    """Somebody proved who they are and has to do something before they are signed in. `step` says what."""

    told = Told(self_made=lambda _: True)
    user_id: str
    method: str
    step: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRefused(Event):
    """Somebody proved who they are and was refused by a policy or by their standing. `code` says why."""

    told = Told(outcome="refused")
    user_id: str
    method: str
    code: str
    address: str


def complete(
    tx: Transaction, proof: Proof, *, device: Device, lifetimes: Lifetimes, policies: Sequence[Policy], now: int
) -> SignedIn | Pending | AuthError:
    """Turn a proof into a session, into what has to be done before, or into the error that says why not.

    The error is returned and not raised, so that what policies and events wrote is kept. Policies are asked before
    a step, and again after it.
    """
    account = accounts.standing(tx, proof.user_id, held=True)
    if account is None or not account.active:
        return _refused(tx, proof, InvalidLogin(), device, now)
    if account.waiting:
        return _refused(tx, proof, ApprovalWaiting(), device, now)
    login = Login(proof=proof, account=account, device=device)
    for policy in policies:
        verdict = policy(tx, login)
        if isinstance(verdict, Deny):
            return _refused(tx, proof, verdict.error, device, now)
    if account.must_change_password:
        return _pending(tx, proof, "password_change", account, device, now)
    session = sessions.issue(
        tx,
        proof.user_id,
        methods=(proof.method,),
        device=device,
        lifetimes=lifetimes,
        now=now,
        auth_time=proof.at,
    )
    return SignedIn(session=session, account=account, notes=device.notes)


def refuse_unverified(_: Transaction, login: Login) -> Allow | Deny:
    """Let nobody in whose address is not proven: the policy that `require_verified` puts before all others."""
    return Allow() if login.account.verified else Deny(EmailNotVerified())


def peek(tx: Transaction, step: Step, token: str, *, now: int) -> Account:
    """Return whose pending login this is, without spending it: before anything costly. Raises ChallengeRefused."""
    found = challenges.peek(tx, _purpose(step), token, now=now)
    return _unchanged(found, accounts.standing(tx, found.user_id or ""))


def resume(tx: Transaction, step: Step, token: str, *, now: int) -> Proof:
    """Spend a pending login once its step is being done, and return the proof it rests on. Raises ChallengeRefused.

    Of any number of simultaneous users one succeeds, and nobody after the account's standing was changed. Take the
    journal's `hold` before it.
    """
    found = challenges.consume(tx, _purpose(step), token, now=now)
    account = _unchanged(found, accounts.standing(tx, found.user_id or "", held=True))
    return Proof(user_id=account.user_id, method=found.data["method"], at=now)


def withdraw(tx: Transaction, user_id: str, step: Step, *, now: int) -> None:
    """Make every pending login of a user that waits for this step worthless."""
    challenges.withdraw(tx, _purpose(step), now=now, user_id=user_id)


def _purpose(step: Step) -> str:
    return f"pending:{step}"


def _unchanged(found: Challenge, account: Account | None) -> Account:
    """Return the account if it stands as it did when the login became pending."""
    if account is None or not account.active or account.epoch != found.data["epoch"]:
        raise ChallengeRefused
    return account


def _pending(tx: Transaction, proof: Proof, step: Step, account: Account, device: Device, now: int) -> Pending:
    """Note what has to be done. What rests on a temporary password never outlives that."""
    left = PENDING_SECONDS if account.password_expires_at is None else account.password_expires_at - now
    seconds = max(0, min(PENDING_SECONDS, left))
    noted = {"method": proof.method, "epoch": account.epoch}
    token = challenges.issue(tx, _purpose(step), now=now, seconds=seconds, user_id=proof.user_id, data=noted)
    tx.emit(LoginPending(at=now, user_id=proof.user_id, method=proof.method, step=step, address=device.address))
    return Pending(user_id=proof.user_id, step=step, token=token, seconds=seconds)


def _refused(tx: Transaction, proof: Proof, error: AuthError, device: Device, now: int) -> AuthError:
    tx.emit(LoginRefused(at=now, user_id=proof.user_id, method=proof.method, code=error.code, address=device.address))
    return error
