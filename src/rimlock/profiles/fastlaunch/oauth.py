"""The dialect's routes about signing in elsewhere.

Threat: tokens in an address; an account taken over by an address that nobody proved; an answer that belongs to another
    browser's sign-in.
Source: the LAUNCH contract; RFC 9700 sections 2.1, 4.2 and 4.7; Pre-hijacked Accounts (USENIX Security 2022).

The documented redirect carries both tokens, and the documented linking asks for no proof: each is an option of its own.
Without them the page gets a code for one use, good for this browser alone, or for who has the verifier.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from rimlock.core import identities
from rimlock.features.social import logic
from rimlock.features.social.errors import ProviderFailed, ProviderRefused, StateRefused
from rimlock.profiles.fastlaunch.dialect import NOT_VALIDATED, Refused, admitted
from rimlock.profiles.fastlaunch.forms import ExchangeForm, TripleAnswer
from rimlock.web.mounting import own_router
from rimlock.web.problems import SAFE_HEADERS

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.database import Transaction
    from rimlock.feature import Context
    from rimlock.features.social.logic import Person, Social
    from rimlock.profiles.fastlaunch.desk import Desk

__all__ = ["oauth_routes"]

PAGE = "/auth"
"""Where the front end waits for the answer."""

Challenge = Annotated[str, Query(pattern="^([A-Za-z0-9_-]{43})?$", description="S256 of the page's verifier.")]
_ANSWERED = ("code", "state", "error", "iss")
_MOST_AT_ONCE = 5


def oauth_routes(context: Context, desk: Desk, social: Social) -> APIRouter:
    """Return the routes."""
    router = own_router(prefix=f"{desk.prefix}/oauth", tags=["auth"])

    @router.get("/{provider}", status_code=302, response_class=RedirectResponse, summary="Sign in elsewhere")
    async def leave(request: Request, provider: str, code_challenge: Challenge = "") -> Response:
        _require(context, social, provider)
        place = desk.place(context, f"/oauth/callback/{provider}")
        begun = await social.begin(provider, next=PAGE, redirect_uri=place, challenge=code_challenge)
        return _carrying(context, request, begun, _sent(begun.url))

    @router.get("/callback/{provider}", status_code=307, response_class=RedirectResponse, summary="Come back")
    async def come_back(request: Request, provider: str) -> Response:
        _require(context, social, provider)
        if desk.handled is not None and provider not in desk.handled:
            raise Refused(501, f"Handler for provider '{provider}' not implemented")
        return await _arrived(context, desk, social, request, provider)

    @router.post("/exchange", response_model=TripleAnswer, summary="Fetch the tokens after a sign-in elsewhere")
    async def exchange(form: ExchangeForm, request: Request) -> Response:
        device = context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
        name = f"code-{logic.cookie_id(form.code)}"
        binding = context.browser.carried(request.scope, name)
        outcome = await social.redeem(form.code, device, binding=binding, verifier=form.code_verifier)
        response = admitted(context, outcome)
        if binding is not None:
            response.headers.append("Set-Cookie", context.browser.carry(name, "", 0))
        return response

    return router


def _require(context: Context, social: Social, provider: str) -> None:
    """Return for a provider that is offered. Raises 404 for one that is not known, 503 for one that is not set up."""
    if provider in social.providers:
        return
    if provider in logic.PRESETS or provider in context.settings.social:
        raise Refused(503, f"OAuth provider '{provider}' not configured")
    shown = provider if provider.isprintable() and len(provider) <= 32 else ""  # noqa: PLR2004 - as names are
    raise Refused(404, f"OAuth provider '{shown}' not supported")


async def _arrived(context: Context, desk: Desk, social: Social, request: Request, provider: str) -> Response:
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name in _ANSWERED]
    answer = dict(pairs) if len(dict(pairs)) == len(pairs) else {}
    name = f"oauth-{logic.cookie_id(answer.get('state', ''))}"
    try:
        begun = social.recall(provider, answer, context.browser.carried(request.scope, name))
        person = await social.finish(begun, answer)
    except (StateRefused, ProviderRefused, ProviderFailed):
        raise Refused(401, NOT_VALIDATED, headers={"WWW-Authenticate": "Bearer"}) from None
    if desk.insecure_link_unverified:
        await context.database.write(lambda tx: _link(context, tx, person))
    landed = _with_tokens if desk.insecure_tokens_in_redirect else _with_code
    response = await landed(context, social, request, begun, person)
    response.headers.append("Set-Cookie", context.browser.carry(name, "", 0))
    return response


async def _with_code(
    context: Context, social: Social, _: Request, begun: logic.Transaction, person: Person
) -> Response:
    code = await social.hand_out(begun, person)
    response = _sent(logic.with_answer(begun.next, {"code": code.token}), 307)
    if code.binding is not None:
        kept = context.browser.carry(f"code-{code.id}", code.binding, code.seconds)
        response.headers.append("Set-Cookie", kept)
    return response


async def _with_tokens(
    context: Context, social: Social, request: Request, begun: logic.Transaction, person: Person
) -> Response:
    device = context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
    answer = admitted(context, await social.enter(person, device))
    if answer.status_code != 200:  # noqa: PLR2004 - a step has to be done first
        return answer
    tokens = json.loads(bytes(answer.body))
    named = {name: tokens[name] for name in ("access_token", "refresh_token")}
    return _sent(logic.with_answer(begun.next, named), 307)


def _link(context: Context, tx: Transaction, person: Person) -> None:
    """Let the identity lead to whoever has its address, proven or not: the documented way."""
    if identities.find(tx, person.issuer, person.subject) is not None:
        return
    user = context.users.find(tx, person.email) if "@" in person.email else None
    if user is not None:
        identities.link(
            tx,
            user.id,
            person.issuer,
            person.subject,
            provider=person.provider,
            now=context.now(),
            email=person.email,
            verified=person.proven,
        )


def _carrying(context: Context, request: Request, begun: logic.Begun, response: Response) -> Response:
    """Let the browser keep what it carries, and forget others where too many were begun."""
    under_way = context.browser.carries(request.scope, "oauth-")
    for name in under_way if len(under_way) >= _MOST_AT_ONCE else ():
        response.headers.append("Set-Cookie", context.browser.carry(name, "", 0))
    response.headers.append("Set-Cookie", context.browser.carry(f"oauth-{begun.id}", begun.carried, begun.seconds))
    return response


def _sent(url: str, status: int = 302) -> Response:
    return RedirectResponse(url, status_code=status, headers=SAFE_HEADERS)
