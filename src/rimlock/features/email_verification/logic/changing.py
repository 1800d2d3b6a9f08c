"""Taking another address: the password first, then the link that was mailed there, and nothing changes before.

Threat: an account taken away at an unlocked screen; an address that belongs to somebody else; a change that waits in an
    account until its owner has recovered it.
Source: OWASP ASVS 5.0 V6.3.7, V7.5.1, V6.3.8; Pre-hijacked Accounts (USENIX Security 2022), unexpired email change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rimlock.core import accounts, challenges, links
from rimlock.core.accounts import EmailChanged
from rimlock.core.acting import acting
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import CredentialInvalid
from rimlock.core.links import Link, key_of
from rimlock.core.proving import require_current
from rimlock.core.registering import Known
from rimlock.core.revocations import hold
from rimlock.core.users import require_wellformed
from rimlock.features.email_verification.events import EmailChangeAsked

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = ["begin_change", "confirm_change", "look_at_change"]

PURPOSE = "change-email"


async def begin_change(context: Context, principal: Principal, email: str, password: str) -> None:
    """Mail a link to the new address, and word of it to the old one. The account stays as it is.

    Where somebody has the address already, they are told instead, and the caller hears nothing of it. Raises
    InvalidRequest, CurrentPasswordWrong, TooManyAttempts, CredentialInvalid, Busy.
    """
    require_wellformed({"email": email})
    account = await context.database.read(lambda tx: accounts.standing(tx, principal.user_id or ""))
    if account is None:
        raise CredentialInvalid
    now = context.now()
    await require_current(context.limits, context.passwords, account, password, principal=principal, now=now)
    async with await context.limits.visit(PURPOSE, acting().address):
        attempt = await context.limits.mailbox(PURPOSE, key_of(email))
        if attempt is not None:
            await attempt.conclude(lambda tx: _begun(context, tx, account.user_id, account.epoch, email), failed=bool)


async def look_at_change(context: Context, token: str) -> str:
    """Return the new address that the link is for, without using it. Raises ChallengeRefused, TooManyAttempts."""
    async with await context.limits.secret(PURPOSE, acting().address, ChallengeRefused):
        return await context.database.read(lambda tx: _awaited(context, tx, token, held=False)[1]["to"])


async def confirm_change(context: Context, token: str) -> Known:
    """Use the link: the account has the new address, proven. The old one is told, and every other link goes.

    Raises ChallengeRefused, RegistrationConflict where somebody took the address meanwhile, TooManyAttempts.
    """
    async with await context.limits.secret(PURPOSE, acting().address, ChallengeRefused):
        return await context.database.write(lambda tx: _changed(context, tx, token))


def _begun(context: Context, tx: Transaction, user_id: str, epoch: int, email: str) -> None:
    """Write all three messages, two of them to be sent: which, shows in no statement."""
    now, post = context.now(), context.post
    known, owner = _own(context, tx, user_id, epoch), links.look_up(tx, context.users, email, held=False)
    taken = owner if owner is not None and owner.user.id != user_id else None
    bound: dict[str, Any] = {"email": key_of(known.user.email), "to": email, "epoch": epoch}
    mailed = links.mail(tx, post, _link(context), None if taken else known, to=email, bound=bound, now=now)
    links.notify(tx, post, "email_taken", taken, to=taken.user.email if taken else email)
    links.notify(tx, post, "email_change_asked", known, to=known.user.email)
    tx.emit(EmailChangeAsked(at=now, user_id=user_id, mailed=mailed))


def _changed(context: Context, tx: Transaction, token: str) -> Known:
    hold(tx)
    known, noted = _awaited(context, tx, token, held=True)
    now, user_id = context.now(), known.user.id
    challenges.consume(tx, PURPOSE, token, now=now)
    user = context.users.change(tx, user_id, {"email": noted["to"]}, now)
    challenges.withdraw_all(tx, user_id, now=now)
    accounts.set_verified(tx, user_id, verified=True, now=now)
    links.notify(tx, context.post, "email_changed", known, to=known.user.email)
    tx.emit(EmailChanged(at=now, user_id=user_id, verified=True))
    account = accounts.standing(tx, user_id)
    if user is None or account is None:
        raise ChallengeRefused
    return Known(user, account)


def _awaited(context: Context, tx: Transaction, token: str, *, held: bool) -> tuple[Known, Any]:
    found = challenges.peek(tx, PURPOSE, token, now=context.now())
    return links.whose(tx, context.users, found, held=held), found.data


def _own(context: Context, tx: Transaction, user_id: str, epoch: int) -> Known:
    """Return the account, held, if it stands as it did when the password was asked for. Raises CredentialInvalid."""
    account, user = accounts.standing(tx, user_id, held=True), context.users.get(tx, user_id)
    if account is None or user is None or not account.active or account.epoch != epoch:
        raise CredentialInvalid
    return Known(user, account)


def _link(context: Context) -> Link:
    settings = context.settings
    seconds = int(settings.verification_lifetime.total_seconds())
    return Link(purpose=PURPOSE, kind="confirm_email", base=settings.pages_url, path="change-email", seconds=seconds)
