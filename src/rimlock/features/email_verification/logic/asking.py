"""Asking for the link that proves an address.

Threat: an answer, or the time it takes, that tells whether an address has an account; a mailbox that is flooded.
Source: OWASP ASVS 5.0 V6.3.8, V6.5.5, V2.4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rimlock.core import accounts, links
from rimlock.core.acting import acting
from rimlock.core.links import Link, key_of
from rimlock.core.registering import Known
from rimlock.core.users import require_wellformed
from rimlock.features.email_verification.events import VerificationAsked

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.feature import Context

__all__ = ["PURPOSE", "ask", "on_account", "request"]

PURPOSE = "verify-email"
_NOT_ASKED = {"command", "import"}
"""Origins of accounts whose owners did nothing just now: they ask themselves, when they come."""


async def request(context: Context, email: str) -> None:
    """Mail a new link to whoever has this address and did not prove it yet; for everybody else the same, in vain.

    Older links are worth nothing then. An account gets five links an hour; what is asked for beyond that is done in
    vain as well, and the last link stays good. Raises InvalidRequest for what is no address, TooManyAttempts.
    """
    require_wellformed({"email": email})
    async with await context.limits.visit(PURPOSE, acting().address):
        await context.database.write(lambda tx: _requested(context, tx, email))


def ask(context: Context, tx: Transaction, known: Known) -> None:
    """Mail a link to an account's own address, in this transaction. Nobody gets one who may not act, or needs none.

    Accounts that are made, or let in, get theirs by themselves: see `on_account`.
    """
    if _needs(known):
        to, now = known.user.email, context.now()
        links.mail(tx, context.post, _link(context), known, to=to, bound=_bound(to), now=now)


def on_account(context: Context, tx: Transaction, event: Any) -> None:
    """Ask for the account an event is about: it was made, let in, or took another address."""
    if getattr(event, "by", None) in _NOT_ASKED:
        return
    user, account = context.users.get(tx, event.user_id), accounts.standing(tx, event.user_id)
    if user is not None and account is not None:
        ask(context, tx, Known(user, account))


def _requested(context: Context, tx: Transaction, email: str) -> None:
    found, now = links.look_up(tx, context.users, email), context.now()
    known = found if found is not None and _needs(found) else None
    to = email if known is None else known.user.email
    mailed = links.mail(tx, context.post, _link(context), known, to=to, bound=_bound(to), now=now)
    tx.emit(VerificationAsked(at=now, user_id=known.user.id if known and mailed else None))


def _needs(known: Known) -> bool:
    account = known.account
    return account.active and not account.waiting and not account.verified


def _link(context: Context) -> Link:
    settings = context.settings
    seconds = int(settings.verification_lifetime.total_seconds())
    return Link(purpose=PURPOSE, kind="verify_email", base=settings.pages_url, path="verify-email", seconds=seconds)


def _bound(to: str) -> dict[str, str]:
    """To the address, and to nothing else: a role that changes meanwhile does not make it another one.

    For nobody the same is worked out, and not written down.
    """
    return {"email": key_of(to)}
