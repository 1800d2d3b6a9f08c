"""How the dialect answers: `{"detail": …}` for every error, two fields for a token.

Threat: an answer that repeats what was submitted; tokens that a cache keeps; a sentence that tells more than its own.
Source: full-stack-fastapi-template (2026-08-21); RFC 6749 sections 5.1 and 5.2; RFC 6750 section 3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import HTTPException, RequestValidationError
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.responses import JSONResponse, Response

from rimlock.core.errors import (
    ApprovalWaiting,
    AuthError,
    CredentialInvalid,
    CredentialMissing,
    CurrentPasswordWrong,
    EmailNotVerified,
    InvalidLogin,
    InvalidRequest,
    NotFound,
    PasswordNotAccepted,
    PermissionMissing,
    ProfileRefused,
)
from rimlock.core.login import Pending
from rimlock.web.problems import SAFE_HEADERS, Refusal, problem
from rimlock.web.refusals import refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from rimlock.core.login import SignedIn
    from rimlock.feature import Context

__all__ = ["INACTIVE", "INCORRECT", "Refused", "UserMissing", "admitted", "handlers", "said"]

INCORRECT = "Incorrect email or password"
INACTIVE = "Inactive user"

_SAID: dict[type[AuthError], tuple[int, str]] = {
    InvalidLogin: (400, INCORRECT),
    EmailNotVerified: (400, INCORRECT),
    ApprovalWaiting: (400, INACTIVE),
    CredentialMissing: (401, "Not authenticated"),
    CredentialInvalid: (403, "Could not validate credentials"),
    PermissionMissing: (403, "The user doesn't have enough privileges"),
    CurrentPasswordWrong: (400, "Incorrect password"),
    NotFound: (404, "User not found"),
}
"""What the template says, where it says it. A subclass is said as its nearest ancestor here.

An address that is not proven is told like a wrong password: whoever registered with it would learn that it was free.
"""

_OF_A_SIGN_IN = (InvalidLogin, EmailNotVerified, ApprovalWaiting)
_UNPROCESSABLE = (InvalidRequest, PasswordNotAccepted, ProfileRefused)
_KEPT = {"content-length", "content-type", "www-authenticate"}


class Refused(HTTPException):
    """An answer of the dialect's own. `error`: what RFC 6749 calls it, where it does."""

    def __init__(self, status: int, detail: Any, *, headers: dict[str, str] | None = None, error: str = "") -> None:
        """`detail`: what the dialect says."""
        super().__init__(status, detail=detail, headers={**SAFE_HEADERS, **(headers or {})})
        self.error = error


class UserMissing(Refused):
    """The token is genuine, and its user is not there any more."""

    def __init__(self) -> None:
        super().__init__(404, "User not found")


def said(error: AuthError) -> Refused:
    """Return an error of ours in the words of the dialect: for routes of ours and of the host's alike."""
    if isinstance(error, _UNPROCESSABLE):
        return Refused(422, _fields(error))
    status, detail = next((_SAID[kind] for kind in type(error).__mro__ if kind in _SAID), (error.status, error.detail))
    headers = {name: value for name, value in problem(error).headers.items() if name not in _KEPT}
    if status == 401:  # noqa: PLR2004 - RFC 9110: a 401 carries a challenge
        headers["www-authenticate"] = "Bearer"
    return Refused(status, detail, headers=headers, error="invalid_grant" if isinstance(error, _OF_A_SIGN_IN) else "")


def admitted(context: Context, outcome: SignedIn | Pending) -> Response:
    """Answer a sign-in. What it has beyond the documented two fields, clients do not look at."""
    sent: dict[str, Any] = json.loads(bytes(context.entrance.admit(outcome).body))
    if isinstance(outcome, Pending):
        kept = {name: sent[name] for name in ("detail", "pending_token", "expires_in")}
        return JSONResponse(kept, status_code=403, headers=SAFE_HEADERS)
    given = {"access_token": sent["access_token"], "token_type": "bearer", "expires_in": sent["expires_in"]}
    return JSONResponse(given, headers=SAFE_HEADERS)


def handlers() -> dict[Any, Any]:
    """Return the exception handlers of the dialect."""
    return {AuthError: _on_auth_error, AnyHTTPException: _on_http, RequestValidationError: _on_invalid}


async def _on_auth_error(request: Request, error: AuthError) -> Response:
    refused(request.scope, error)
    return await _on_http(request, said(error))


async def _on_http(_: Request, error: AnyHTTPException) -> Response:
    found: AnyHTTPException = said(error.error) if isinstance(error, Refusal) else error
    body: dict[str, Any] = {"detail": found.detail}
    if name := getattr(found, "error", ""):
        body["error"] = name
    headers = {name.lower(): value for name, value in (*SAFE_HEADERS.items(), *(found.headers or {}).items())}
    return JSONResponse(body, status_code=found.status_code, headers=headers)


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    """As the framework says it, without what was sent."""
    found = [{"type": one["type"], "loc": list(one["loc"]), "msg": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": found}, status_code=422, headers=SAFE_HEADERS)


def _fields(error: AuthError) -> list[dict[str, Any]]:
    named = error.errors or ({"name": "", "code": error.code, "detail": error.detail},)
    return [{"type": one["code"], "loc": ["body", *_path(one["name"])], "msg": one["detail"]} for one in named]


def _path(name: str) -> list[str]:
    """Name a field as the dialect does."""
    bare = name.removeprefix("profile.").removeprefix("body.")
    return ["full_name"] if bare == "display_name" else [part for part in bare.split(".") if part]
