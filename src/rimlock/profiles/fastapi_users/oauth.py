"""The routers of the dialect about signing in elsewhere: for anybody, and for whoever is signed in and links a login.

Threat: an answer of a provider that another browser asked for, or that was meant for another route; a login linked by
    whoever holds a token for a moment; an address to come back to that a request chose.
Source: FastAPI Users 15 (names, parameters, bodies, status codes); RFC 9700 sections 2.1, 4.2 and 4.7; OWASP ASVS 5.0
    V10.2.1, V10.2.2.

The cookie of the dialect carries the sign-in that is under way, sealed; `state` names it, and is worth nothing without.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from rimlock.core.errors import AuthError, FreshLoginRequired
from rimlock.core.login import SignedIn
from rimlock.features.social.errors import ProviderRefused, StateRefused
from rimlock.features.social.logic import link
from rimlock.features.social.logic.transaction import opened
from rimlock.profiles.fastapi_users import entering
from rimlock.profiles.fastapi_users.codes import ErrorCode, bad_request, bare_request
from rimlock.profiles.fastapi_users.elsewhere import refusal, settle
from rimlock.profiles.fastapi_users.entering import Caller
from rimlock.profiles.fastapi_users.people import FRESH_SECONDS, load
from rimlock.profiles.fastapi_users.route import DialectRoute
from rimlock.profiles.fastapi_users.routers import REFUSED, manager_of, place
from rimlock.web.refusals import refused

if TYPE_CHECKING:
    from rimlock.core.principal import Principal
    from rimlock.features.social.logic import Begun, Person, Transaction
    from rimlock.profiles.fastapi_users.desk import Desk
    from rimlock.profiles.fastapi_users.transports import AuthenticationBackend, CookieTransport

__all__ = ["CSRF_COOKIE", "CSRF_SECONDS", "Way", "oauth_associate_router", "oauth_router"]

CSRF_COOKIE = "fastapiusersoauthcsrf"
CSRF_SECONDS = 3600
"""What the dialect says. The sign-in in it is over earlier, and who comes too late is told so."""

Scopes = Annotated[list[str] | None, Query(description="Ignored: a provider is asked for what it is set up with.")]
Text = str | None
_STATE = re.compile(r"[A-Za-z0-9_-]{20,100}")
_ANSWERED = ("code", "state", "error", "iss")


class OAuth2AuthorizeResponse(BaseModel):
    """Where to send the browser."""

    authorization_url: str


class Way:
    """One way out and back: the provider, the cookie, and the route that the browser comes back to.

    `redirect_url`: where that is instead, a page of the front end that passes code and state on.
    """

    def __init__(self, desk: Desk, client: Any, cookie: CookieTransport, redirect_url: str | None) -> None:
        """Raises ConfigurationError for a client that is not known."""
        self.desk, self.cookie, self._redirect_url = desk, cookie, redirect_url
        self.provider = desk.elsewhere.take(client)
        self.route = ""

    def back(self, request: Request) -> str:
        """Return the address to come back to. It is made of settings and the application's own routes alone."""
        if self._redirect_url is not None:
            return self._redirect_url
        settings = self.desk.context.settings
        return (settings.backend_url or settings.issuer).rstrip("/") + str(request.app.url_path_for(self.route))

    async def leave(self, request: Request, response: Response, linking: Principal | None = None) -> dict[str, str]:
        """Begin, and let the browser carry it. Raises HTTPException, AuthError."""
        try:
            begun = await self.desk.elsewhere.social.begin(
                self.provider, redirect_uri=self.back(request), linking=linking
            )
        except AuthError as error:
            raise told(request, error) from None
        self._keep(response, begun)
        return {"authorization_url": begun.url}

    def recall(self, request: Request, *, purpose: str) -> Transaction:
        """Return what this browser began by this way. Raises HTTPException."""
        answer = _answer(request)
        if answer.get("error") or not answer.get("code"):
            raise told(request, ProviderRefused())
        if not _STATE.fullmatch(answer.get("state", "")):
            raise bad_request(ErrorCode.ACCESS_TOKEN_DECODE_ERROR)
        carried = self.cookie.token(request.scope)
        try:
            begun = self.desk.elsewhere.social.recall(self.provider, answer, carried)
        except StateRefused as error:
            raise self._late(carried, answer["state"]) or told(request, error) from None
        if begun.purpose != purpose or begun.redirect_uri != self.back(request):
            raise told(request, StateRefused())
        return begun

    async def person(self, request: Request, begun: Transaction) -> Person:
        """Return who came back. Raises HTTPException, AuthError."""
        try:
            return await self.desk.elsewhere.social.finish(begun, _answer(request))
        except AuthError as error:
            raise told(request, error) from None

    def forget(self, response: Response) -> None:
        """Take from the browser what it carried."""
        _copy_cookies(self.cookie.signed_out(), response)

    def _keep(self, response: Response, begun: Begun) -> None:
        _copy_cookies(self.cookie.signed_in(begun.carried, begun.seconds), response)

    def _late(self, carried: str | None, state: str) -> HTTPException | None:
        """Say that somebody took too long, where that is all that is wrong."""
        try:
            opened(self.desk.context.root, carried, provider=self.provider, state=state, now=0)
        except StateRefused:
            return None
        return bad_request(ErrorCode.ACCESS_TOKEN_ALREADY_EXPIRED)


def oauth_router(
    desk: Desk, way: Way, backend: AuthenticationBackend, *, associate_by_email: bool = False
) -> APIRouter:
    """Return signing in elsewhere, answered as `/login` of the backend answers."""
    router = APIRouter(route_class=DialectRoute)
    named = f"oauth:{way.provider}.{backend.name}"
    way.route = f"{named}.callback"
    unproven = associate_by_email and "insecure_associate_by_email" in desk.documented

    async def authorize(request: Request, response: Response, scopes: Scopes = None) -> Any:  # noqa: ARG001
        return await way.leave(request, response)

    async def callback(
        request: Request,
        user_manager: Any,
        code: Text = None,  # noqa: ARG001 - the four are read of the request, where one that is there twice shows
        code_verifier: Text = None,  # noqa: ARG001
        state: Text = None,  # noqa: ARG001
        error: Text = None,  # noqa: ARG001
    ) -> Response:
        """Come back from the provider; the answer is that of a sign-in."""
        person = await way.person(request, way.recall(request, purpose="login"))
        try:
            settled = await settle(desk.context, request, person, by_email=associate_by_email, unproven=unproven)
        except AuthError as refusing:
            raise told(request, refusing) from None
        response = entering.admitted(desk.context, settled.outcome, backend.transport)
        if isinstance(settled.outcome, SignedIn):
            await _tell(desk, user_manager, settled.outcome.session.user_id, request, response, new=settled.new)
        way.forget(response)
        return response

    options: dict[str, Any] = {"name": f"{named}.authorize", "response_model": OAuth2AuthorizeResponse}
    place(router, "GET", "/authorize", authorize, {}, **options)
    types = {"user_manager": manager_of(desk)}
    place(router, "GET", "/callback", callback, types, name=way.route, response_model=None, responses=REFUSED)
    return router


def oauth_associate_router(desk: Desk, way: Way, user_schema: Any, *, requires_verification: bool = False) -> APIRouter:
    """Return linking a login elsewhere to the account of whoever is signed in."""
    router = APIRouter(route_class=DialectRoute)
    named = f"oauth-associate:{way.provider}"
    way.route = f"{named}.callback"

    async def authorize(request: Request, response: Response, caller: Any, scopes: Scopes = None) -> Any:  # noqa: ARG001
        _require_recent(desk, caller.principal)
        return await way.leave(request, response, linking=caller.principal)

    async def callback(
        request: Request,
        response: Response,
        caller: Any,
        code: Text = None,  # noqa: ARG001 - see above
        code_verifier: Text = None,  # noqa: ARG001
        state: Text = None,  # noqa: ARG001
        error: Text = None,  # noqa: ARG001
    ) -> Any:
        """Come back from the provider; the login leads to the account from now on."""
        begun = way.recall(request, purpose="link")
        if begun.user_id != caller.known.user.id:
            raise bare_request("Bad Request")
        person = await way.person(request, begun)
        try:
            await link(desk.context, begun, person)
        except AuthError as refusing:
            raise told(request, refusing) from None
        way.forget(response)
        return await desk.shown(user_schema, caller.known)

    standing = desk.caller(active=True, verified=requires_verification)
    types: dict[str, Any] = {"caller": Annotated[Caller, Depends(standing)]}
    options: dict[str, Any] = {"name": f"{named}.authorize", "response_model": OAuth2AuthorizeResponse}
    place(router, "GET", "/authorize", authorize, types, **options)
    place(router, "GET", "/callback", callback, types, name=way.route, response_model=user_schema, responses=REFUSED)
    return router


def told(request: Request, error: AuthError) -> Exception:
    """Return an error in the dialect's words, and itself where it has none."""
    said = refusal(error, _answer(request).get("error"))
    if said is None:
        return error
    refused(request.scope, error)
    return said


async def _tell(desk: Desk, manager: Any, user_id: str, request: Request, response: Response, *, new: bool) -> None:
    known = await load(desk.context, user_id)
    assert known is not None  # noqa: S101 - a session of theirs began a moment ago
    member = desk.member(known)
    if new:
        await manager.on_after_register(member, request)
    await manager.on_after_login(member, request, response)


def _require_recent(desk: Desk, principal: Principal) -> None:
    """A login that leads here is a way in for good: no old token makes one. Raises FreshLoginRequired."""
    late = desk.context.clock() - principal.auth_time > FRESH_SECONDS
    if principal.kind != "token" or (late and "insecure_changes_without_recent_login" not in desk.documented):
        raise FreshLoginRequired


def _answer(request: Request) -> dict[str, str]:
    """Return what the provider said; what is there twice could be read in two ways, and is nothing."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name in _ANSWERED]
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {}


def _copy_cookies(made: Response, response: Response) -> None:
    for name, value in made.headers.items():
        if name == "set-cookie":
            response.headers.append(name, value)
