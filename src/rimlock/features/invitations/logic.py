"""Making, listing and revoking invitations, as an administrator or by a command (`by` is None then).

Threat: an invitation that outlives the rights of who makes it; a code that can be used by nobody, and nobody told.
Source: OWASP ASVS 5.0 V6.4.1, V8.3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import accounts, invitations
from rimlock.core.messages import Message
from rimlock.features.invitations.messages import APPROVED

if TYPE_CHECKING:
    from rimlock.core.accounts import AccountApproved
    from rimlock.core.database import Transaction
    from rimlock.core.invitations import Invitation, Invited
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = ["invite", "on_approved", "page", "revoke"]


async def invite(context: Context, wanted: Invited, *, by: Principal | None) -> tuple[str, Invitation]:
    """Make an invitation, mailed to whom it is for; return its code, to be shown this once.

    Raises RegistrationClosed where no code lets anybody register, InvalidRequest, CredentialInvalid.
    """
    mode = context.settings.registration

    def make(tx: Transaction) -> tuple[str, Invitation]:
        _require_acting(tx, by)
        code, made = invitations.issue(tx, wanted, mode=mode, now=context.now())
        invitations.mail(tx, context.post, code, wanted, pages=context.settings.frontend_url)
        return code, made

    return await context.database.write(make)


async def page(context: Context, *, after: str | None, limit: int, everything: bool) -> list[Invitation]:
    """Return invitations in order of id: those that can be used, or all."""
    now = context.now()
    return await context.database.read(
        lambda tx: invitations.page(tx, now=now, after=after, limit=limit, everything=everything)
    )


async def revoke(context: Context, invitation_id: str, *, by: Principal | None) -> None:
    """Make an invitation worthless. Raises NotFound, CredentialInvalid."""

    def work(tx: Transaction) -> None:
        _require_acting(tx, by)
        invitations.revoke(tx, invitation_id, now=context.now())

    await context.database.write(work)


def on_approved(context: Context, tx: Transaction, event: AccountApproved) -> None:
    """Mail to who was let in that they were."""
    user, account = context.users.get(tx, event.user_id), accounts.standing(tx, event.user_id)
    if user is None or account is None or "@" not in user.email or not user.email.isprintable():
        return  # a host's own table may hold what no mail can be sent to; that keeps nobody out
    pages = context.settings.frontend_url.rstrip("/")
    facts = {"link": f"{pages}/login" if pages else ""}
    context.post(tx, Message(kind=APPROVED, to=user.email, facts=facts, user_id=user.id, locale=account.locale))


def _require_acting(tx: Transaction, by: Principal | None) -> None:
    if by is not None:
        accounts.require_admin(tx, by)
