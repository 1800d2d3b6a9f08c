"""Making accounts: by whoever registers, by an operator, and the first administrator's by a one-time link.

Threat: a role taken along in a registration; a link used twice, or spent for nothing; a taken name told by time.
Source: OWASP ASVS 5.0 V6.3.8, V6.4.1, V15.3.3; NIST SP 800-63B-4 section 3.1.1.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core import accounts, challenges
from rimlock.features.password.errors import FirstAdminExists, RegistrationClosed
from rimlock.features.password.events import UserRegistered
from rimlock.features.password.logic.knowing import Known, require_acceptable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal

    from rimlock.core.database import Transaction
    from rimlock.core.users import NewUser
    from rimlock.feature import Context

__all__ = [
    "ADMIN",
    "FIRST_ADMIN_SECONDS",
    "check_first_admin",
    "create_user",
    "first_admin_link",
    "make_first_admin",
    "register",
]

ADMIN = "admin"
FIRST_ADMIN_SECONDS = 24 * 3600
_FIRST_ADMIN = "first-admin"


async def register(context: Context, new: NewUser, password: str) -> Known:
    """Make an account for whoever asks. Raises RegistrationClosed, PasswordNotAccepted, RegistrationConflict, Busy.

    The password is hashed before anybody looks whether the names are free, so that the time does not tell.
    """
    if context.settings.registration == "closed":
        raise RegistrationClosed
    require_acceptable(context, new, password)
    hashed = await context.passwords.hash(password)
    now = context.now()
    return await context.database.write(lambda tx: _open(context, tx, new, hashed, now=now, by="registration"))


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
        lambda tx: _open(context, tx, new, hashed, now=now, by="command", roles=names, verified=verified)
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
        return challenges.issue(tx, _FIRST_ADMIN, now=now, seconds=FIRST_ADMIN_SECONDS)

    return await context.database.write(issue)


async def check_first_admin(context: Context, token: str) -> None:
    """Return when the link can be used now; nothing is spent. Raises ChallengeRefused, FirstAdminExists."""

    def check(tx: Transaction) -> None:
        # The secret first: only who holds one may make us look through the accounts.
        challenges.peek(tx, _FIRST_ADMIN, token, now=context.now())
        if accounts.anyone_with(tx, ADMIN):
            raise FirstAdminExists

    await context.database.read(check)


async def make_first_admin(context: Context, token: str, new: NewUser, password: str) -> Known:
    """Spend the link and make the administrator, both or neither.

    Raises ChallengeRefused, FirstAdminExists, PasswordNotAccepted, RegistrationConflict, Busy.
    """
    await check_first_admin(context, token)
    require_acceptable(context, new, password)
    hashed, now = await context.passwords.hash(password), context.now()

    def make(tx: Transaction) -> Known:
        tx.lock(_FIRST_ADMIN)
        challenges.consume(tx, _FIRST_ADMIN, token, now=now)
        if accounts.anyone_with(tx, ADMIN):
            raise FirstAdminExists
        return _open(context, tx, new, hashed, now=now, by="first_admin", roles=(ADMIN,))

    return await context.database.write(make)


def _open(
    context: Context,
    tx: Transaction,
    new: NewUser,
    hashed: str | None,
    *,
    now: int,
    by: Literal["registration", "first_admin", "command"],
    roles: Iterable[str] = (),
    verified: bool = False,
) -> Known:
    user = context.users.create(tx, new, now)
    account = accounts.open_account(tx, user.id, now=now, password_hash=hashed, roles=roles, verified=verified)
    tx.emit(UserRegistered(at=now, user_id=user.id, by=by))
    return Known(user, account)
