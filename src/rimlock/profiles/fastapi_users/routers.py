"""The routers of the dialect that need nobody signed in: sign-in and sign-out, registration, reset, verification.

Threat: a route whose name changes, and with it every generated client; an answer that tells whether somebody has an
    account.
Source: FastAPI Users 15 (names, bodies, status codes); OWASP ASVS 5.0 V6.3.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Depends, HTTPException
from pydantic import BaseModel, EmailStr
from starlette.requests import Request
from starlette.responses import Response

from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import CredentialInvalid, EmailNotVerified, InvalidLogin, PasswordNotAccepted
from rimlock.core.login import SignedIn
from rimlock.core.users import NewUser, RegistrationConflict
from rimlock.features.email_verification.logic import AlreadyVerified
from rimlock.features.password import logic as passwords
from rimlock.profiles.fastapi_users import entering, mailed
from rimlock.profiles.fastapi_users.codes import (
    ErrorCode,
    ErrorModel,
    InvalidPasswordException,
    LoginRefusal,
    bad_password,
    bad_request,
)
from rimlock.profiles.fastapi_users.entering import Caller
from rimlock.profiles.fastapi_users.forms import LOGIN_BODY, read_login
from rimlock.profiles.fastapi_users.manager import overrides
from rimlock.profiles.fastapi_users.people import load
from rimlock.profiles.fastapi_users.route import DialectRoute
from rimlock.profiles.fastapi_users.schemas import extras
from rimlock.web.browser import CrossSite
from rimlock.web.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rimlock.core.errors import AuthError
    from rimlock.profiles.fastapi_users.desk import Desk
    from rimlock.profiles.fastapi_users.legacy import LegacyTokens
    from rimlock.profiles.fastapi_users.mailed import Handed
    from rimlock.profiles.fastapi_users.people import Member
    from rimlock.profiles.fastapi_users.transports import AuthenticationBackend

__all__ = [
    "REFUSED",
    "UNAUTHORIZED",
    "auth_router",
    "manager_of",
    "place",
    "register_router",
    "reset_router",
    "verify_router",
]

Email = Annotated[EmailStr, Body(embed=True)]
Field = Annotated[str, Body()]
Responses = dict[int | str, dict[str, Any]]
REFUSED: Responses = {400: {"model": ErrorModel}}
INVALID: Responses = {
    422: {
        "description": "Validation Error",
        "content": {"application/json": {"schema": {"type": "object", "title": "HTTPValidationError"}}},
    }
}
UNAUTHORIZED: Responses = {401: {"description": "Missing token or inactive user."}}


class BearerResponse(BaseModel):
    """The answer to a sign-in."""

    access_token: str
    token_type: str
    expires_in: int


def place(router: APIRouter, method: str, path: str, endpoint: Callable[..., Any], types: Any, **options: Any) -> None:
    """Add a route. `types`: of parameters whose type the application chose, which annotations cannot name."""
    endpoint.__annotations__.update(types)
    router.add_api_route(path, endpoint, methods=[method], **options)


def auth_router(desk: Desk, backend: AuthenticationBackend, *, requires_verification: bool = False) -> APIRouter:
    """Return sign-in, sign-out and, while old tokens are taken, their exchange."""
    router = APIRouter(route_class=DialectRoute)
    _login(router, desk, backend, verified=requires_verification)
    _logout(router, desk, backend, verified=requires_verification)
    if desk.legacy is not None:
        _exchange(router, desk, backend, desk.legacy)
    return router


def manager_of(desk: Desk) -> Any:
    """Return the type of a parameter that is the application's manager."""
    return Annotated[Any, Depends(desk.manager)]


def _given(backend: AuthenticationBackend) -> Responses:
    return {204: {"model": None}} if backend.transport.bodiless else {200: {"model": BearerResponse}}


def _login(router: APIRouter, desk: Desk, backend: AuthenticationBackend, *, verified: bool) -> None:
    async def login(request: Request, user_manager: Any) -> Response:
        form = await read_login(request)
        if backend.transport.bodiless and desk.foreign(request.scope):
            raise CrossSite
        try:
            outcome = await entering.sign_in(
                desk.context, request, form.username, form.password, verified_only=verified
            )
        except (InvalidLogin, EmailNotVerified) as error:
            raise _refused(request, error) from None
        response = entering.admitted(desk.context, outcome, backend.transport)
        if isinstance(outcome, SignedIn):
            await user_manager.on_after_login(await _loaded(desk, outcome.session.user_id), request, response)
        return response

    options = {"name": f"auth:{backend.name}.login", "responses": {**REFUSED, **INVALID, **_given(backend)}}
    place(router, "POST", "/login", login, {"user_manager": manager_of(desk)}, openapi_extra=LOGIN_BODY, **options)


def _logout(router: APIRouter, desk: Desk, backend: AuthenticationBackend, *, verified: bool) -> None:
    async def logout(caller: Any) -> Response:
        await entering.sign_out(desk.context, caller, desk.legacy)
        return backend.transport.signed_out()

    responses: Responses = {**UNAUTHORIZED, **({204: {"model": None}} if backend.transport.bodiless else {})}
    types = {"caller": Annotated[Caller, Depends(desk.caller(active=True, verified=verified))]}
    place(router, "POST", "/logout", logout, types, name=f"auth:{backend.name}.logout", responses=responses)


def _exchange(router: APIRouter, desk: Desk, backend: AuthenticationBackend, legacy: LegacyTokens) -> None:
    async def exchange(request: Request) -> Response:
        """Give a token of today for one that was issued before, which is worth nothing from then on."""
        token = desk.token_of(backend, request.scope)
        if token is None:
            raise CredentialInvalid
        outcome = await entering.exchange(desk.context, request, token, legacy=legacy, ids=desk.ids)
        return entering.admitted(desk.context, outcome, backend.transport)

    responses = {**UNAUTHORIZED, **_given(backend)}
    place(router, "POST", "/exchange", exchange, {}, name=f"auth:{backend.name}.exchange", responses=responses)


def register_router(desk: Desk, user_schema: Any, create_schema: Any) -> APIRouter:
    """Return registration."""
    router = APIRouter(route_class=DialectRoute)

    async def register(request: Request, user_create: Any, user_manager: Any) -> Any:
        try:
            await user_manager.validate_password(user_create.password, user_create)
            new = NewUser(email=user_create.email, profile=extras(user_create))
            known = await passwords.register(desk.context, new, user_create.password)
        except (InvalidPasswordException, PasswordNotAccepted) as error:
            raise bad_password(ErrorCode.REGISTER_INVALID_PASSWORD, error) from None
        except RegistrationConflict:
            raise bad_request(ErrorCode.REGISTER_USER_ALREADY_EXISTS) from None
        member = desk.member(known)
        await user_manager.on_after_register(member, request)
        return user_schema.model_validate(member)

    types = {"user_create": create_schema, "user_manager": manager_of(desk)}
    options = {"response_model": user_schema, "status_code": 201, "responses": REFUSED}
    place(router, "POST", "/register", register, types, name="register:register", **options)
    return router


def reset_router(desk: Desk) -> APIRouter:
    """Return what somebody needs who forgot the password."""
    router = APIRouter(route_class=DialectRoute)
    types = {"user_manager": manager_of(desk)}

    async def forgot_password(request: Request, later: BackgroundTasks, email: Email, user_manager: Any) -> None:
        own = overrides(user_manager, "on_after_forgot_password")
        handed = await mailed.ask_to_reset(desk.context, email, hand_over=own)
        later.add_task(_hand_over, desk, handed, user_manager.on_after_forgot_password, request)

    async def reset_password(request: Request, token: Field, password: Field, user_manager: Any) -> None:
        try:
            await user_manager.validate_password(password, None)
            known = await mailed.reset(desk.context, token, password, legacy=desk.legacy, ids=desk.ids)
        except ChallengeRefused:
            raise bad_request(ErrorCode.RESET_PASSWORD_BAD_TOKEN) from None
        except (InvalidPasswordException, PasswordNotAccepted) as error:
            raise bad_password(ErrorCode.RESET_PASSWORD_INVALID_PASSWORD, error) from None
        await user_manager.on_after_reset_password(desk.member(known), request)

    place(router, "POST", "/forgot-password", forgot_password, types, status_code=202, name="reset:forgot_password")
    options = {"name": "reset:reset_password", "responses": REFUSED}
    place(router, "POST", "/reset-password", reset_password, types, **options)
    return router


def verify_router(desk: Desk, user_schema: Any) -> APIRouter:
    """Return what somebody needs to prove an address."""
    router = APIRouter(route_class=DialectRoute)
    types = {"user_manager": manager_of(desk)}

    async def request_verify_token(request: Request, later: BackgroundTasks, email: Email, user_manager: Any) -> None:
        own = overrides(user_manager, "on_after_request_verify")
        handed = await mailed.ask_to_verify(desk.context, email, hand_over=own)
        later.add_task(_hand_over, desk, handed, user_manager.on_after_request_verify, request)

    async def verify(request: Request, token: Annotated[str, Body(embed=True)], user_manager: Any) -> Any:
        try:
            outcome = await mailed.verify(desk.context, token, legacy=desk.legacy, ids=desk.ids)
        except ChallengeRefused:
            raise bad_request(ErrorCode.VERIFY_USER_BAD_TOKEN) from None
        if isinstance(outcome, AlreadyVerified):
            raise bad_request(ErrorCode.VERIFY_USER_ALREADY_VERIFIED)
        member = desk.member(outcome.known)
        await user_manager.on_after_verify(member, request)
        return await desk.shown(user_schema, outcome.known)

    asked = {"status_code": 202, "name": "verify:request-token"}
    place(router, "POST", "/request-verify-token", request_verify_token, types, **asked)
    options = {"name": "verify:verify", "response_model": user_schema, "responses": REFUSED}
    place(router, "POST", "/verify", verify, types, **options)
    return router


async def _hand_over(
    desk: Desk, handed: Handed | None, hook: Callable[[Member, str, Request], Awaitable[None]], request: Request
) -> None:
    """Give the application the secret of a link. After the answer: its time would tell whether there was one."""
    if handed is not None:
        await hook(await _loaded(desk, handed.user_id), handed.token, request)


async def _loaded(desk: Desk, user_id: str) -> Member:
    known = await load(desk.context, user_id)
    if known is None:
        raise CredentialInvalid
    return desk.member(known)


def _refused(request: Request, error: AuthError) -> HTTPException:
    refused(request.scope, error)
    unverified = isinstance(error, EmailNotVerified)
    return LoginRefusal(ErrorCode.LOGIN_USER_NOT_VERIFIED if unverified else ErrorCode.LOGIN_BAD_CREDENTIALS)
