"""Making accounts: by whoever may register, by an operator, and the first administrator's by a one-time link.

Threat: a role taken along in a registration; a link used twice, or spent for nothing; a taken name told by time.
Source: OWASP ASVS 5.0 V2.3.4, V6.3.8, V6.4.1, V15.3.3; NIST SP 800-63B-4 section 3.1.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import accounts, challenges, invitations
from rimlock.core.accounts import ADMIN
from rimlock.core.acting import acting
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import ProfileRefused
from rimlock.core.invitations import InvitationInvalid
from rimlock.core.registering import RegistrationClosed, open_user
from rimlock.core.users import RegistrationConflict
from rimlock.features.password.errors import FirstAdminExists
from rimlock.features.password.events import FirstAdminLinkIssued
from rimlock.features.password.logic.knowing import require_acceptable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.database import Transaction
    from rimlock.core.registering import Known, Origin
    from rimlock.core.users import NewUser
    from rimlock.feature import Context

__all__ = [
    "FIRST_ADMIN_SECONDS",
    "check_first_admin",
    "create_user",
    "first_admin_link",
    "make_first_admin",
    "register",
]

FIRST_ADMIN_SECONDS = 24 * 3600
_FIRST_ADMIN = "first-admin"


async def register(context: Context, new: NewUser, password: str, code: str | None = None) -> Known:
    """Make an account for whoever may register. `code`: of an invitation, which counts wherever anybody may.

    Without one the account waits for an administrator, where registration is by approval. The password is hashed
    before anybody looks whether the names are free, so that the time does not tell; but first comes the code, so that
    only who holds a good one makes us hash. Raises RegistrationClosed, InvitationInvalid, PasswordNotAccepted,
    RegistrationConflict, ProfileRefused, InvalidRequest, TooManyAttempts, Busy.
    """
    wrong = InvitationInvalid, RegistrationConflict, ProfileRefused
    async with await context.limits.visit("register", acting().address, *wrong):
        await _require_admitted(context, new, code)
        require_acceptable(context, new, password)
        hashed = await context.passwords.hash(password)
        return await context.database.write(lambda tx: _registered(context, tx, new, hashed, code))


async def _require_admitted(context: Context, new: NewUser, code: str | None) -> None:
    mode, now = context.settings.registration, context.now()
    if mode == "closed":
        raise RegistrationClosed
    if mode == "invitation" and code is None:
        raise InvitationInvalid
    if code is not None:
        await context.database.read(lambda tx: invitations.require_open(tx, code, new.email, now=now))


def _registered(context: Context, tx: Transaction, new: NewUser, hashed: str, code: str | None) -> Known:
    """Take the seat and make the account, both or neither."""
    now = context.now()
    if code is None:
        by: Origin = "approval" if context.settings.registration == "approval" else "registration"
        return open_user(context.users, tx, new, now=now, by=by, password_hash=hashed)
    taken = invitations.take(tx, code, new.email, now=now)
    return open_user(
        context.users,
        tx,
        new,
        now=now,
        by="invitation",
        password_hash=hashed,
        roles=taken.roles,
        invitation_id=taken.id,
    )


async def create_user(
    context: Context, new: NewUser, password: str | None, *, roles: Iterable[str] = (), verified: bool = False
) -> Known:
    """Make an account as an operator: by the same rules, whether or not registration is open.

    Meant for commands: the password is hashed in place. Without one the account cannot sign in by password.
    Raises PasswordNotAccepted, RegistrationConflict, InvalidRequest.
    """
    if password is not None:
        require_acceptable(context, new, password)
    hashed = context.passwords.hasher.hash(password) if password is not None else None
    names, now = tuple(roles), context.now()
    return await context.database.write(
        lambda tx: open_user(
            context.users, tx, new, now=now, by="command", password_hash=hashed, roles=names, verified=verified
        )
    )


async def first_admin_link(context: Context) -> str | None:
    """Return the secret of a new one-time link for the first administrator; None when there is one.

    It lives 24 hours. Links made before are worth nothing from now on.
    """
    now = context.now()

    def issue(tx: Transaction) -> str | None:
        tx.lock(_FIRST_ADMIN)
        challenges.withdraw(tx, _FIRST_ADMIN, now=now)
        if accounts.anyone_with(tx, ADMIN):
            return None
        tx.emit(FirstAdminLinkIssued(at=now, expires_at=now + FIRST_ADMIN_SECONDS))
        return challenges.issue(tx, _FIRST_ADMIN, now=now, seconds=FIRST_ADMIN_SECONDS)

    return await context.database.write(issue)


async def check_first_admin(context: Context, token: str) -> None:
    """Return when the link can be used now; nothing is spent.

    Raises ChallengeRefused, FirstAdminExists, TooManyAttempts.
    """
    async with await context.limits.secret(_FIRST_ADMIN, acting().address, ChallengeRefused):
        await _require_first_admin(context, token)


async def _require_first_admin(context: Context, token: str) -> None:
    def check(tx: Transaction) -> None:
        # The secret first: only who holds one may make us look through the accounts.
        challenges.peek(tx, _FIRST_ADMIN, token, now=context.now())
        if accounts.anyone_with(tx, ADMIN):
            raise FirstAdminExists

    await context.database.read(check)


async def make_first_admin(context: Context, token: str, new: NewUser, password: str) -> Known:
    """Spend the link and make the administrator, both or neither.

    Raises ChallengeRefused, FirstAdminExists, PasswordNotAccepted, RegistrationConflict, TooManyAttempts, Busy.
    """
    async with await context.limits.secret(_FIRST_ADMIN, acting().address, ChallengeRefused):
        await _require_first_admin(context, token)
        require_acceptable(context, new, password)
        return await _make_first_admin(context, token, new, await context.passwords.hash(password))


async def _make_first_admin(context: Context, token: str, new: NewUser, hashed: str) -> Known:
    now = context.now()

    def make(tx: Transaction) -> Known:
        tx.lock(_FIRST_ADMIN)
        challenges.consume(tx, _FIRST_ADMIN, token, now=now)
        if accounts.anyone_with(tx, ADMIN):
            raise FirstAdminExists
        return open_user(context.users, tx, new, now=now, by="first_admin", password_hash=hashed, roles=(ADMIN,))

    return await context.database.write(make)
