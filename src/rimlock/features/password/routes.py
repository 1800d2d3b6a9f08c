"""`/register`, `/registration`, `/login`, `/password`, `/email` and `/first-admin`, and the password grant.

Threat: a field that was never offered and is taken all the same; a page of another site that signs somebody in; an
    answer that repeats the password.
Source: OWASP ASVS 5.0 V3.5.1, V14.2.1, V15.3.3; RFC 6749 sections 4.3.2 and 5.1; design section 7.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from rimlock.core.access import Requirement
from rimlock.core.errors import AuthError, InvalidRequest
from rimlock.core.principal import Principal
from rimlock.core.users import NewUser
from rimlock.features.password import logic
from rimlock.features.password.messages import PAGE_HEADERS, done_page, first_admin_page, refused_page
from rimlock.web.dependencies import require
from rimlock.web.forms import read_form
from rimlock.web.mounting import own_router
from rimlock.web.presenting import TokenAnswer, UserAnswer, user_fields
from rimlock.web.problems import SAFE_HEADERS, UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import APIRouter

    from rimlock.core.sessions import Device
    from rimlock.feature import Context, Form

__all__ = ["password_grant", "password_routes"]

SignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
Email = Annotated[str, Field(max_length=320, examples=["ann@example.com"])]
Username = Annotated[str | None, Field(max_length=64)]
Password = Annotated[str, Field(max_length=4096, repr=False, json_schema_extra={"format": "password"})]
"""Longer than a password may be (1,024 bytes): what is too long is refused by one rule, not by two."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class RegistrationForm(_Form):
    """Somebody new. There is no field for a role or a standing."""

    email: Email
    password: Password
    username: Username = None
    display_name: Annotated[str, Field(max_length=200)] = ""
    avatar_url: Annotated[str, Field(max_length=2000)] = ""
    profile: dict[str, Any] = Field(default_factory=dict)
    invitation: Annotated[
        str | None, Field(max_length=100, repr=False, description="The code, where one is needed.")
    ] = None

    def new_user(self) -> NewUser:
        """Return what the account starts with."""
        return NewUser(
            email=self.email,
            username=self.username,
            display_name=self.display_name,
            avatar_url=self.avatar_url,
            profile=self.profile,
        )


class LoginForm(_Form):
    """A sign-in. `remember` null stands for yes where the refresh token is in the body, for no in the cookie."""

    login: Annotated[str, Field(max_length=320, description="Email or username.")]
    password: Password
    remember: bool | None = None
    transport: Literal["body", "cookie"] = "body"
    device: Annotated[
        str | None, Field(max_length=1000, repr=False, description="The `device_token` of the last sign-in.")
    ] = None


class ForcedForm(_Form):
    """A password of one's own, after a temporary one. `remember` as in a sign-in."""

    pending_token: Annotated[str, Field(max_length=200, repr=False)]
    new_password: Password
    remember: bool | None = None
    transport: Literal["body", "cookie"] = "body"


class RegistrationAnswer(BaseModel):
    """Who may make an account: anybody, who has a code, who is let in afterwards, or administrators only."""

    mode: Literal["open", "invitation", "approval", "closed"]


class PasswordForm(_Form):
    """A change of the password."""

    current_password: Password
    new_password: Password
    keep_other_sessions: bool = False


class EmailForm(_Form):
    """A change of the address."""

    new_email: Email
    password: Password


class FirstAdminForm(_Form):
    """The first administrator, by the one-time link."""

    token: Annotated[str, Field(max_length=200, repr=False)]
    email: Email
    username: Username = None
    password: Password


def password_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = own_router(tags=["password"])
    _entering(router, context)
    _changing(router, context)
    _first_admin(router, context)
    return router


def password_grant(context: Context) -> Callable[[Request, Form], Awaitable[Response]]:
    """Return the handler of `grant_type=password`. A `scope` is not looked at: the roles say what a token may do."""

    async def grant(request: Request, form: Form) -> Response:
        login, password = form.get("username"), form.get("password")
        if login is None or password is None:
            raise InvalidRequest("The form needs username and password.")
        device = context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
        device = replace(device, notes=form.get("device") or device.notes)
        return context.entrance.admit(await logic.sign_in(context, login, password, device))

    return grant


def _entering(router: APIRouter, context: Context) -> None:
    async def register(form: RegistrationForm) -> dict[str, Any]:
        context.fields.check(form.profile)
        return _user(await logic.register(context, form.new_user(), form.password, form.invitation))

    register.__annotations__["form"] = _with_fields(context)
    router.post("/register", status_code=201, response_model=UserAnswer, summary="Make an account")(register)

    @router.get("/registration", response_model=RegistrationAnswer, summary="See who may make an account")
    async def registration() -> dict[str, Any]:
        return {"mode": context.settings.registration}

    @router.post("/login", response_model=TokenAnswer, summary="Sign in by email or username")
    async def login(form: LoginForm, request: Request) -> Response:
        device = _device(context, form, request)
        return context.entrance.admit(await logic.sign_in(context, form.login, form.password, device))

    @router.post("/password/forced", response_model=TokenAnswer, summary="Choose a password after a temporary one")
    async def choose_password(form: ForcedForm, request: Request) -> Response:
        device = _device(context, form, request)
        return context.entrance.admit(
            await logic.choose_password(context, form.pending_token, form.new_password, device)
        )


def _with_fields(context: Context) -> type[RegistrationForm]:
    """Return the form as this application has it, with its own profile fields in the document."""
    if context.fields.model is None:
        return RegistrationForm
    profile: Any = (context.fields.whole, Field(default_factory=dict))
    return create_model(
        "RegistrationForm", __base__=RegistrationForm, __doc__=RegistrationForm.__doc__, profile=profile
    )


def _device(context: Context, form: LoginForm | ForcedForm, request: Request) -> Device:
    """Return where a sign-in comes from. Raises CrossSiteRequest for a cookie that no page of ours asks for."""
    if form.transport == "cookie":
        context.browser.check(request.scope)
    remember = form.transport == "body" if form.remember is None else form.remember
    device = context.device(request, remember, form.transport)
    return replace(device, notes=form.device) if isinstance(form, LoginForm) and form.device else device


def _changing(router: APIRouter, context: Context) -> None:
    @router.post("/password", response_model=TokenAnswer, summary="Change the password")
    async def change_password(form: PasswordForm, principal: SignedIn) -> Response:
        account = await logic.change_password(
            context,
            principal,
            form.current_password,
            form.new_password,
            keep_other_sessions=form.keep_other_sessions,
        )
        return context.entrance.reissue(account, session_id=principal.credential_id, auth_time=principal.auth_time)

    @router.post("/email", response_model=UserAnswer, summary="Change the address")
    async def change_email(form: EmailForm, principal: SignedIn) -> dict[str, Any]:
        return _user(await logic.change_email(context, principal, form.new_email, form.password))


def _first_admin(router: APIRouter, context: Context) -> None:
    @router.get("/first-admin", response_class=HTMLResponse, include_in_schema=False)
    async def page(token: Annotated[str, Query(max_length=200)] = "") -> Response:
        try:
            await logic.check_first_admin(context, token)
        except AuthError as error:
            return _html(refused_page(error.detail), error.status, error.retry_after)
        return _html(first_admin_page(token))

    @router.post(
        "/first-admin", status_code=201, openapi_extra=_FIRST_ADMIN_BODY, summary="Make the first administrator"
    )
    async def make(request: Request) -> Response:
        if _is_form(request):
            return await _made_by_page(context, await read_form(request))
        made = await _make_admin(context, await _json(request))
        return JSONResponse(_user(made), status_code=201)


async def _made_by_page(context: Context, sent: Form) -> Response:
    """Answer a browser: a page for success, the form again for what can be mended."""
    fields = {name: value for name, value in sent.items() if value or name != "username"}
    try:
        await _make_admin(context, fields)
    except RequestValidationError:
        return _html(refused_page("The form is not complete."), 422)
    except AuthError as error:
        told = tuple(one["detail"] for one in error.errors) or (error.detail,)
        shown = first_admin_page(
            fields.get("token", ""), email=fields.get("email", ""), username=fields.get("username", ""), problems=told
        )
        return _html(shown, error.status, error.retry_after)
    return _html(done_page(), 201)


async def _make_admin(context: Context, fields: object) -> logic.Known:
    try:
        form = FirstAdminForm.model_validate(fields)
    except ValidationError as error:
        found = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_input=False)]
        raise RequestValidationError(found) from None
    new = NewUser(email=form.email, username=form.username)
    return await logic.make_first_admin(context, form.token, new, form.password)


async def _json(request: Request) -> object:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
    try:
        return await request.json()
    except (ValueError, RecursionError):
        raise InvalidRequest from None


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _html(text: str, status: int = 200, retry_after: int | None = None) -> Response:
    headers = {**SAFE_HEADERS, **PAGE_HEADERS} | ({"Retry-After": str(retry_after)} if retry_after else {})
    return HTMLResponse(text, status_code=status, headers=headers)


def _user(known: logic.Known) -> dict[str, Any]:
    return user_fields(known.user, known.account)


_FIRST_ADMIN_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {
                "schema": {
                    "type": "object",
                    "required": ["token", "email", "password"],
                    "properties": {
                        "token": {"type": "string"},
                        "email": {"type": "string", "format": "email"},
                        "username": {"type": "string"},
                        "password": {"type": "string", "format": "password"},
                    },
                }
            }
            for kind in ("application/json", "application/x-www-form-urlencoded")
        },
    }
}
"""The route reads both kinds by itself, so it describes them by itself."""
