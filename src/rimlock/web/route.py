"""The route class of our own routers: small bodies, of the declared type, and answers nobody stores.

Threat: a body of 20 MB that is hashed; a form that a browser sends across origins where JSON was meant; a cached token.
Source: OWASP ASVS 5.0 V4.1 and V14.2; RFC 9110 sections 15.5.14 and 15.5.16.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import params
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive

from rimlock.web.problems import SAFE_HEADERS, BodyTooLarge, Refusal, UnsupportedMediaType

__all__ = ["BODY_LIMIT", "AuthRoute"]

BODY_LIMIT = 64 * 1024
"""Bytes of a request body that our routes read."""

_FORM = "application/x-www-form-urlencoded"

_SAFE_HEADERS = tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in SAFE_HEADERS.items())

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class AuthRoute(APIRoute):
    """An API route that refuses long bodies (413) and bodies of another type (415) before it parses them."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler between our check of the request and our headers on the answer."""
        handle = super().get_route_handler()
        takes_form = _takes_form(self.body_field)

        async def handler(request: Request) -> Response:
            _check_length(request)
            if takes_form is not None and _has_body(request):
                _check_type(request, form=takes_form)
            response = await handle(Request(request.scope, _limited(request.receive)))
            given = {name for name, _ in response.raw_headers}
            response.raw_headers.extend(pair for pair in _SAFE_HEADERS if pair[0] not in given)
            return response

        return handler


def _takes_form(body_field: Any) -> bool | None:
    """Return whether the declared body is a form; None when there is no body."""
    if body_field is None:
        return None
    return isinstance(getattr(body_field, "field_info", None), params.Form)


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _check_length(request: Request) -> None:
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > BODY_LIMIT:
        raise Refusal(BodyTooLarge())


def _check_type(request: Request, *, form: bool) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != _FORM if form else not _is_json(given):
        raise Refusal(UnsupportedMediaType())


def _is_json(media_type: str) -> bool:
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _limited(receive: Receive) -> Receive:
    """Count what really arrives: a declared length is only a promise, and a stream declares none."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > BODY_LIMIT:
            raise Refusal(BodyTooLarge())
        return message

    return counted
