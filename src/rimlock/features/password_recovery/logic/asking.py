"""Asking for the link to choose another password.

Threat: an answer, or the time it takes, that tells whether an address has an account; a mailbox that is flooded.
Source: OWASP ASVS 5.0 V6.3.8, V6.4.3, V2.4.1; CVE-2024-39329 (told by time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import links
from rimlock.core.acting import acting
from rimlock.core.links import Link, key_of
from rimlock.core.users import require_wellformed
from rimlock.features.password_recovery.events import RecoveryAsked

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.messages import Fact
    from rimlock.core.registering import Known
    from rimlock.feature import Context

__all__ = ["PURPOSE", "mail_to", "request"]

PURPOSE = "reset-password"


async def request(context: Context, email: str) -> None:
    """Mail a link to whoever has this address and may act; for everybody else the same is done in vain.

    It goes to the address that is stored, whatever spelling was sent. Older links are worth nothing then. An account
    gets five links an hour; what is asked for beyond that is done in vain as well, and the last link stays good.
    Raises InvalidRequest for what is no address, TooManyAttempts.
    """
    require_wellformed({"email": email})
    async with await context.limits.visit(PURPOSE, acting().address):
        await context.database.write(lambda tx: _requested(context, tx, email))


def mail_to(context: Context, tx: Transaction, known: Known) -> None:
    """Mail a link in this transaction to somebody whose account was made for them, to choose a password by."""
    to, now = known.user.email, context.now()
    links.mail(tx, context.post, _link(context), known, to=to, bound=_bound(known, to), now=now)


def _requested(context: Context, tx: Transaction, email: str) -> None:
    found, now = links.look_up(tx, context.users, email), context.now()
    known = found if found is not None and found.account.active and not found.account.waiting else None
    to = email if known is None else known.user.email
    mailed = links.mail(tx, context.post, _link(context), known, to=to, bound=_bound(known, to), now=now)
    tx.emit(RecoveryAsked(at=now, user_id=known.user.id if known and mailed else None))


def _link(context: Context) -> Link:
    settings = context.settings
    seconds = int(settings.recovery_lifetime.total_seconds())
    return Link(purpose=PURPOSE, kind="reset_password", base=settings.pages_url, path="reset-password", seconds=seconds)


def _bound(known: Known | None, to: str) -> dict[str, Fact]:
    """To the address, and to the standing: any change of the password makes the link worthless.

    For nobody the same is worked out, and not written down.
    """
    return {"email": key_of(to), "epoch": 0 if known is None else known.account.epoch}
