"""`/oauth`, `/oauth/{provider}`, `/oauth/callback/{provider}`, `/oauth/exchange` and `/identities`.

Threat: a redirect that a stranger chose; tokens in an address; a sign-in finished in another browser; what a provider
    said, shown on a page of ours.
Source: RFC 9700 sections 2.1, 4.2 and 4.11; OAuth 2.0 Form Post Response Mode; OWASP ASVS 5.0 V10.2, V14.2.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rimlock.core.access import Requirement
from rimlock.core.errors import AuthError
from rimlock.core.principal import Principal
from rimlock.features.social import logic
from rimlock.features.social.errors import StateRefused
from rimlock.web.dependencies import require
from rimlock.web.forms import read_form
from rimlock.web.mounting import own_router
from rimlock.web.presenting import TokenAnswer, moment
from rimlock.web.problems import SAFE_HEADERS, problem

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.identities import Identity
    from rimlock.core.login import Pending, SignedIn
    from rimlock.core.sessions import Device
    from rimlock.feature import Context
    from rimlock.features.social.logic import Begun, Social, Transaction

__all__ = ["social_routes"]

_FRESH = 900
Known = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
JustSignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"}), fresh=_FRESH))]
Next = Annotated[
    str, Query(max_length=2000, description="The page to go back to: a path of yours, or a whole address.")
]
Challenge = Annotated[
    str,
    Query(pattern="^([A-Za-z0-9_-]{43})?$", description="S256 of a verifier that the page will send with the code."),
]
_ANSWERED = ("code", "state", "error", "iss")
_MOST_AT_ONCE = 5
"""How many sign-ins a browser may have under way: cookies that pile up make every request too long."""


class ExchangeForm(BaseModel):
    """The one-time code of the address, for tokens. `remember` as in a sign-in."""

    model_config = ConfigDict(extra="forbid", strict=True)

    code: Annotated[str, Field(max_length=200, repr=False)]
    code_verifier: Annotated[
        str, Field(max_length=128, repr=False, description="Where the sign-in began with `code_challenge`.")
    ] = ""
    invitation: Annotated[
        str | None, Field(max_length=100, repr=False, description="The code, where one is needed for a new account.")
    ] = None
    remember: bool | None = None
    transport: Literal["body", "cookie"] = "body"
    device: Annotated[
        str | None, Field(max_length=1000, repr=False, description="The `device_token` of the last sign-in.")
    ] = None


class LinkForm(BaseModel):
    """Where to go back to once the login is linked."""

    model_config = ConfigDict(extra="forbid", strict=True)

    next: Annotated[str, Field(max_length=2000)] = ""


class ProviderAnswer(BaseModel):
    """One service to sign in with."""

    name: str
    title: str


class ProvidersAnswer(BaseModel):
    """The services to sign in with."""

    providers: list[ProviderAnswer]


class BegunAnswer(BaseModel):
    """Where to send the browser."""

    authorization_url: str


class IdentityAnswer(BaseModel):
    """A login elsewhere that leads to this account. `verified`: whether the service proved the address."""

    id: str
    provider: str
    issuer: str
    email: str
    verified: bool
    created_at: str
    used_at: str | None


class IdentitiesAnswer(BaseModel):
    """The logins elsewhere of an account."""

    identities: list[IdentityAnswer]


def social_routes(context: Context, social: Social) -> APIRouter:
    """Return the routes."""
    router = own_router(tags=["social"])
    _leaving(router, context, social)
    _coming_back(router, context, social)
    _fetching(router, context, social)
    _identities(router, context, social)
    return router


def _leaving(router: APIRouter, context: Context, social: Social) -> None:
    @router.get("/oauth", response_model=ProvidersAnswer, summary="List the services to sign in with")
    async def providers() -> dict[str, Any]:
        return {"providers": [{"name": one.name, "title": one.shown} for one in social.providers.values()]}

    @router.get("/oauth/{provider}", status_code=302, response_class=RedirectResponse, summary="Sign in elsewhere")
    async def leave(request: Request, provider: str, next: Next = "", code_challenge: Challenge = "") -> Response:  # noqa: A002 - a query parameter
        begun = await _begun(social, provider, next, challenge=code_challenge)
        return _carrying(context, request, begun, _sent(begun.url, 302))


def _coming_back(router: APIRouter, context: Context, social: Social) -> None:
    @router.get("/oauth/callback/{provider}", status_code=302, response_class=RedirectResponse, include_in_schema=False)
    async def come_back(request: Request, provider: str) -> Response:
        return await _arrived(context, social, request, provider)

    @router.post("/oauth/callback/{provider}", status_code=303, include_in_schema=False)
    async def come_back_by_form(request: Request, provider: str) -> Response:
        # The cookie does not come along with a form of another site; it does with the redirect to ourselves.
        social.provider(provider)
        form = await read_form(request)
        answer = {name: form[name] for name in _ANSWERED if name in form}
        return _sent(f"{context.settings.public_url}/oauth/callback/{provider}?{urlencode(answer)}", 303)


def _fetching(router: APIRouter, context: Context, social: Social) -> None:
    @router.post("/oauth/exchange", response_model=TokenAnswer, summary="Fetch the tokens after a sign-in elsewhere")
    async def exchange(form: ExchangeForm, request: Request) -> Response:
        device, name = _device(context, form, request), f"code-{logic.cookie_id(form.code)}"
        binding = context.browser.carried(request.scope, name)
        outcome = await _redeemed(social, form, device, binding)
        response = context.entrance.admit(outcome)
        if binding is not None:
            response.headers.append("Set-Cookie", context.browser.carry(name, "", 0))
        return response


def _identities(router: APIRouter, context: Context, social: Social) -> None:
    @router.get("/identities", response_model=IdentitiesAnswer, summary="List the logins elsewhere of the account")
    async def identities(principal: Known) -> dict[str, Any]:
        found = await logic.linked(context, principal.user_id or "")
        return {"identities": [_shown(one) for one in found]}

    @router.post("/identities/{provider}", response_model=BegunAnswer, summary="Begin to link a login elsewhere")
    async def begin_link(form: LinkForm, request: Request, provider: str, principal: JustSignedIn) -> Response:
        begun = await _begun(social, provider, form.next, linking=principal)
        answer = Response(
            BegunAnswer(authorization_url=begun.url).model_dump_json(),
            media_type="application/json",
            headers=SAFE_HEADERS,
        )
        return _carrying(context, request, begun, answer)

    @router.delete("/identities/{provider}/{identity_id}", status_code=204, summary="Unlink a login elsewhere")
    async def unlink(provider: str, identity_id: str, principal: JustSignedIn) -> Response:
        await logic.unlink(context, principal.user_id or "", provider, identity_id, social.providers.keys())
        return Response(status_code=204)


async def _begun(
    social: Social, provider: str, wanted: str, *, challenge: str = "", linking: Principal | None = None
) -> Begun:
    """Begin. Raises NotFound, NextRefused, ProviderFailed, TooManyAttempts, SenderMissing."""
    return await social.begin(provider, next=wanted, challenge=challenge, linking=linking)


async def _redeemed(social: Social, form: ExchangeForm, device: Device, binding: str | None) -> SignedIn | Pending:
    """Start a session for the code.

    Raises ChallengeRefused, AccountExists, AddressMissing, RegistrationClosed, InvitationInvalid, InvalidLogin,
    RegistrationConflict, TooManyAttempts, ApprovalWaiting, EmailNotVerified, PasswordChangeRequired.
    """
    return await social.redeem(
        form.code, device, binding=binding, verifier=form.code_verifier, invitation=form.invitation
    )


async def _arrived(context: Context, social: Social, request: Request, provider: str) -> Response:
    """Answer a browser that came back from a provider."""
    answer = _parameters(request)
    name = f"oauth-{logic.cookie_id(answer.get('state', ''))}"
    try:
        begun = social.recall(provider, answer, context.browser.carried(request.scope, name))
    except StateRefused as error:
        # Without a sign-in of this browser there is no page it named: only the one the settings name.
        return _sent(logic.with_answer(social.page(), {"error": error.code})) if _has_pages(context) else problem(error)
    response = await _finished(context, social, begun, answer)
    response.headers.append("Set-Cookie", context.browser.carry(name, "", 0))
    return response


async def _finished(context: Context, social: Social, begun: Transaction, answer: dict[str, str]) -> Response:
    try:
        person = await social.finish(begun, answer)
        if begun.purpose == "link":
            await logic.link(context, begun, person)
            return _sent(logic.with_answer(begun.next, {"linked": begun.provider}))
        code = await social.hand_out(begun, person)
    except AuthError as error:
        return _sent(logic.with_answer(begun.next, {"error": error.code}))
    response = _sent(logic.with_answer(begun.next, {"code": code.token}))
    if code.binding is not None:
        kept = context.browser.carry(f"code-{code.id}", code.binding, code.seconds)
        response.headers.append("Set-Cookie", kept)
    return response


def _parameters(request: Request) -> dict[str, str]:
    """Return what a provider sends in the address; what is there twice could be read in two ways, and is refused."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name in _ANSWERED]
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _has_pages(context: Context) -> bool:
    return bool(context.settings.frontend_url)


def _carrying(context: Context, request: Request, begun: Begun, response: Response) -> Response:
    """Let the browser keep what it carries, and forget others where too many were begun."""
    browser = context.browser
    under_way = browser.carries(request.scope, "oauth-")
    if len(under_way) >= _MOST_AT_ONCE:
        for name in under_way:
            response.headers.append("Set-Cookie", browser.carry(name, "", 0))
    response.headers.append("Set-Cookie", browser.carry(f"oauth-{begun.id}", begun.carried, begun.seconds))
    return response


def _sent(url: str, status: int = 302) -> Response:
    return RedirectResponse(url, status_code=status, headers=SAFE_HEADERS)


def _device(context: Context, form: ExchangeForm, request: Request) -> Device:
    """Return where a sign-in comes from. Raises CrossSite for a cookie that no page of ours asks for."""
    if form.transport == "cookie":
        context.browser.check(request.scope)
    remember = form.transport == "body" if form.remember is None else form.remember
    device = context.device(request, remember, form.transport)
    return replace(device, notes=form.device) if form.device else device


def _shown(identity: Identity) -> dict[str, Any]:
    return {
        "id": logic.id_of(identity),
        "provider": identity.provider,
        "issuer": identity.issuer,
        "email": identity.email,
        "verified": identity.verified,
        "created_at": moment(identity.created_at),
        "used_at": None if identity.used_at is None else moment(identity.used_at),
    }
