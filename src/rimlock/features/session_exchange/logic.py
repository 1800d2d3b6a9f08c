"""Signing in by what the application itself says: whose session the request belongs to.

Threat: an old session that counts as a sign-in of this moment; a name that reads like somebody else's id; an account
    told from none by who tries sessions on and on.
Source: OWASP ASVS 5.0 V6.3.4 (one door in), V7.5.1; design section 3 (Proof).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rimlock.core.errors import AuthError, InvalidLogin
from rimlock.core.login import Pending, Proof, SignedIn, complete
from rimlock.core.revocations import hold
from rimlock.features.session_exchange.errors import OldSessionInvalid
from rimlock.features.session_exchange.events import SessionExchangeFailed

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.limits import Attempt
    from rimlock.core.sessions import Device
    from rimlock.core.users import User
    from rimlock.feature import Context

__all__ = ["METHOD", "By", "attempt", "exchange"]

METHOD = "session"
"""How a session says that it began with one of the application's own."""

LONG_AGO = 0
"""When somebody signed in who holds an old session: nobody knows. What asks for a fresh sign-in does not take it."""

By = Literal["user_id", "login"]


async def attempt(context: Context, address: str) -> Attempt:
    """Admit an attempt, before the application is asked. Raises TooManyAttempts, Unavailable."""
    return await context.limits.secret("exchange", address, OldSessionInvalid)


async def exchange(
    context: Context, admitted: Attempt, whose: str | None, by: By, device: Device
) -> SignedIn | Pending:
    """Start a session for whom the application named. Raises OldSessionInvalid, a policy's error, Unavailable."""
    outcome = await admitted.conclude(
        lambda tx: _begin(context, tx, whose, by, device), failed=lambda found: isinstance(found, OldSessionInvalid)
    )
    if isinstance(outcome, AuthError):
        raise outcome
    return outcome


def _begin(
    context: Context, tx: Transaction, whose: str | None, by: By, device: Device
) -> SignedIn | Pending | AuthError:
    hold(tx)  # a policy may end sessions, and what announces takes the journal before any row
    user = None if whose is None else _named(context, tx, whose, by)
    if user is None:
        tx.emit(SessionExchangeFailed(at=context.now(), user_id=None, address=device.address))
        return OldSessionInvalid()
    proof = Proof(user_id=user.id, method=METHOD, at=LONG_AGO)
    outcome = complete(
        tx, proof, device=device, lifetimes=context.lifetimes, policies=context.policies, now=context.now()
    )
    return OldSessionInvalid() if isinstance(outcome, InvalidLogin) else outcome


def _named(context: Context, tx: Transaction, whose: str, by: By) -> User | None:
    """Only by what was agreed upon: a user may call themselves by another's id."""
    return context.users.get(tx, whose) if by == "user_id" else context.users.find(tx, whose)
