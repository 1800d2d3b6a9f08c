"""Reading, editing and deleting oneself; looking at others.

Threat: a field that was never offered and is changed all the same; an address shown to another user; a key or a
    session that outlives its owner; two edits of which one is lost.
Source: OWASP ASVS 5.0 V7.4.2, V7.5.1, V8.2.3, V15.3.3; RFC 7396 (merge patch); design section 6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rimlock.core import accounts
from rimlock.core.errors import CredentialInvalid, InvalidRequest, NotFound, ProfileRefused
from rimlock.core.languages import language_form
from rimlock.core.normal import profile_form
from rimlock.core.proving import require_current
from rimlock.core.registering import remove_user
from rimlock.core.revocations import announce, hold
from rimlock.core.users import EDITABLE, User
from rimlock.features.profile.events import ProfileChanged

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.feature import Context

__all__ = ["Myself", "Validate", "allowed", "delete_me", "edit_me", "look_at", "merged", "read_me"]

Validate = Callable[["Transaction", User], None]
"""Says by a ValueError what the application has against a user as they would be. It must not wait for anything."""

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_MOST_NAMED = 20
_LONGEST_REASON = 200


@dataclass(frozen=True, slots=True)
class Myself:
    """The signed-in user and their standing."""

    user: User
    account: Account


async def read_me(context: Context, principal: Principal) -> Myself:
    """Return who is signed in, as the database has it now. Raises CredentialInvalid."""
    return await context.database.read(lambda tx: _myself(context, tx, principal))


async def edit_me(context: Context, principal: Principal, patch: Mapping[str, Any]) -> Myself:
    """Apply a merge patch (RFC 7396) to what people may change about themselves.

    A field that is left out stays. Null takes a field away: no username, an empty name, no picture, no free fields.
    `profile` is merged member by member, and a member that is null goes. `locale` is the language of messages to them.
    Raises InvalidRequest, RegistrationConflict, CredentialInvalid.
    """
    require_editable(patch)
    if not patch:
        return await read_me(context, principal)
    if patch.get("profile"):
        profile_form(patch["profile"])
    now = context.now()

    def edit(tx: Transaction) -> Myself:
        hold(tx)
        me = _myself(context, tx, principal)
        changes = _changes(me.user, patch)
        if "locale" in changes:
            accounts.set_locale(tx, me.user.id, changes.pop("locale"))
            me = _myself(context, tx, principal)
        user = context.users.change(tx, me.user.id, changes, now) if changes else me.user
        if user is None:
            raise CredentialInvalid
        announce(tx, "user", user.id, value=me.account.epoch, now=now)
        tx.emit(ProfileChanged(at=now, user_id=user.id, fields=tuple(sorted(patch))))
        return Myself(user, me.account)

    return await context.database.write(edit)


async def delete_me(context: Context, principal: Principal, password: str | None) -> None:
    """Delete the user with sessions, keys and standing. A password, when given, has to be right.

    Raises CurrentPasswordWrong, CredentialInvalid, LastAdmin, Busy.
    """
    me, now = await read_me(context, principal), context.now()
    if password is not None:
        await require_current(context.limits, context.passwords, me.account, password, principal=principal, now=now)

    def delete(tx: Transaction) -> None:
        hold(tx)
        user_id = _myself(context, tx, principal, held=True).user.id
        remove_user(context.users, tx, user_id, now=now)

    await context.database.write(delete)


def allowed(context: Context, validate: Validate | None, tx: Transaction, event: Any) -> None:
    """Return when the application has nothing against the user as they are now, in this transaction.

    Who comes without any profile fields, from elsewhere or by a command, may be without. Raises InvalidRequest,
    ProfileRefused.
    """
    user = context.users.get(tx, event.user_id)
    if user is None:
        return
    if user.profile or "profile" in getattr(event, "fields", ()):
        context.fields.check(user.profile)
    if validate is not None:
        try:
            validate(tx, user)
        except ValueError as error:
            raise ProfileRefused(str(error)[:_LONGEST_REASON]) from None


async def look_at(context: Context, user_id: str) -> User:
    """Return another user; what of it may be shown is for the caller. Raises NotFound."""
    if not user_id.isprintable():
        raise NotFound
    found = await context.database.read(lambda tx: context.users.get(tx, user_id))
    if found is None:
        raise NotFound
    return found


def require_editable(patch: Mapping[str, Any]) -> None:
    """Return when only fields are named that people may change. Raises InvalidRequest, which names the others."""
    unknown = sorted(set(patch) - EDITABLE - {"locale"})
    if unknown:
        raise InvalidRequest(errors=tuple(_not_editable(name) for name in unknown[:_MOST_NAMED]))


def merged(target: Any, patch: Any) -> Any:
    """Return `target` with the merge patch applied (RFC 7396 section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _changes(user: User, patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the new values of the fields that the patch speaks of."""
    changes = {name: _EMPTY[name] if value is None else value for name, value in patch.items()}
    if patch.get("profile") is not None:
        changes["profile"] = merged(user.profile, patch["profile"])
    if patch.get("locale") is not None:
        changes["locale"] = language_form(patch["locale"])
    return changes


_EMPTY: dict[str, Any] = {"username": None, "display_name": "", "avatar_url": "", "profile": {}, "locale": None}


def _myself(context: Context, tx: Transaction, principal: Principal, *, held: bool = False) -> Myself:
    user_id = principal.user_id or ""
    account = accounts.standing(tx, user_id, held=held)
    user = context.users.get(tx, user_id)
    if account is None or user is None:
        raise CredentialInvalid
    return Myself(user, account)


def _not_editable(name: str) -> dict[str, str]:
    """Name the field, unless it is no name at all: what was sent is not repeated."""
    shown = name if _FIELD_NAME.fullmatch(name) else "body"
    return {"name": shown, "code": "field_not_editable", "detail": "This field cannot be changed here."}
