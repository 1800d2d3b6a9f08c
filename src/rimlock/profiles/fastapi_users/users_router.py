"""The router of the dialect for those who are signed in: themselves, and for superusers everybody.

Threat: an account taken over by a token alone; a password that an administrator chose and knows.
Source: FastAPI Users 15 (names, bodies, status codes); OWASP ASVS 5.0 V6.2.3, V6.4.6, V8.2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from rimlock.core.accounts import LastAdmin
from rimlock.core.errors import NotFound, PasswordNotAccepted, PermissionMissing
from rimlock.core.users import RegistrationConflict
from rimlock.profiles.fastapi_users import people
from rimlock.profiles.fastapi_users.codes import ErrorCode, InvalidPasswordException, bad_password, bad_request
from rimlock.profiles.fastapi_users.entering import Caller
from rimlock.profiles.fastapi_users.ids import as_stored
from rimlock.profiles.fastapi_users.people import Change
from rimlock.profiles.fastapi_users.route import DialectRoute
from rimlock.profiles.fastapi_users.routers import REFUSED, UNAUTHORIZED, manager_of, place
from rimlock.profiles.fastapi_users.schemas import extras
from rimlock.profiles.fastapi_users.transports import CookieTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from rimlock.core.registering import Known
    from rimlock.profiles.fastapi_users.desk import Desk

__all__ = ["users_router"]

FORBIDDEN: dict[int | str, dict[str, Any]] = {
    **UNAUTHORIZED,
    403: {"description": "Not a superuser."},
    404: {"description": "The user does not exist."},
}
NOT_CHOSEN = "Superusers do not choose passwords for others: let them ask for a link to choose one."


def users_router(desk: Desk, user_schema: Any, update_schema: Any, *, requires_verification: bool = False) -> APIRouter:
    """Return the routes about users."""
    router = APIRouter(route_class=DialectRoute)
    _me(router, desk, user_schema, update_schema, verified=requires_verification)
    _others(router, desk, user_schema, update_schema, verified=requires_verification)
    return router


def _me(router: APIRouter, desk: Desk, user_schema: Any, update_schema: Any, *, verified: bool) -> None:
    async def me(caller: Any) -> Any:
        return await desk.shown(user_schema, caller.known)

    async def update_me(request: Request, response: Response, user_update: Any, caller: Any, user_manager: Any) -> Any:
        wanted = _wanted(user_update, safe=True)
        if "insecure_changes_without_recent_login" not in desk.documented:
            people.require_recent(caller.principal, wanted, now=desk.context.clock())
        known = await _changed(desk, caller.known, wanted, caller, user_manager, as_superuser=False)
        if wanted.password is not None:
            _renew_cookie(desk, known, caller, request, response)
        return await _told(desk, known, user_update, user_manager, request, user_schema, safe=True)

    types: dict[str, Any] = {"caller": Annotated[Caller, Depends(desk.caller(active=True, verified=verified))]}
    options = {"response_model": user_schema}
    place(router, "GET", "/me", me, types, name="users:current_user", responses=UNAUTHORIZED, **options)
    types = {**types, "user_update": update_schema, "user_manager": manager_of(desk)}
    options |= {"name": "users:patch_current_user", "responses": {**UNAUTHORIZED, **REFUSED}}
    place(router, "PATCH", "/me", update_me, types, **options)


def _others(router: APIRouter, desk: Desk, user_schema: Any, update_schema: Any, *, verified: bool) -> None:
    superuser = Annotated[Caller, Depends(desk.caller(active=True, verified=verified, superuser=True))]
    found = _finder(desk, superuser)

    async def get_user(user: Any) -> Any:
        return await desk.shown(user_schema, user)

    async def update_user(user_update: Any, request: Request, caller: Any, user: Any, user_manager: Any) -> Any:
        wanted = _wanted(user_update, safe=False)
        if wanted.password is not None and "insecure_superusers_set_passwords" not in desk.documented:
            raise bad_password(ErrorCode.UPDATE_USER_INVALID_PASSWORD, InvalidPasswordException(NOT_CHOSEN))
        known = await _changed(desk, user, wanted, caller, user_manager, as_superuser=True)
        return await _told(desk, known, user_update, user_manager, request, user_schema, safe=False)

    async def delete_user(request: Request, caller: Any, user: Any, user_manager: Any) -> None:
        await _deleted(desk, user, caller, user_manager, request)

    types: dict[str, Any] = {"user": Annotated[Any, Depends(found)]}
    options = {"response_model": user_schema}
    place(router, "GET", "/{id}", get_user, types, name="users:user", responses=FORBIDDEN, **options)
    types |= {"caller": superuser, "user_manager": manager_of(desk)}
    options |= {"name": "users:patch_user", "responses": {**FORBIDDEN, **REFUSED}}
    place(router, "PATCH", "/{id}", update_user, {**types, "user_update": update_schema}, **options)
    gone: dict[str, Any] = {"status_code": 204, "response_class": Response, "responses": FORBIDDEN}
    place(router, "DELETE", "/{id}", delete_user, types, name="users:delete_user", **gone)


def _finder(desk: Desk, superuser: Any) -> Callable[..., Any]:
    async def found(id: str, _: Any) -> Known:  # noqa: A002 - the name in the path
        for user_id in as_stored(id, desk.ids):
            if (known := await people.load(desk.context, user_id)) is not None:
                return known
        raise NotFound

    found.__annotations__.update({"_": superuser, "id": str})
    return found


async def _deleted(desk: Desk, user: Known, caller: Caller, manager: Any, request: Request) -> None:
    member = desk.member(user)
    await manager.on_before_delete(member, request)
    try:
        await people.delete(desk.context, user.user.id, by=caller.principal)
    except LastAdmin:
        raise PermissionMissing from None
    await manager.on_after_delete(member, request)


def _wanted(form: Any, *, safe: bool) -> Change:
    """Return what was sent; the flags only where they count."""
    sent = form.create_update_dict() if safe else form.create_update_dict_superuser()
    named = {name: sent.get(name) for name in ("email", "password", "is_active", "is_superuser", "is_verified")}
    return Change(**named, fields=extras(form))


async def _changed(
    desk: Desk, known: Known, wanted: Change, caller: Caller, manager: Any, *, as_superuser: bool
) -> Known:
    try:
        if wanted.password is not None:
            await manager.validate_password(wanted.password, desk.member(known))
        return await people.change(desk.context, known.user.id, wanted, by=caller.principal, as_superuser=as_superuser)
    except (InvalidPasswordException, PasswordNotAccepted) as error:
        raise bad_password(ErrorCode.UPDATE_USER_INVALID_PASSWORD, error) from None
    except RegistrationConflict:
        raise bad_request(ErrorCode.UPDATE_USER_EMAIL_ALREADY_EXISTS) from None
    except LastAdmin:
        raise PermissionMissing from None


async def _told(
    desk: Desk, known: Known, form: Any, manager: Any, request: Request, user_schema: Any, *, safe: bool
) -> Any:
    sent = form.create_update_dict() if safe else form.create_update_dict_superuser()
    sent.pop("password", None)
    member = desk.member(known)
    await manager.on_after_update(member, sent, request)
    return await desk.shown(user_schema, known)


def _renew_cookie(desk: Desk, known: Known, caller: Caller, request: Request, response: Response) -> None:
    """With the password every token died; whoever came by a cookie gets the next one in it."""
    if caller.principal.kind != "token":
        return
    for backend in desk.backends:
        if isinstance(backend.transport, CookieTransport) and desk.token_of(backend, request.scope) == caller.token:
            token, seconds = _reissued(desk, known, caller)
            for name, value in backend.transport.signed_in(token, seconds).headers.items():
                if name == "set-cookie":
                    response.headers.append(name, value)


def _reissued(desk: Desk, known: Known, caller: Caller) -> tuple[str, int]:
    import json

    principal = caller.principal
    answer = desk.context.entrance.reissue(
        known.account, session_id=principal.credential_id, auth_time=principal.auth_time
    )
    given = json.loads(bytes(answer.body))
    return given["access_token"], given["expires_in"]
