"""The route class of the dialect: small bodies, errors in its words, answers that nobody stores or repeats.

Threat: a body of 20 MB that is hashed; a cached token; a refusal that repeats the password it was sent.
Source: OWASP ASVS 5.0 V4.1, V14.2; RFC 6749 section 5.1 (`Cache-Control: no-store`).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive

from rimlock.core.errors import AuthError, InvalidRequest
from rimlock.profiles.fastapi_users.codes import translated
from rimlock.profiles.fastapi_users.forms import masked
from rimlock.web.problems import SAFE_HEADERS, BodyTooLarge
from rimlock.web.refusals import refused
from rimlock.web.route import BODY_LIMIT

__all__ = ["DialectRoute", "handlers"]

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class DialectRoute(APIRoute):
    """An API route that speaks the dialect, in an application of ours or in the host's own."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler between the bound on the body and our words for errors."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                response = await handle(Request(request.scope, _limited(request)))
            except RequestValidationError as error:
                raise RequestValidationError(masked(error.errors())) from None
            except InvalidRequest as error:
                raise RequestValidationError([_field(one) for one in error.errors] or [_whole(error)]) from None
            except AuthError as error:
                refused(request.scope, error)
                raise translated(error) from None
            for name, value in SAFE_HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handler


def handlers() -> dict[Any, Any]:
    """Return the exception handlers of an application of ours that speaks the dialect."""
    from starlette.exceptions import HTTPException

    return {AuthError: _on_auth_error, HTTPException: _on_http, RequestValidationError: _on_invalid}


async def _on_auth_error(request: Request, error: AuthError) -> Response:
    return await _on_http(request, translated(error))


async def _on_http(_: Request, error: Any) -> Response:
    body = {"detail": error.detail}
    if name := getattr(error, "error", None):
        body["error"] = name
    return JSONResponse(body, status_code=error.status_code, headers={**SAFE_HEADERS, **(error.headers or {})})


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    from fastapi.encoders import jsonable_encoder

    return JSONResponse({"detail": jsonable_encoder(error.errors())}, status_code=422, headers=SAFE_HEADERS)


def _field(error: dict[str, str]) -> dict[str, Any]:
    return {"type": "value_error", "loc": ("body", error["name"]), "msg": error["detail"], "input": None}


def _whole(error: AuthError) -> dict[str, Any]:
    return {"type": "value_error", "loc": ("body",), "msg": error.detail, "input": None}


def _limited(request: Request) -> Receive:
    """Count what really arrives: a declared length is only a promise."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > BODY_LIMIT:
        raise BodyTooLarge
    receive, taken = request.receive, 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_LIMIT:
            raise BodyTooLarge
        return message

    return counted
