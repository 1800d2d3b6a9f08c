"""How the dialect answers: `{"detail": …}` for every error, three fields for tokens.

Threat: an answer that repeats what was submitted; tokens that a cache keeps.
Source: the LAUNCH contract; RFC 6749 sections 5.1 and 5.2; RFC 6750 section 3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import JSONResponse, Response

from rimlock.core.errors import (
    AuthError,
    CredentialInvalid,
    CredentialMissing,
    EmailNotVerified,
    InvalidLogin,
    InvalidRequest,
    PasswordNotAccepted,
    ProfileRefused,
)
from rimlock.core.login import Pending
from rimlock.web.credentials import bearer
from rimlock.web.problems import SAFE_HEADERS, Refusal, problem
from rimlock.web.refusals import refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from rimlock.core.login import SignedIn
    from rimlock.feature import Context

__all__ = ["NOT_VALIDATED", "Refused", "admitted", "handlers", "triple"]

NOT_VALIDATED = "Could not validate credentials"
_SAID: dict[type[AuthError], tuple[int, str]] = {
    InvalidLogin: (401, "Invalid username or password."),
    EmailNotVerified: (401, "Verify your email first."),
    CredentialMissing: (401, "Not authenticated"),
}
"""What the documents say, where they say it. A subclass is said as its nearest ancestor here."""

_UNPROCESSABLE = (InvalidRequest, PasswordNotAccepted, ProfileRefused)
_KEPT = {"content-length", "content-type"}


class Refused(HTTPException):
    """An answer of the dialect's own."""


def admitted(context: Context, outcome: SignedIn | Pending) -> Response:
    """Answer a sign-in."""
    response = context.entrance.admit(outcome)
    if isinstance(outcome, Pending):
        sent = json.loads(bytes(response.body))
        kept = {name: sent[name] for name in ("detail", "pending_token", "expires_in")}
        return JSONResponse(kept, status_code=response.status_code, headers=SAFE_HEADERS)
    return triple(response)


def triple(response: Response) -> Response:
    """Return an answer with tokens in the documented form. What it has beyond that, clients do not look at."""
    sent: dict[str, Any] = json.loads(bytes(response.body))
    body = {**sent, "token_type": "bearer"}
    answer = JSONResponse(body, status_code=response.status_code, headers=SAFE_HEADERS)
    for cookie in response.headers.getlist("set-cookie"):
        answer.headers.append("Set-Cookie", cookie)
    return answer


def handlers() -> dict[Any, Any]:
    """Return the exception handlers of the dialect."""
    return {AuthError: _on_auth_error, AnyHTTPException: _on_http, RequestValidationError: _on_invalid}


async def _on_auth_error(request: Request, error: AuthError) -> Response:
    refused(request.scope, error)
    return _answer(error)


async def _on_http(request: Request, error: AnyHTTPException) -> Response:
    if isinstance(error, Refusal):
        # What is none of our tokens counts as none; who sent it hears all the same that it was no good.
        sent = isinstance(error.error, CredentialMissing) and bearer(request.scope) is not None
        return _answer(CredentialInvalid() if sent else error.error)
    return JSONResponse(
        {"detail": error.detail}, status_code=error.status_code, headers={**SAFE_HEADERS, **(error.headers or {})}
    )


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    """As the framework says it, without what was sent."""
    found = [{"type": one["type"], "loc": list(one["loc"]), "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": found}, status_code=422, headers=SAFE_HEADERS)


def _answer(error: AuthError) -> Response:
    if isinstance(error, _UNPROCESSABLE):
        return JSONResponse({"detail": _fields(error)}, status_code=422, headers=SAFE_HEADERS)
    status, detail = _words(error)
    headers = {name: value for name, value in problem(error).headers.items() if name not in _KEPT}
    if status == 401:  # noqa: PLR2004 - RFC 9110: a 401 carries a challenge
        headers["www-authenticate"] = "Bearer"
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)


def _words(error: AuthError) -> tuple[int, str]:
    if isinstance(error, CredentialInvalid):
        return 401, NOT_VALIDATED
    return next((_SAID[kind] for kind in type(error).__mro__ if kind in _SAID), (error.status, error.detail))


def _fields(error: AuthError) -> list[dict[str, Any]]:
    named = error.errors or ({"name": "", "code": error.code, "detail": error.detail},)
    return [{"type": one["code"], "loc": ["body", *_path(one["name"])], "msg": one["detail"]} for one in named]


def _path(name: str) -> list[str]:
    return [part for part in name.removeprefix("profile.").removeprefix("body.").split(".") if part]
