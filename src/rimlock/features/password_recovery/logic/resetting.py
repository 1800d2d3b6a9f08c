"""Choosing another password by the link in a mail: whoever else had a way into the account has it no more.

Threat: a link used twice, or raced; a thief who stays signed in; an account that somebody made under a stranger's
    address, with keys, logins elsewhere and waiting changes to come back by.
Source: OWASP ASVS 5.0 V6.3.7, V6.4.3, V6.5.1, V7.4.3; Pre-hijacked Accounts (USENIX Security 2022).

Hashing never happens inside a transaction, and only for who holds a good link.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rimlock.core import accounts, challenges, identities, keys, links
from rimlock.core.acting import acting
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.claiming import claim
from rimlock.core.errors import Unavailable
from rimlock.core.proving import require_acceptable
from rimlock.core.registering import Known
from rimlock.core.revocations import hold
from rimlock.features.password_recovery.events import PasswordReset
from rimlock.features.password_recovery.logic.asking import PURPOSE

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.feature import Context

__all__ = ["look", "reset"]

_log = logging.getLogger("rimlock.password_recovery")


async def look(context: Context, token: str) -> Known:
    """Return whose password the link is for, without using it. Raises ChallengeRefused, TooManyAttempts."""
    async with await context.limits.secret(PURPOSE, acting().address, ChallengeRefused):
        return await context.database.read(lambda tx: _found(context, tx, token, held=False))


async def reset(context: Context, token: str, password: str, *, everything: bool = False) -> Known:
    """Use the link: the account has the new password, every session and every other link is over, the address proven.

    A temporary password is over with it, and so is a lockout. `everything`: API keys, and logins elsewhere that do not
    prove this address, go as well; as they always do where the address was not proven before. Nobody is signed in by
    it. Raises ChallengeRefused (of simultaneous users all but one), PasswordNotAccepted, TooManyAttempts, Busy.
    """
    async with await context.limits.secret(PURPOSE, acting().address, ChallengeRefused):
        known = await context.database.read(lambda tx: _found(context, tx, token, held=False))
        words = known.user.email, known.user.username, known.user.display_name
        require_acceptable(context.password_policy, words, password, field="password")
        hashed = await context.passwords.hash(password)
        after = await context.database.write(lambda tx: _replaced(context, tx, token, hashed, everything=everything))
    await _forgive_shared(context, after.user.id)
    return after


def _found(context: Context, tx: Transaction, token: str, *, held: bool) -> Known:
    return links.whose(tx, context.users, challenges.peek(tx, PURPOSE, token, now=context.now()), held=held)


def _replaced(context: Context, tx: Transaction, token: str, hashed: str, *, everything: bool) -> Known:
    hold(tx)
    known, now = _found(context, tx, token, held=True), context.now()
    challenges.consume(tx, PURPOSE, token, now=now)
    user, everything = known.user, everything or not known.account.verified
    accounts.set_password_hash(tx, user.id, hashed, now=now)
    gone = claim(tx, user.id, user.email, now=now, everything=everything, reason="password")
    accounts.set_verified(tx, user.id, verified=True, now=now)
    context.limits.forgive(tx, user.id)
    left = {"keys": keys.living(tx, user.id, now=now), "logins": len(identities.of_user(tx, user.id))}
    links.notify(tx, context.post, "password_reset", known, to=user.email, facts=left)
    tx.emit(
        PasswordReset(
            at=now,
            user_id=user.id,
            claimed=everything,
            sessions_ended=gone.sessions,
            keys_revoked=gone.keys,
            identities_unlinked=gone.identities,
        )
    )
    return _again(tx, known)


def _again(tx: Transaction, known: Known) -> Known:
    account = accounts.standing(tx, known.user.id)
    if account is None:
        raise ChallengeRefused
    return Known(known.user, account)


async def _forgive_shared(context: Context, user_id: str) -> None:
    """The password counts already: a counter that does not answer keeps nobody out for longer than it would have."""
    try:
        await context.limits.forgive_shared(user_id)
    except Unavailable:
        _log.warning("a lockout could not be lifted in the shared counters")
