"""What dialects do with accounts, by the same rules as every other way to do it.

Threat: a stolen token that becomes the account, by another password or address; a flag that somebody sets for
    themselves; a superuser who was one a moment ago; old tokens that outlive the password they rest on.
Source: OWASP ASVS 5.0 V6.2.3, V6.4.6, V7.4.3, V8.3.2, V15.3.3; design section 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimlock.core import accounts, links, sessions
from rimlock.core.accounts import ADMIN, EmailChanged
from rimlock.core.errors import CredentialInvalid, FreshLoginRequired, NotFound
from rimlock.core.proving import require_acceptable
from rimlock.core.registering import Known, remove_user
from rimlock.core.revocations import announce, hold
from rimlock.core.users import RegistrationConflict, require_wellformed
from rimlock.features.password.events import PasswordChanged
from rimlock.features.profile.events import ProfileChanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.core.users import User
    from rimlock.feature import Context

__all__ = ["FRESH_SECONDS", "Change", "change", "delete", "load", "require_recent"]

FRESH_SECONDS = 900
"""How recent a sign-in has to be for somebody to change their own password or address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed; None leaves it as it is. `fields`: of the application's own."""

    email: str | None = None
    display_name: str | None = None
    password: str | None = field(default=None, repr=False)
    is_active: bool | None = None
    is_superuser: bool | None = None
    is_verified: bool | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


async def load(context: Context, user_id: str) -> Known | None:
    """Return a user and their standing, as they are now."""
    return await context.database.read(lambda tx: _known(context, tx, user_id))


def require_recent(principal: Principal, wanted: Change, *, now: float) -> None:
    """Return when the sign-in is recent enough for the change. Raises FreshLoginRequired."""
    if (wanted.password is not None or wanted.email is not None) and now - principal.auth_time > FRESH_SECONDS:
        raise FreshLoginRequired


async def change(context: Context, user_id: str, wanted: Change, *, by: Principal, as_superuser: bool) -> Known:
    """Change a user, all of it or nothing. Raises RegistrationConflict, PasswordNotAccepted, LastAdmin, NotFound.

    Another address takes effect at once and is not proven; the one before is told. With another password every token
    so far is worth nothing, and every session ends but the one that made the change.
    """
    known = await load(context, user_id)
    if known is None:
        raise NotFound
    hashed = await _hashed(context, known, wanted)
    now = context.now()

    def work(tx: Transaction) -> Known:
        _require_acting(tx, by, as_superuser=as_superuser)
        current = _held(context, tx, user_id)
        _change_fields(context, tx, current, wanted, now)
        if hashed is not None:
            _change_password(tx, user_id, hashed, by, now)
        if as_superuser:
            _change_flags(tx, current, wanted, now)
        return _held(context, tx, user_id)

    return await context.database.write(work)


async def delete(context: Context, user_id: str, *, by: Principal) -> None:
    """Delete a user, as a superuser. Raises NotFound, LastAdmin, CredentialInvalid."""
    now = context.now()

    def work(tx: Transaction) -> None:
        accounts.require_admin(tx, by)
        remove_user(context.users, tx, user_id, now=now, by="owner" if by.user_id == user_id else "admin")

    await context.database.write(work)


async def _hashed(context: Context, known: Known, wanted: Change) -> str | None:
    """Judge what was sent before anything costly, and hash the new password outside of any transaction."""
    named = {"email": wanted.email, "display_name": wanted.display_name}
    require_wellformed({name: value for name, value in named.items() if value is not None})
    if wanted.password is None:
        return None
    words = known.user.email, wanted.email, known.user.username, known.user.display_name
    require_acceptable(context.password_policy, words, wanted.password, field="password")
    return await context.passwords.hash(wanted.password)


def _require_acting(tx: Transaction, by: Principal, *, as_superuser: bool) -> None:
    """Return, keeping other changes waiting, while the caller still is who they were. Raises CredentialInvalid."""
    if as_superuser:
        return accounts.require_admin(tx, by)
    hold(tx)
    caller = accounts.standing(tx, by.user_id or "", held=True)
    if caller is None or not caller.active or caller.epoch != by.epoch:
        raise CredentialInvalid
    return None


def _change_fields(context: Context, tx: Transaction, current: Known, wanted: Change, now: int) -> None:
    user = current.user
    if wanted.email is not None and wanted.email != user.email:
        if context.users.find(tx, wanted.email) is not None:
            raise RegistrationConflict
        context.users.change(tx, user.id, {"email": wanted.email}, now)
        accounts.set_verified(tx, user.id, verified=False, now=now)
        if "email_changed" in context.kinds():
            links.notify(tx, context.post, "email_changed", current, to=user.email)
        tx.emit(EmailChanged(at=now, user_id=user.id, verified=False))
    edits = _edits(user, wanted)
    if edits:
        context.users.change(tx, user.id, edits, now)
        announce(tx, "user", user.id, value=current.account.epoch, now=now)
        tx.emit(ProfileChanged(at=now, user_id=user.id, fields=tuple(sorted(edits))))


def _edits(user: User, wanted: Change) -> dict[str, Any]:
    """Return what changes about the person that nothing rests on."""
    edits: dict[str, Any] = {} if wanted.display_name is None else {"display_name": wanted.display_name}
    return {**edits, "profile": {**user.profile, **wanted.fields}} if wanted.fields else edits


def _change_password(tx: Transaction, user_id: str, hashed: str, by: Principal, now: int) -> None:
    accounts.set_password_hash(tx, user_id, hashed, now=now)
    spared = by.credential_id if by.user_id == user_id else None
    ended = sessions.end_all(tx, user_id, reason="password", now=now, but=spared)
    tx.emit(PasswordChanged(at=now, user_id=user_id, sessions_ended=ended))


def _change_flags(tx: Transaction, current: Known, wanted: Change, now: int) -> None:
    account, user_id = current.account, current.user.id
    if wanted.is_superuser is not None and wanted.is_superuser != (ADMIN in account.roles):
        accounts.set_roles(tx, user_id, account.roles ^ {ADMIN}, now=now)
    if wanted.is_active is not None and wanted.is_active != account.active:
        accounts.set_active(tx, user_id, active=wanted.is_active, now=now)
        if not wanted.is_active:
            sessions.end_all(tx, user_id, reason="disabled", now=now)
    if wanted.is_verified is not None:
        accounts.set_verified(tx, user_id, verified=wanted.is_verified, now=now)


def _held(context: Context, tx: Transaction, user_id: str) -> Known:
    found = _known(context, tx, user_id, held=True)
    if found is None:
        raise NotFound
    return found


def _known(context: Context, tx: Transaction, user_id: str, *, held: bool = False) -> Known | None:
    user, account = context.users.get(tx, user_id), accounts.standing(tx, user_id, held=held)
    return None if user is None or account is None else Known(user, account)
