"""Changing accounts as an administrator: each change in one transaction, by somebody who still may when it is made.

Threat: two administrators who shut each other out; one who shuts out themselves; a role that tokens keep; a change that
    rests on a role taken away a moment ago.
Source: OWASP ASVS 5.0 V2.3.3, V7.4.2, V7.4.5, V8.3.2; design section 4 (a revocation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rimlock.core import accounts, sessions
from rimlock.core.accounts import ADMIN
from rimlock.core.errors import NotFound
from rimlock.core.registering import remove_user
from rimlock.core.revocations import hold
from rimlock.features.admin.errors import OwnAccount
from rimlock.features.admin.logic.finding import Seen, seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = [
    "approve",
    "delete",
    "disable",
    "enable",
    "end_session",
    "end_sessions",
    "refuse_oneself",
    "reject",
    "require_acting",
    "set_roles",
    "unlock",
]

T = TypeVar("T")


async def disable(context: Context, user_id: str, *, by: Principal | None) -> Seen:
    """Keep an account from acting, at once, and end its sessions. Raises NotFound, LastAdmin, OwnAccount."""
    refuse_oneself(user_id, by)
    now = context.now()

    def work(tx: Transaction) -> None:
        accounts.set_active(tx, user_id, active=False, now=now)
        sessions.end_all(tx, user_id, reason="disabled", now=now)

    return await _changed(context, user_id, work, by)


async def enable(context: Context, user_id: str, *, by: Principal | None) -> Seen:
    """Let a disabled account act again. Raises NotFound."""
    now = context.now()
    return await _changed(context, user_id, lambda tx: accounts.set_active(tx, user_id, active=True, now=now), by)


async def set_roles(context: Context, user_id: str, roles: Iterable[str], *, by: Principal | None) -> Seen:
    """Replace the roles; every access token so far stops counting. Raises NotFound, LastAdmin, OwnAccount."""
    names, now = frozenset(roles), context.now()
    if ADMIN not in names:
        refuse_oneself(user_id, by)
    return await _changed(context, user_id, lambda tx: accounts.set_roles(tx, user_id, names, now=now), by)


async def approve(context: Context, user_id: str, *, by: Principal | None) -> Seen:
    """Let in somebody who waits for it. Raises NotFound for anybody else."""
    now = context.now()
    return await _changed(context, user_id, lambda tx: accounts.approve(tx, user_id, now=now), by)


async def reject(context: Context, user_id: str, *, by: Principal | None) -> None:
    """Delete the account of somebody who waits to be let in. Raises NotFound for anybody else."""
    now = context.now()

    def work(tx: Transaction) -> None:
        waits = accounts.standing(tx, user_id, held=True)
        if waits is None or not waits.waiting:
            raise NotFound
        remove_user(context.users, tx, user_id, now=now, by="rejection")

    await _do(context, user_id, work, by)


async def delete(context: Context, user_id: str, *, by: Principal | None) -> None:
    """Delete an account with its sessions and keys. Raises NotFound, LastAdmin, OwnAccount."""
    refuse_oneself(user_id, by)
    now = context.now()
    await _do(context, user_id, lambda tx: remove_user(context.users, tx, user_id, now=now, by="admin"), by)


async def end_sessions(context: Context, user_id: str, *, by: Principal | None) -> int:
    """Sign an account out on every device; return how many. Raises NotFound."""
    now = context.now()
    return await _do(context, user_id, lambda tx: sessions.end_all(tx, user_id, reason="ended_by_admin", now=now), by)


async def end_session(context: Context, user_id: str, session_id: str, *, by: Principal | None) -> None:
    """Sign an account out on one device. Raises NotFound for a session that is not living, or another's."""
    now = context.now()

    def work(tx: Transaction) -> None:
        if not sessions.end(tx, session_id, reason="ended_by_admin", now=now, user_id=user_id):
            raise NotFound

    await _do(context, user_id, work, by)


async def unlock(context: Context, user_id: str, *, by: Principal | None) -> None:
    """Forget the failed sign-ins that lock somebody out of an account. Raises NotFound, Unavailable."""
    await _do(context, user_id, lambda tx: context.limits.forgive(tx, user_id), by)
    await context.limits.forgive_shared(user_id)


def refuse_oneself(user_id: str, by: Principal | None) -> None:
    """Return when the account is not the caller's own. Raises OwnAccount."""
    if by is not None and by.user_id == user_id:
        raise OwnAccount


def require_acting(tx: Transaction, by: Principal | None) -> None:
    """Return, keeping other such changes waiting, while the caller still is an administrator. A command always is.

    Raises CredentialInvalid.
    """
    if by is None:
        return hold(tx)
    return accounts.require_admin(tx, by)


async def _do(context: Context, user_id: str, work: Callable[[Transaction], T], by: Principal | None) -> T:
    def act(tx: Transaction) -> T:
        require_acting(tx, by)
        seen(context, tx, user_id)
        return work(tx)

    return await context.database.write(act)


async def _changed(context: Context, user_id: str, work: Callable[[Transaction], object], by: Principal | None) -> Seen:
    def act(tx: Transaction) -> Seen:
        work(tx)
        return seen(context, tx, user_id)

    return await _do(context, user_id, act, by)
