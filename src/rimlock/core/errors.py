"""What can go wrong, as data: one class per stable code.

Threat: an answer that tells an attacker which guess was close, or repeats what was sent.
Source: RFC 9457 (problem details); RFC 6750 section 3 (bearer challenges).
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "REGISTRY",
    "AccountDisabled",
    "ApprovalWaiting",
    "AuthError",
    "Busy",
    "ConfigurationError",
    "CredentialExpired",
    "CredentialInvalid",
    "CredentialMissing",
    "CurrentPasswordWrong",
    "EmailNotVerified",
    "FreshLoginRequired",
    "InvalidLogin",
    "InvalidRequest",
    "NotFound",
    "PasswordChangeRequired",
    "PasswordNotAccepted",
    "PermissionMissing",
    "SchemaMismatch",
    "Unavailable",
]

REGISTRY: dict[str, type[AuthError]] = {}
"""Every code, filled as the classes are made. The documentation is generated from it."""


class ConfigurationError(Exception):
    """The application is wired in a way that cannot be safe. Raised at construction, with the mend in the sentence."""


class AuthError(Exception):
    """Root of every error a caller may see.

    Class attributes: `code` (snake_case, unique, never renamed), `status` (HTTP), `title` (one sentence, fixed).
    Instances add `detail` (safe to show), `retry_after` (seconds) and `errors` (fields: name, code, detail).
    """

    code: ClassVar[str] = "auth_error"
    status: ClassVar[int] = 400
    title: ClassVar[str] = "The request could not be carried out."
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What the answer carries besides, as names and values."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the code, or refuse the class at import when another already owns it."""
        super().__init_subclass__(**kwargs)
        owner = REGISTRY.setdefault(cls.code, cls)
        if owner is not cls and (owner.__module__, owner.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigurationError(
                f"error code {cls.code!r} of {cls.__qualname__} already belongs to {owner.__qualname__}"
            )

    def __init__(
        self, detail: str | None = None, *, retry_after: int | None = None, errors: tuple[dict[str, str], ...] = ()
    ) -> None:
        """`detail` replaces the title in the answer; `retry_after` is in seconds; `errors` names the fields."""
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.errors = errors
        super().__init__(self.detail)


class InvalidRequest(AuthError):
    """The body, a parameter or a header does not have the documented form."""

    code, status, title = "invalid_request", 422, "The request does not have the documented form."


class ProfileRefused(AuthError):
    """The application itself has something against what somebody wants to be called, or says about themselves."""

    code, status, title = "profile_refused", 422, "This cannot be said here about a user."


class InvalidLogin(AuthError):
    """Unknown account, wrong password, disabled account: one answer for all of them."""

    code, status, title = "invalid_login", 401, "The login or the password is not right."


class CurrentPasswordWrong(AuthError):
    """A signed-in user was asked for the password again and gave another one."""

    code, status, title = "current_password_wrong", 403, "The current password is not right."


class CredentialMissing(AuthError):
    """The route needs a credential and the request carried none that is ours."""

    code, status, title = "credential_missing", 401, "This route needs a credential."


class CredentialInvalid(AuthError):
    """A credential of ours that is malformed, forged, revoked or unknown."""

    code, status, title = "credential_invalid", 401, "The credential is not valid."


class CredentialExpired(CredentialInvalid):
    """A credential of ours that was valid until its time ran out."""

    code, status, title = "credential_expired", 401, "The credential has expired."


class AccountDisabled(AuthError):
    """The account behind a valid credential may not act."""

    code, status, title = "account_disabled", 403, "This account is disabled."


class ApprovalWaiting(AuthError):
    """The password is right, and the account is not let in yet."""

    code, status, title = "approval_waiting", 403, "This account has not been approved yet."


class EmailNotVerified(AuthError):
    """The password is right, and the address of the account is not proven yet."""

    code, status, title = "email_not_verified", 403, "Prove your address first: open the link in the mail."


class PasswordNotAccepted(AuthError):
    """The new password does not meet the policy. `errors` names every reason by its code."""

    code, status, title = "password_refused", 422, "This password cannot be used."


class PasswordChangeRequired(AuthError):
    """The password is right and was made by somebody else: a new one has to be chosen before anything works."""

    code, status, title = "password_change_required", 403, "Choose a new password first."


class PermissionMissing(AuthError):
    """The principal is known and lacks a role, permission, scope or credential kind."""

    code, status, title = "permission_missing", 403, "The credential does not allow this."


class FreshLoginRequired(AuthError):
    """The route needs a sign-in more recent than this session's."""

    code, status, title = "fresh_login_required", 403, "Sign in again to do this."


class NotFound(AuthError):
    """No such thing, or not one the caller may know of."""

    code, status, title = "not_found", 404, "There is no such thing."


class Busy(AuthError):
    """A bounded resource is full; nothing was done. Carries `retry_after`."""

    code, status, title = "busy", 503, "Too much work at the moment. Try again shortly."


class Unavailable(AuthError):
    """A part that the decision needs did not answer: the request is refused, never let through."""

    code, status, title = "unavailable", 503, "The request cannot be decided at the moment."


class SchemaMismatch(ConfigurationError):
    """The database is not at this version's schema. The message names the command to run."""
