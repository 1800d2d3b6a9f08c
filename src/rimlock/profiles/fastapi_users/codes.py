"""What the dialect says when something is wrong: its codes, and our errors put into its words.

Threat: a code that front ends know and that means something else here; an answer that tells more than the code does.
Source: FastAPI Users' documented error codes; RFC 6749 section 5.2 (`error` beside `detail`).
"""

from __future__ import annotations

from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException
from pydantic import BaseModel

from rimlock.web.problems import SAFE_HEADERS

if TYPE_CHECKING:
    from rimlock.core.errors import AuthError, PasswordNotAccepted

__all__ = [
    "ErrorCode",
    "ErrorModel",
    "FastAPIUsersException",
    "InvalidID",
    "InvalidPasswordException",
    "LoginRefusal",
    "bad_password",
    "bad_request",
    "bare_request",
    "translated",
]


class ErrorCode(StrEnum):
    """Every code there is."""

    REGISTER_INVALID_PASSWORD = "REGISTER_INVALID_PASSWORD"
    REGISTER_USER_ALREADY_EXISTS = "REGISTER_USER_ALREADY_EXISTS"
    OAUTH_NOT_AVAILABLE_EMAIL = "OAUTH_NOT_AVAILABLE_EMAIL"
    OAUTH_USER_ALREADY_EXISTS = "OAUTH_USER_ALREADY_EXISTS"
    OAUTH_INVALID_STATE = "OAUTH_INVALID_STATE"
    LOGIN_BAD_CREDENTIALS = "LOGIN_BAD_CREDENTIALS"
    LOGIN_USER_NOT_VERIFIED = "LOGIN_USER_NOT_VERIFIED"
    RESET_PASSWORD_BAD_TOKEN = "RESET_PASSWORD_BAD_TOKEN"
    RESET_PASSWORD_INVALID_PASSWORD = "RESET_PASSWORD_INVALID_PASSWORD"
    VERIFY_USER_BAD_TOKEN = "VERIFY_USER_BAD_TOKEN"
    VERIFY_USER_ALREADY_VERIFIED = "VERIFY_USER_ALREADY_VERIFIED"
    UPDATE_USER_EMAIL_ALREADY_EXISTS = "UPDATE_USER_EMAIL_ALREADY_EXISTS"
    UPDATE_USER_INVALID_PASSWORD = "UPDATE_USER_INVALID_PASSWORD"
    ACCESS_TOKEN_ALREADY_EXPIRED = "ACCESS_TOKEN_ALREADY_EXPIRED"
    ACCESS_TOKEN_DECODE_ERROR = "ACCESS_TOKEN_DECODE_ERROR"


class ErrorModel(BaseModel):
    """An error, as the OpenAPI document shows it."""

    detail: str | dict[str, str]


class FastAPIUsersException(Exception):
    """Root of what a manager may raise."""


class InvalidID(FastAPIUsersException):
    """A text is no id of the kind the application uses."""


class InvalidPasswordException(FastAPIUsersException):
    """Raised by `validate_password`: the reason goes to the caller as it is."""

    def __init__(self, reason: Any) -> None:
        """`reason`: what the caller is told."""
        super().__init__(reason)
        self.reason = reason


class LoginRefusal(HTTPException):
    """A refused sign-in, which says beside its code what RFC 6749 calls it."""

    def __init__(self, code: ErrorCode) -> None:
        """`code`: what the dialect says."""
        super().__init__(400, detail=code.value, headers=dict(SAFE_HEADERS))
        self.error = "invalid_grant"


def bad_request(code: ErrorCode) -> HTTPException:
    """Return a refusal by its code."""
    return HTTPException(400, detail=code.value, headers=dict(SAFE_HEADERS))


def bare_request(detail: str) -> HTTPException:
    """Return a refusal that the dialect has no code for."""
    return HTTPException(400, detail=detail, headers=dict(SAFE_HEADERS))


def bad_password(code: ErrorCode, error: InvalidPasswordException | PasswordNotAccepted) -> HTTPException:
    """Return the refusal of a new password, with the reason: the application's own, or that of the policy."""
    if isinstance(error, InvalidPasswordException):
        reason = error.reason
    else:
        reason = " ".join(one["detail"] for one in error.errors) or error.detail
    return HTTPException(400, detail={"code": code.value, "reason": reason}, headers=dict(SAFE_HEADERS))


def translated(error: AuthError) -> HTTPException:
    """Return an error of ours that the dialect has no code for: the bare status, in its words."""
    headers = dict(SAFE_HEADERS)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return HTTPException(error.status, detail=HTTPStatus(error.status).phrase, headers=headers)
