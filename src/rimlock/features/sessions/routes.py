"""`/refresh`, `/logout`, `/logout-all` and `/sessions`.

Threat: another site that refreshes or signs out by the cookie alone; a token that is read from two places.
Source: RFC 6749 section 6; OWASP ASVS 5.0 V3.5.1, V7.4, V7.5; RFC 7009 section 2.2.

Signing out sends no `Clear-Site-Data`: its unit is the origin, and the application, whose storage it would empty and
whose cookies it would delete, lives on the same one. What is ours in the browser is the cookie, which is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from rimlock.core.access import Requirement
from rimlock.core.errors import CredentialInvalid, CredentialMissing, InvalidRequest
from rimlock.core.principal import Principal
from rimlock.features.sessions import logic
from rimlock.features.sessions.errors import TwoRefreshTokens
from rimlock.web.credentials import bearer
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router
from rimlock.web.problems import UnsupportedMediaType, problem
from rimlock.web.refusals import refused

if TYPE_CHECKING:
    from rimlock.core.sessions import Session
    from rimlock.feature import Context, Form

__all__ = ["refresh_grant", "session_routes"]

Answer = Callable[[Request], Awaitable[Response]]
SignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
SessionId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
Limit = Annotated[int, Query(ge=1, le=100)]


class LogoutAll(BaseModel):
    """Whether the session that asks is spared."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keep_current: bool = False


class Ended(BaseModel):
    """How many sessions were ended."""

    ended: int


class SessionOut(BaseModel):
    """One signed-in device, as its owner sees it. Times are ISO 8601 in UTC."""

    id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    device: str
    address: str
    current: bool
    remembered: bool
    methods: list[str]


class SessionPage(BaseModel):
    """Some sessions; `next` is the cursor of the following page, null at the end."""

    items: list[SessionOut]
    next: str | None


def session_routes(context: Context) -> APIRouter:
    """Return the routes of sessions."""
    router = own_router(tags=["sessions"])
    _add_tokens(router, context)
    _add_signing_out(router, context)
    _add_list(router, context)
    return router


def refresh_grant(context: Context) -> Callable[[Request, Form], Awaitable[Response]]:
    """Return the handler of `grant_type=refresh_token`."""

    async def refresh(_: Request, form: Form) -> Response:
        token = form.get("refresh_token")
        if not token:
            raise InvalidRequest("The form has no refresh_token.")
        return context.entrance.renew(await logic.renew(context, token))

    return refresh


def _add_tokens(router: APIRouter, context: Context) -> None:
    @router.post("/refresh", summary="Get new tokens for a refresh token", openapi_extra=_DOCUMENT, responses=_TOKENS)
    async def refresh(request: Request) -> Response:
        token, from_cookie = await _presented(context, request)
        if token is None:
            raise CredentialMissing("There is no refresh token in the cookie or in the body.")
        try:
            return context.entrance.renew(await logic.renew(context, token))
        except CredentialInvalid as error:
            refused(request.scope, error)
            return _dropping(context, problem(error)) if from_cookie else problem(error)


def _add_signing_out(router: APIRouter, context: Context) -> None:
    @router.post("/logout", status_code=204, summary="End this session", openapi_extra=_LOGOUT)
    async def logout(request: Request) -> Response:
        token, from_cookie = await _presented(context, request)
        await logic.sign_out(context, _shown(context, request, token))
        answer = Response(status_code=204)
        return _dropping(context, answer) if from_cookie else answer

    @router.post("/logout-all", summary="End all of my sessions")
    async def logout_all(
        request: Request, response: Response, principal: SignedIn, choice: LogoutAll | None = None
    ) -> Ended:
        keep = choice is not None and choice.keep_current
        ended = await logic.sign_out_everywhere(context, principal, keep_current=keep)
        if not keep:
            _drop_if_sent(context, request, response)
        return Ended(ended=ended)


def _add_list(router: APIRouter, context: Context) -> None:
    @router.get("/sessions", summary="List my sessions")
    async def list_sessions(principal: SignedIn, after: Cursor = None, limit: Limit = 50) -> SessionPage:
        page = await logic.own(context, principal, after=after, limit=limit)
        return SessionPage(items=[_shown_to(principal, one) for one in page.items], next=page.next)

    @router.delete("/sessions/{session_id}", status_code=204, summary="End one of my sessions")
    async def end_session(request: Request, principal: SignedIn, session_id: SessionId) -> Response:
        await logic.end_own(context, principal, session_id)
        answer = Response(status_code=204)
        if session_id == principal.credential_id:
            _drop_if_sent(context, request, answer)
        return answer


async def _presented(context: Context, request: Request) -> tuple[str | None, bool]:
    """Return the refresh token, and whether the cookie carried it. The cookie counts only from a page of ours."""
    body = await request.body()
    in_body = _in_body(request, body) if body else None
    in_cookie = context.browser.token(request.scope)
    if in_body is not None and in_cookie is not None:
        raise TwoRefreshTokens
    if in_cookie is None:
        return in_body, False
    context.browser.check(request.scope)
    return in_cookie, True


def _in_body(request: Request, body: bytes) -> str | None:
    """Read `{"refresh_token": "…"}`, by hand: this is the busiest route of all."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
    try:
        fields = json.loads(body, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not valid JSON.") from None
    if fields == ():
        return None
    if isinstance(fields, tuple) and len(fields) == 1:
        name, token = fields[0]
        if name == "refresh_token" and isinstance(token, str):
            return token
    raise InvalidRequest('The body may hold "refresh_token", a string, and nothing else.')


def _shown(context: Context, request: Request, token: str | None) -> list[str]:
    """Return the sessions that a request to sign out proves it holds. Raises CredentialInvalid, CredentialMissing."""
    session_id = None if token is None else logic.session_of(context, token)
    access = bearer(request.scope)
    if access is None and token is None:
        raise CredentialMissing
    found = {session_id} - {None}
    if access is not None:
        try:
            found.add(context.entrance.session_of(access))
        except CredentialInvalid:
            if token is None:
                raise
    return sorted(one for one in found if one)


def _drop_if_sent(context: Context, request: Request, response: Response) -> None:
    if context.browser.token(request.scope) is not None:
        _dropping(context, response)


def _dropping(context: Context, response: Response) -> Response:
    response.headers.append("Set-Cookie", context.browser.drop())
    return response


def _shown_to(principal: Principal, session: Session) -> SessionOut:
    return SessionOut(
        id=session.id,
        created_at=_moment(session.created_at),
        last_used_at=_moment(session.refreshed_at),
        expires_at=_moment(session.expires_at),
        device=session.device,
        address=session.address,
        current=session.id == principal.credential_id,
        remembered=session.remembered,
        methods=session.methods.split(),
    )


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": properties}}}


_BODY = {"required": False, "content": _object(refresh_token={"type": "string", "description": "Not with the cookie."})}
_DOCUMENT = {"requestBody": _BODY}
_LOGOUT = {"requestBody": _BODY, "security": [{"RimlockBearer": []}, {}]}
_TOKENS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An access token, and its successor for the refresh token: here, or in the cookie.",
        "content": _object(
            access_token={"type": "string"},
            token_type={"type": "string", "const": "Bearer"},
            expires_in={"type": "integer", "description": "Seconds."},
            refresh_token={"type": "string"},
            refresh_expires_in={"type": "integer", "description": "Seconds."},
        ),
    }
}
