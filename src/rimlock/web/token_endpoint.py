"""`POST /token`: one endpoint, one form, a handler for each grant.

Threat: a grant that skips a check the others have; an answer that a cache keeps.
Source: RFC 6749 sections 3.2, 4.3, 5.1, 5.2 and 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rimlock.core.errors import AuthError, InvalidRequest
from rimlock.web.forms import read_form
from rimlock.web.mounting import own_router
from rimlock.web.problems import SAFE_HEADERS
from rimlock.web.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import APIRouter

    from rimlock.feature import Context, Feature, GrantHandler

__all__ = ["OAUTH_FORM", "token_routes"]

OAUTH_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["password", "refresh_token"]},
                        "username": {"type": "string", "description": "Email or username."},
                        "password": {"type": "string", "format": "password"},
                        "refresh_token": {"type": "string"},
                        "scope": {"type": "string"},
                        "device": {"type": "string", "description": "The device_token of the last sign-in."},
                    },
                }
            }
        },
    }
}


def token_routes(features: Iterable[Feature], context: Context) -> APIRouter | None:
    """Return the endpoint over the grants of all features, None when there are none."""
    grants: dict[str, GrantHandler] = {}
    for feature in features:
        grants.update(feature.grants(context))
    if not grants:
        return None
    router = own_router(tags=["tokens"])

    @router.post("/token", openapi_extra=OAUTH_FORM, summary="Get tokens by password or refresh token")
    async def token(request: Request) -> Response:
        return await _answer(grants, request)

    return router


async def _answer(grants: Mapping[str, GrantHandler], request: Request) -> Response:
    try:
        form = await read_form(request)
        handler = grants.get(form.get("grant_type", "password"))
        if handler is None:
            return _error("unsupported_grant_type", "This grant is not supported.", 400)
        return await handler(request, form)
    except InvalidRequest as error:
        return _error("invalid_request", error.detail, 400, code=error.code)
    except AuthError as error:
        if error.status in {401, 403}:
            refused(request.scope, error)
            return _error("invalid_grant", error.detail, 400, code=error.code)
        raise


def _error(name: str, description: str, status: int, **more: Any) -> Response:
    """RFC 6749 section 5.2: the error has its own form here, with our code beside it."""
    body = {"error": name, "error_description": description, **more}
    return JSONResponse(body, status_code=status, headers=SAFE_HEADERS)
