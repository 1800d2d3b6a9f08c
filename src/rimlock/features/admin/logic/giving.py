"""Giving somebody a way in: a temporary password for an account old or new, or an invitation.

Threat: a password that an administrator chooses and keeps; one that lives on in a table, a log or a chat; an account
    that goes on under the old one.
Source: OWASP ASVS 5.0 V6.4.1 (random, short-lived, replaced at first use), V6.4.6 (administrators do not choose).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rimlock.core import accounts, invitations, login, sessions
from rimlock.core.registering import open_user
from rimlock.core.users import require_wellformed, vars_of
from rimlock.crypto.readable import new_readable
from rimlock.features.admin.events import TemporaryPasswordSet
from rimlock.features.admin.logic.changing import refuse_oneself, require_acting
from rimlock.features.admin.logic.finding import seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.database import Transaction
    from rimlock.core.invitations import Invitation, Invited
    from rimlock.core.principal import Principal
    from rimlock.core.registering import Known
    from rimlock.core.users import NewUser
    from rimlock.feature import Context

__all__ = ["Temporary", "create", "invite", "temporary_password"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Temporary:
    """A temporary password, to be shown this once, and until when it is good, in seconds since the epoch."""

    password: str = field(repr=False)
    expires_at: int


async def temporary_password(context: Context, user_id: str, *, by: Principal | None) -> Temporary:
    """Give an account a temporary password in place of its own, and end its sessions.

    Whatever let somebody in before is worth nothing from now on: the old password, an older temporary one, a change
    that was begun with it, every token; API keys rest until another password is chosen. Raises NotFound, OwnAccount,
    CredentialInvalid, Busy.
    """
    refuse_oneself(user_id, by)
    await context.database.read(lambda tx: seen(context, tx, user_id))
    password, hashed = await _made(context)
    now = context.now()
    expires_at = now + int(context.settings.temporary_password.total_seconds())

    def give(tx: Transaction) -> None:
        require_acting(tx, by)
        accounts.set_password_hash(tx, user_id, hashed, now=now, must_change=True, expires_at=expires_at)
        ended = sessions.end_all(tx, user_id, reason="ended_by_admin", now=now)
        login.withdraw(tx, user_id, "password_change", now=now)
        tx.emit(TemporaryPasswordSet(at=now, user_id=user_id, expires_at=expires_at, sessions_ended=ended))

    await context.database.write(give)
    return Temporary(password=password, expires_at=expires_at)


async def create(
    context: Context, new: NewUser, *, roles: Iterable[str], verified: bool = False, by: Principal | None
) -> tuple[Known, Temporary]:
    """Make an account with a temporary password, whatever may be registered.

    Raises RegistrationConflict, InvalidRequest, CredentialInvalid, Busy.
    """
    require_wellformed(vars_of(new))
    names = frozenset(roles)
    password, hashed = await _made(context)
    now = context.now()
    expires_at = now + int(context.settings.temporary_password.total_seconds())

    def make(tx: Transaction) -> Known:
        require_acting(tx, by)
        return open_user(
            context.users,
            tx,
            new,
            now=now,
            by="command" if by is None else "admin",
            password_hash=hashed,
            roles=names,
            verified=verified,
            expires_at=expires_at,
        )

    known = await context.database.write(make)
    return known, Temporary(password=password, expires_at=expires_at)


async def invite(context: Context, wanted: Invited, *, by: Principal | None) -> tuple[str, Invitation]:
    """Make an invitation, mailed where such mails are known; return its code, to be shown this once.

    Raises RegistrationClosed where no code lets anybody register, InvalidRequest, CredentialInvalid.
    """
    mode = context.settings.registration

    def make(tx: Transaction) -> tuple[str, Invitation]:
        require_acting(tx, by)
        code, made = invitations.issue(tx, wanted, mode=mode, now=context.now())
        if invitations.MAIL in context.kinds():
            invitations.mail(tx, context.post, code, wanted, pages=context.settings.frontend_url)
        return code, made

    return await context.database.write(make)


async def _made(context: Context) -> tuple[str, str]:
    """Return a new password and its hash. Raises Busy."""
    password = new_readable()
    return password, await context.passwords.hash(password)
