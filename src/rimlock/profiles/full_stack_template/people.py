"""What the dialect does with accounts beyond what all dialects do: it shows, lists and makes them.

Threat: an answer that tells whether an address has an account; a password that an administrator chose and knows; an
    account made by somebody who was a superuser a moment ago.
Source: full-stack-fastapi-template (2026-08-21), `crud.py`; OWASP ASVS 5.0 V6.3.8, V6.4.6, V8.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select

from rimlock.core import accounts, links
from rimlock.core.accounts import ADMIN
from rimlock.core.errors import NotFound
from rimlock.core.ids import new_id
from rimlock.core.links import key_of
from rimlock.core.normal import display_form, email_forms
from rimlock.core.registering import Known, open_user
from rimlock.core.schema import user as table
from rimlock.core.users import OwnUsers, User, require_wellformed, vars_of
from rimlock.features.password.logic.knowing import require_acceptable
from rimlock.features.password_recovery import logic as recovery

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.core.users import NewUser
    from rimlock.feature import Context

__all__ = ["LARGEST_PAGE", "Member", "as_if_made", "listed", "make", "public", "tell_owner"]

LARGEST_PAGE = 1_000
_BATCH = 500
_SIGNUP = "signup-taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user, with the attributes that routes of the template know."""

    id: UUID
    email: str
    is_active: bool
    is_superuser: bool
    full_name: str | None
    created_at: datetime


def public(user: User, account: Account | None) -> Member:
    """Return a user as the dialect shows them. Raises ValueError for an id that is no UUID."""
    return Member(
        id=UUID(user.id),
        email=user.email,
        is_active=account is not None and account.active and not account.waiting,
        is_superuser=account is not None and ADMIN in account.roles,
        full_name=user.display_name or None,
        created_at=datetime.fromtimestamp(user.created_at, UTC),
    )


def as_if_made(context: Context, new: NewUser, *, waits: bool) -> Member:
    """Return what the answer would be if the address had been free."""
    now = context.now()
    return Member(
        id=UUID(new_id(now)),
        email=email_forms(new.email)[0],
        is_active=not waits,
        is_superuser=False,
        full_name=display_form(new.display_name) or None,
        created_at=datetime.fromtimestamp(now, UTC),
    )


async def tell_owner(context: Context, email: str) -> None:
    """Tell whoever has an address that somebody wanted to register with it; only so often, which nobody is told."""

    def told(tx: Transaction) -> None:
        owner = links.look_up(tx, context.users, email, held=False)
        if owner is not None:
            links.notify(tx, context.post, "email_taken", owner, to=owner.user.email)

    attempt = await context.limits.mailbox(_SIGNUP, key_of(email)) if "email_taken" in context.kinds() else None
    if attempt is not None:
        await attempt.conclude(told, failed=bool)


async def listed(context: Context, *, skip: int, limit: int) -> tuple[list[Member], int]:
    """Return a page of users, newest first, and how many there are in all.

    A table of the host's is walked through in the order of its ids, for that is all it has to offer.
    """

    def read(tx: Transaction) -> tuple[list[Member], int]:
        found, count = (_own if isinstance(context.users, OwnUsers) else _walked)(context, tx, skip, limit)
        known = accounts.standings(tx, [user.id for user in found])
        return [public(user, known.get(user.id)) for user in found], count

    return await context.database.read(read)


def _own(_: Context, tx: Transaction, skip: int, limit: int) -> tuple[list[User], int]:
    newest = select(table).order_by(table.c.created_at.desc(), table.c.id.desc()).offset(skip).limit(limit)
    found = [User(**{name: row[name] for name in User.__dataclass_fields__}) for row in tx.all(newest)]
    return found, int(tx.value(select(func.count()).select_from(table)))


def _walked(context: Context, tx: Transaction, skip: int, limit: int) -> tuple[list[User], int]:
    found: list[User] = []
    count, after = 0, None
    while users := context.users.page(tx, after=after, limit=_BATCH):
        found += users[max(0, skip - count) : max(0, skip + limit - count)]
        count, after = count + len(users), users[-1].id
    return found, count


async def make(
    context: Context, new: NewUser, *, password: str | None, active: bool, superuser: bool, by: Principal
) -> Known:
    """Make an account for somebody. Without a password nobody has it, and they are mailed a link to choose one by.

    Raises RegistrationConflict, PasswordNotAccepted, InvalidRequest, CredentialInvalid.
    """
    require_wellformed(vars_of(new))
    if password is not None:
        require_acceptable(context, new, password)
    # A table of the host's may not be without a hash: nobody knows the password that this one is of.
    hashed = await context.passwords.hash(token_urlsafe(32) if password is None else password)
    roles, now = (ADMIN,) if superuser else (), context.now()

    def work(tx: Transaction) -> Known:
        accounts.require_admin(tx, by)
        known = open_user(context.users, tx, new, now=now, by="admin", password_hash=hashed, roles=roles)
        if not active:
            accounts.set_active(tx, known.user.id, active=False, now=now)
        elif password is None:
            recovery.mail_to(context, tx, known)
        return _again(tx, known)

    return await context.database.write(work)


def _again(tx: Transaction, known: Known) -> Known:
    account = accounts.standing(tx, known.user.id)
    if account is None:
        raise NotFound
    return Known(known.user, account)
