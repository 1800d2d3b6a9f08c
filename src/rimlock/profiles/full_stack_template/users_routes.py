"""The dialect's routes about users: oneself, those who register, and for superusers everybody.

Threat: an account taken over by a token alone; a flag that somebody sets for themselves; an address told from none; a
    password that an administrator chose and knows.
Source: full-stack-fastapi-template (2026-08-21), `api/routes/users.py`; OWASP ASVS 5.0 V6.3.8, V6.4.6, V7.5.1, V15.3.3.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from rimlock.core.accounts import ADMIN
from rimlock.core.acting import acting
from rimlock.core.errors import CredentialInvalid, NotFound, PasswordNotAccepted, PermissionMissing
from rimlock.core.links import key_of
from rimlock.core.users import NewUser, RegistrationConflict
from rimlock.features.password import logic as passwords
from rimlock.features.profile import logic as profiles
from rimlock.profiles import people
from rimlock.profiles.full_stack_template.dialect import Refused
from rimlock.profiles.full_stack_template.forms import (
    Message,
    UpdatePassword,
    UserCreate,
    UserPublic,
    UserRegister,
    UsersPublic,
    UserUpdate,
    UserUpdateMe,
)
from rimlock.profiles.full_stack_template.people import LARGEST_PAGE, as_if_made, listed, make, public, tell_owner
from rimlock.profiles.full_stack_template.placing import add
from rimlock.profiles.ids import as_stored
from rimlock.profiles.people import Change
from rimlock.profiles.tokens import Caller
from rimlock.web.mounting import own_router

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.registering import Known
    from rimlock.feature import Context
    from rimlock.profiles.full_stack_template.desk import Desk

__all__ = ["users_routes"]

TAKEN_AT_SIGNUP = "The user with this email already exists in the system"
TAKEN = "The user with this email already exists in the system."
TAKEN_BY_ANOTHER = "User with this email already exists"
NO_SUCH_ID = "The user with this id does not exist in the system"
NOT_THEMSELVES = "Super users are not allowed to delete themselves"
SAME_PASSWORD = "New password cannot be the same as the current one"
NOT_CHOSEN = "Superusers do not choose passwords for others: let them ask for a link to choose one."
DELETED = {"message": "User deleted successfully"}
UPDATED = {"message": "Password updated successfully"}

From = Annotated[int, Query(ge=0, le=2**31)]


def users_routes(desk: Desk) -> APIRouter:
    """Return the routes. Those of oneself come first, for `me` is no id."""
    router = own_router(prefix=f"{desk.prefix}/users", tags=["users"])
    caller = {"caller": Annotated[Caller, Depends(desk.caller())]}
    superuser = {"caller": Annotated[Caller, Depends(desk.caller(superuser=True))]}
    _everybody(router, desk, superuser)
    _oneself(router, desk, caller)
    _registering(router, desk)
    _one(router, desk, caller, superuser)
    return router


def _everybody(router: APIRouter, desk: Desk, superuser: dict[str, Any]) -> None:
    async def read_users(caller: Any, skip: From = 0, limit: From = 100) -> Any:  # noqa: ARG001 - a superuser
        data, count = await listed(desk.context, skip=skip, limit=min(limit, LARGEST_PAGE))
        return {"data": data, "count": count}

    async def create_user(user_in: UserCreate, caller: Any) -> Any:
        desk.require_recent(caller.principal)
        new = NewUser(email=user_in.email, display_name=user_in.full_name or "")
        chosen = user_in.password if desk.choices.insecure_superusers_set_passwords else None
        flags = {"active": user_in.is_active, "superuser": user_in.is_superuser}
        try:
            known = await make(desk.context, new, password=chosen, by=caller.principal, **flags)
        except RegistrationConflict:
            raise Refused(400, TAKEN) from None
        return public(known.user, known.account)

    add(router, "GET", "/", read_users, superuser, response_model=UsersPublic)
    add(router, "POST", "/", create_user, superuser, response_model=UserPublic)


def _oneself(router: APIRouter, desk: Desk, caller: dict[str, Any]) -> None:
    async def read_user_me(caller: Any) -> Any:
        return public(caller.known.user, caller.known.account)

    async def update_user_me(user_in: UserUpdateMe, caller: Any) -> Any:
        wanted = _wanted(user_in, caller.known)
        if wanted.email is not None:
            desk.require_recent(caller.principal)
        known = await _changed(desk.context, caller.known, wanted, caller, as_superuser=False)
        return public(known.user, known.account)

    async def update_password_me(body: UpdatePassword, caller: Any) -> dict[str, str]:
        try:
            await _replace_password(desk.context, body, caller)
        except PasswordNotAccepted as error:
            if any(one["code"] == "unchanged" for one in error.errors):
                raise Refused(400, SAME_PASSWORD) from None
            raise
        return UPDATED

    async def delete_user_me(caller: Any) -> dict[str, str]:
        if ADMIN in caller.known.account.roles:
            raise Refused(403, NOT_THEMSELVES)
        desk.require_recent(caller.principal)
        await profiles.delete_me(desk.context, caller.principal, None)
        return DELETED

    add(router, "PATCH", "/me", update_user_me, caller, response_model=UserPublic)
    add(router, "PATCH", "/me/password", update_password_me, caller, response_model=Message)
    add(router, "GET", "/me", read_user_me, caller, response_model=UserPublic)
    add(router, "DELETE", "/me", delete_user_me, caller, response_model=Message)


def _registering(router: APIRouter, desk: Desk) -> None:
    async def register_user(user_in: UserRegister) -> Any:
        new = NewUser(email=user_in.email, display_name=user_in.full_name or "")
        try:
            known = await passwords.register(desk.context, new, user_in.password, user_in.invitation)
        except RegistrationConflict:
            if desk.choices.insecure_tell_taken:
                raise Refused(400, TAKEN_AT_SIGNUP) from None
            await tell_owner(desk.context, new.email)
            waits = desk.context.settings.registration == "approval" and user_in.invitation is None
            return as_if_made(desk.context, new, waits=waits)
        return public(known.user, known.account)

    add(router, "POST", "/signup", register_user, response_model=UserPublic)


def _one(router: APIRouter, desk: Desk, caller: dict[str, Any], superuser: dict[str, Any]) -> None:
    async def read_user_by_id(user_id: UUID, caller: Any) -> Any:
        if user_id == UUID(caller.known.user.id):
            return public(caller.known.user, caller.known.account)
        if ADMIN not in caller.known.account.roles:
            raise PermissionMissing
        known = await _found(desk.context, user_id, "User not found")
        return public(known.user, known.account)

    async def update_user(user_id: UUID, user_in: UserUpdate, caller: Any) -> Any:
        known = await _found(desk.context, user_id, NO_SUCH_ID)
        desk.require_recent(caller.principal)
        if user_in.password is not None and not desk.choices.insecure_superusers_set_passwords:
            raise Refused(400, NOT_CHOSEN)
        wanted = _wanted(user_in, known)
        known = await _changed(desk.context, known, wanted, caller, as_superuser=True)
        return public(known.user, known.account)

    async def delete_user(user_id: UUID, caller: Any) -> dict[str, str]:
        known = await _found(desk.context, user_id, "User not found")
        if known.user.id == caller.known.user.id:
            raise Refused(403, NOT_THEMSELVES)
        desk.require_recent(caller.principal)
        await people.delete(desk.context, known.user.id, by=caller.principal)
        return DELETED

    add(router, "GET", "/{user_id}", read_user_by_id, caller, response_model=UserPublic)
    add(router, "PATCH", "/{user_id}", update_user, superuser, response_model=UserPublic)
    add(router, "DELETE", "/{user_id}", delete_user, superuser, response_model=Message)


async def _found(context: Context, user_id: UUID, missing: str) -> Known:
    for stored in as_stored(str(user_id), "uuid"):
        if (known := await people.load(context, stored)) is not None:
            return known
    raise Refused(404, missing)


def _wanted(form: UserUpdateMe | UserUpdate, known: Known) -> Change:
    """Return what was sent. One's own address in another spelling is none to change to."""
    sent = {name: getattr(form, name) for name in form.model_fields_set}
    name = (sent.pop("full_name") or "") if "full_name" in sent else None
    email = sent.pop("email", None)
    if email is not None and key_of(email) == key_of(known.user.email):
        email = None
    return Change(email=email, display_name=name, **sent)


async def _changed(context: Context, known: Known, wanted: Change, caller: Caller, *, as_superuser: bool) -> Known:
    """Change a user. Which addresses are taken can be asked only so often."""
    change = partial(people.change, context, known.user.id, wanted, by=caller.principal, as_superuser=as_superuser)
    try:
        if wanted.email is None or as_superuser:
            return await change()
        async with await context.limits.visit("change-email", acting().address, RegistrationConflict):
            return await change()
    except RegistrationConflict:
        raise Refused(409, TAKEN_BY_ANOTHER) from None
    except NotFound:
        raise (Refused(404, NO_SUCH_ID) if as_superuser else CredentialInvalid()) from None


async def _replace_password(context: Context, body: UpdatePassword, caller: Caller) -> None:
    sent = body.current_password, body.new_password
    await passwords.change_password(context, caller.principal, *sent, keep_other_sessions=False)
