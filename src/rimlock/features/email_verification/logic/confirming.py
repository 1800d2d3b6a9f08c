"""Proving an address by the link that was mailed there.

Threat: a link used for another account, another address or another purpose, or twice; an account that somebody made
    under a stranger's address and holds open until the stranger proves it.
Source: OWASP ASVS 5.0 V6.4.3, V6.5.1; Pre-hijacked Accounts (USENIX Security 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import accounts, challenges, links
from rimlock.core.acting import acting
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.claiming import Claimed, claim
from rimlock.core.registering import Known
from rimlock.core.revocations import hold
from rimlock.features.email_verification.events import EmailVerified
from rimlock.features.email_verification.logic.asking import PURPOSE

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.core.sessions import EndReason
    from rimlock.feature import Context

__all__ = ["AlreadyVerified", "Verified", "confirm", "look"]


@dataclass(frozen=True, slots=True)
class Verified:
    """The address was proven just now."""

    known: Known


@dataclass(frozen=True, slots=True)
class AlreadyVerified:
    """The address was proven before; the link did nothing."""

    known: Known


async def look(context: Context, token: str) -> bool:
    """Say whether the link still has something to do, without using it: False when the address is proven.

    Raises ChallengeRefused, TooManyAttempts.
    """
    async with await context.limits.secret(PURPOSE, acting().address, ChallengeRefused):
        return await context.database.read(lambda tx: not _found(context, tx, token, held=False).account.verified)


async def confirm(context: Context, token: str, principal: Principal | None = None) -> Verified | AlreadyVerified:
    """Use the link. `principal`: who is signed in while doing so, None for nobody.

    Unless that is the account's own user, nobody knows whether the owner of the address is also who made the account:
    API keys, and logins elsewhere that do not prove this address, go; so do the sessions of an account that has no
    password. Of simultaneous users one gets Verified, the others AlreadyVerified, as does who comes back with a link
    that did its work. Raises ChallengeRefused, TooManyAttempts.
    """
    async with await context.limits.secret(PURPOSE, acting().address, ChallengeRefused):
        return await context.database.write(lambda tx: _confirmed(context, tx, token, principal))


def _confirmed(
    context: Context, tx: Transaction, token: str, principal: Principal | None
) -> Verified | AlreadyVerified:
    hold(tx)
    known, now = _found(context, tx, token, held=True), context.now()
    if known.account.verified:
        return AlreadyVerified(known)
    challenges.consume(tx, PURPOSE, token, now=now)
    attended = principal is not None and principal.kind == "token" and principal.user_id == known.user.id
    gone = Claimed() if attended else _claimed(tx, known, now)
    accounts.set_verified(tx, known.user.id, verified=True, now=now)
    tx.emit(
        EmailVerified(
            at=now,
            user_id=known.user.id,
            attended=attended,
            sessions_ended=gone.sessions,
            keys_revoked=gone.keys,
            identities_unlinked=gone.identities,
        )
    )
    return Verified(_again(tx, known))


def _found(context: Context, tx: Transaction, token: str, *, held: bool) -> Known:
    """Return whom the link is for. One that is spent leads somewhere only once its address is proven."""
    found = challenges.recall(tx, PURPOSE, token, now=context.now())
    known = links.whose(tx, context.users, found, held=held)
    if found.spent and not known.account.verified:
        raise ChallengeRefused
    return known


def _claimed(tx: Transaction, known: Known, now: int) -> Claimed:
    """A password stays, for its owner has to sign in; who knows it gains nothing by sessions, so they stay with it."""
    reason: EndReason | None = "claimed" if known.account.password_hash is None else None
    return claim(tx, known.user.id, known.user.email, now=now, everything=True, reason=reason)


def _again(tx: Transaction, known: Known) -> Known:
    account = accounts.standing(tx, known.user.id)
    if account is None:
        raise ChallengeRefused
    return Known(known.user, account)
