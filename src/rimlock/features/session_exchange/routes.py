"""`POST /exchange-session`: the cookie of an older sign-in, and tokens for it.

Threat: a page of another site that has a browser exchange its cookie; an answer that a cache keeps.
Source: OWASP ASVS 5.0 V3.5.1 to V3.5.3; design section 3 (Proof).

The cookie is the application's, and may lack `SameSite`: so the page has to be one of ours, whoever asks, and whatever
kind of answer is wanted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import Body
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from rimlock.features.session_exchange import logic
from rimlock.web.mounting import own_router
from rimlock.web.presenting import TokenAnswer

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["Whose", "exchange_routes"]

Whose = Callable[[Request], Awaitable[str | None]]
"""Says whose session of the application's own a request carries; None for nobody's."""


class ExchangeForm(BaseModel):
    """How the tokens are wanted. `remember` null stands for yes in the body, for no in the cookie."""

    model_config = ConfigDict(extra="forbid", strict=True)

    transport: Literal["body", "cookie"] = "body"
    remember: bool | None = None


def exchange_routes(context: Context, whose: Whose, by: logic.By) -> APIRouter:
    """Return the route."""
    router = own_router(tags=["session exchange"])

    @router.post("/exchange-session", response_model=TokenAnswer, summary="Get tokens for a session from before")
    async def exchange(request: Request, form: Annotated[ExchangeForm | None, Body()] = None) -> Response:
        context.browser.check(request.scope)
        wanted = form or ExchangeForm()
        remember = wanted.transport == "body" if wanted.remember is None else wanted.remember
        device = context.device(request, remember, wanted.transport)
        async with await logic.attempt(context, device.address) as admitted:
            outcome = await logic.exchange(context, admitted, await whose(request), by, device)
        return context.entrance.admit(outcome)

    return router
