"""Finding accounts: by how a name begins, by standing, and one with what hangs on it.

Threat: a list that walks through a million rows, or shows a hash; a filter that leaves out who should be seen.
Source: OWASP ASVS 5.0 V14.2.6, V15.3.1 (only the fields that are needed); design section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, func, select

from rimlock.core import accounts, keys, sessions
from rimlock.core.accounts import Account
from rimlock.core.errors import NotFound
from rimlock.core.schema import account as table
from rimlock.core.schema import session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.core.database import Transaction
    from rimlock.core.sessions import Session
    from rimlock.core.users import User
    from rimlock.feature import Context

__all__ = ["Details", "Page", "Seen", "Sought", "details", "page", "seen", "sessions_of"]

BATCH, MOST_BATCHES = 200, 25
"""Rows looked through for one page of a search: what is left over is on the next."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A user and their standing; None for one of a host's table who never had any."""

    user: User
    account: Account | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some accounts in order of id. `next`: where the following page begins, None at the end."""

    items: Sequence[Seen]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which accounts are wanted. `search`: how the address or the username begins; None of the others: any."""

    search: str | None = None
    role: str | None = None
    disabled: bool | None = None
    waiting: bool | None = None
    must_change: bool | None = None

    def fits(self, account: Account | None) -> bool:
        """Say whether an account with this standing is wanted."""
        if account is None:
            return not (self.role or self.waiting or self.must_change) and self.disabled is not False
        return (
            self.role in {None, *account.roles}
            and self.disabled in {None, not account.active}
            and self.waiting in {None, account.waiting}
            and self.must_change in {None, account.must_change_password}
        )

    @property
    def by_standing(self) -> bool:
        """Whether the standing alone decides."""
        return not self.search and (self.role, self.disabled, self.waiting, self.must_change) != (None,) * 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """One account and what hangs on it. `last_sign_in`: of the sessions still kept, in seconds since the epoch."""

    user: User
    account: Account | None
    sessions: int
    keys: int
    last_sign_in: int | None


async def page(context: Context, sought: Sought, *, after: str | None, limit: int) -> Page:
    """Return accounts in order of id, those after `after`. A page may be short, even when it is not the last."""

    def read(tx: Transaction) -> Page:
        if sought.by_standing and tx.host is None:  # a host's own table may know of users who have no account yet
            return _by_standing(context, tx, sought, after, limit)
        return _by_name(context, tx, sought, after, limit)

    return await context.database.read(read)


async def details(context: Context, user_id: str) -> Details:
    """Return one account. Raises NotFound."""
    now = context.now()

    def read(tx: Transaction) -> Details:
        found = seen(context, tx, user_id)
        return Details(
            user=found.user,
            account=found.account,
            sessions=len(sessions.living(tx, user_id, now=now, limit=_MOST_COUNTED)),
            keys=keys.living(tx, user_id, now=now),
            last_sign_in=tx.value(_LAST_SIGN_IN, {"user": user_id}),
        )

    return await context.database.read(read)


async def sessions_of(context: Context, user_id: str, *, after: str | None, limit: int) -> list[Session]:
    """Return the living sessions of a user, oldest sign-in first. Raises NotFound."""
    now = context.now()

    def read(tx: Transaction) -> list[Session]:
        seen(context, tx, user_id)
        return sessions.living(tx, user_id, now=now, after=after, limit=limit)

    return await context.database.read(read)


def seen(context: Context, tx: Transaction, user_id: str) -> Seen:
    """Return a user and their standing. Raises NotFound."""
    user = context.users.get(tx, user_id) if user_id.isprintable() else None
    if user is None:
        raise NotFound
    return Seen(user, accounts.standing(tx, user_id))


def _by_name(context: Context, tx: Transaction, sought: Sought, after: str | None, limit: int) -> Page:
    """Walk through the users, and leave out those whose standing is not the wanted one."""
    found: list[Seen] = []
    for _ in range(MOST_BATCHES):
        users = context.users.page(tx, after=after, limit=BATCH, search=sought.search)
        known = accounts.standings(tx, [user.id for user in users])
        found += [Seen(user, known.get(user.id)) for user in users if sought.fits(known.get(user.id))]
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1].user.id)
        if len(users) < BATCH:
            return Page(found, None)
        after = users[-1].id
    return Page(found, after)


def _by_standing(context: Context, tx: Transaction, sought: Sought, after: str | None, limit: int) -> Page:
    """Walk through the standings, which the database can tell apart, and look up whose they are."""
    query = select(table.c.user_id).where(*_wanted(sought)).order_by(table.c.user_id).limit(limit + 1)
    if after is not None:
        query = query.where(table.c.user_id > after)
    ids = [row["user_id"] for row in tx.all(query)]
    known = accounts.standings(tx, ids[:limit])
    users = [user for one in ids[:limit] if (user := context.users.get(tx, one)) is not None]
    return Page([Seen(user, known.get(user.id)) for user in users], ids[limit - 1] if len(ids) > limit else None)


def _wanted(sought: Sought) -> list[Any]:
    wanted: list[Any] = [] if sought.role is None else [accounts.has_role(sought.role)]
    for column, value in (
        (table.c.active, None if sought.disabled is None else not sought.disabled),
        (table.c.waiting, sought.waiting),
        (table.c.must_change_password, sought.must_change),
    ):
        if value is not None:
            wanted.append(column.is_(value))
    return wanted


_MOST_COUNTED = 10_000
_LAST_SIGN_IN = select(func.max(session.c.created_at)).where(session.c.user_id == bindparam("user"))
