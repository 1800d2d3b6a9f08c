"""Refusals and errors on the wire: an exception for the host's handlers, a problem document for our own routes.

Threat: an answer that repeats what was submitted, shows a stack trace, or lets a refusal be stored by a cache.
Source: RFC 9457 (problem details); RFC 6750 section 3 (bearer challenges); RFC 9110 sections 11.6.1 and 10.2.3.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rimlock.core.errors import (
    AuthError,
    CredentialInvalid,
    InvalidRequest,
    NotFound,
    PermissionMissing,
)
from rimlock.web.refusals import refused, route_of

__all__ = [
    "PROBLEM_BASE",
    "SAFE_HEADERS",
    "BodyTooLarge",
    "InternalError",
    "MethodNotAllowed",
    "Refusal",
    "UnsupportedMediaType",
    "challenge",
    "problem",
    "problem_handlers",
]

PROBLEM_BASE = "https://rimlock.dev/errors/"
"""Where each code has its page; `type` is this and the code."""

REALM = "rimlock"

SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""On every answer of our own routes, unless the route says otherwise."""

_log = logging.getLogger("rimlock.web")

_SENTENCES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is a field that is not known here.",
    "json_invalid": "The body is not valid JSON.",
    "string_too_short": "This value is too short.",
    "string_too_long": "This value is too long.",
    "string_type": "This value has to be a string.",
}
_NAME_LIMIT = 100


class MethodNotAllowed(AuthError):
    """The path exists and does not take this method."""

    code, status, title = "method_not_allowed", 405, "This path does not take that method."


class BodyTooLarge(AuthError):
    """The body is longer than the route reads."""

    code, status, title = "body_too_large", 413, "The body is too large."


class UnsupportedMediaType(AuthError):
    """The body is not of the type the route reads."""

    code, status, title = "unsupported_media_type", 415, "The body is not of the type this route reads."


class InternalError(AuthError):
    """Something of ours went wrong; the log has it, the caller does not."""

    code, status, title = "internal_error", 500, "Something went wrong on this side."


class Refusal(HTTPException):
    """A refused request, raised where the host's own exception handlers give it the host's form.

    `code` is the stable code, `error` what it was made from.
    """

    def __init__(self, error: AuthError, *, realm: str = REALM) -> None:
        """Take status, detail and headers from `error`; `realm` names the protected space in a challenge."""
        super().__init__(error.status, detail=error.detail, headers=_headers(error, realm))
        self.error = error
        self.code = error.code


def challenge(error: AuthError, realm: str = REALM) -> str | None:
    """Return the `WWW-Authenticate` value, None where a new credential would not help.

    Without a credential no error is named, as RFC 6750 section 3.1 asks.
    """
    start = f'Bearer realm="{realm}"'
    if isinstance(error, CredentialInvalid):
        return f'{start}, error="invalid_token", error_description="{error.title}"'
    if isinstance(error, PermissionMissing):
        return f'{start}, error="insufficient_scope", error_description="{error.title}"'
    return start if error.status == 401 else None  # noqa: PLR2004 - RFC 9110: a 401 carries a challenge


def _headers(error: AuthError, realm: str = REALM) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if bearer := challenge(error, realm):
        headers["WWW-Authenticate"] = bearer
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return headers | {name.decode("latin-1"): value.decode("latin-1") for name, value in error.headers}


def problem(error: AuthError, **members: Any) -> Response:
    """Return the problem document of `error`, with the headers every answer of ours carries.

    `members`: what the document says besides (RFC 9457 section 3.2).
    """
    body: dict[str, Any] = {
        "type": PROBLEM_BASE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    body |= members
    if error.errors:
        body["errors"] = list(error.errors)
    headers = {**SAFE_HEADERS, **_headers(error)}
    return JSONResponse(body, status_code=error.status, headers=headers, media_type="application/problem+json")


def problem_handlers() -> dict[Any, Callable[[Request, Any], Awaitable[Response]]]:
    """Return the exception handlers of our own application. The host's are never touched."""
    return {
        AuthError: _on_auth_error,
        RequestValidationError: _on_invalid,
        AnyHTTPException: _on_http,
        Exception: _on_anything,
    }


async def _on_auth_error(request: Request, error: AuthError) -> Response:
    refused(request.scope, error)
    return problem(error)


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    return problem(InvalidRequest(errors=tuple(_field(one) for one in error.errors())))


async def _on_http(_: Request, error: AnyHTTPException) -> Response:
    if isinstance(error, Refusal):
        return problem(error.error)
    response = problem(_named(error.status_code))
    for name, value in (error.headers or {}).items():
        response.headers.setdefault(name, value)
    return response


async def _on_anything(request: Request, error: Exception) -> Response:
    if isinstance(error, AuthError):
        return problem(error)  # raised in a middleware, outside of the handlers for classes
    # The message and the path may hold what was submitted; the type and the route are enough to find it.
    _log.error("unexpected %s in %s", type(error).__name__, route_of(request.scope))
    return problem(InternalError())


def _named(status: int) -> AuthError:
    """Return what the framework meant by a bare status."""
    by_status: dict[int, type[AuthError]] = {
        404: NotFound,
        405: MethodNotAllowed,
        413: BodyTooLarge,
        415: UnsupportedMediaType,
    }
    kind = by_status.get(status, InternalError if status >= 500 else InvalidRequest)  # noqa: PLR2004 - server's fault
    return kind()


def _field(error: Any) -> dict[str, str]:
    """Name the field, the rule and a fixed sentence. What was sent, and what the rule says of it, stay out."""
    kind = str(error.get("type", "invalid"))
    place = tuple(error.get("loc", ()))
    if kind in {"extra_forbidden", "json_invalid"}:
        place = place[:1]  # the rest is the caller's own text, or a position in it
    name = ".".join(str(part) for part in place)[:_NAME_LIMIT]
    return {"name": name, "code": kind, "detail": _SENTENCES.get(kind, "This value is not valid.")}
