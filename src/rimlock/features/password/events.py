"""What happened to passwords and accounts.

Threat: a password, or the text somebody typed as a login (often a password), in a log.
Source: OWASP ASVS 5.0 V16.2.1, V16.2.5, V16.3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rimlock.core.accounts import EmailChanged
from rimlock.core.events import Event, Told

__all__ = [
    "EmailChanged",
    "FailureReason",
    "FirstAdminLinkIssued",
    "LoginFailed",
    "PasswordChanged",
]

FailureReason = Literal[
    "unknown_account", "wrong_password", "disabled", "no_password", "password_expired", "impossible_password"
]
"""Why a sign-in by password failed. On the wire all of them are `invalid_login`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAdminLinkIssued(Event):
    """A one-time link for the first administrator was made; those made before are worth nothing."""

    expires_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFailed(Event):
    """A sign-in by password failed. `user_id` is None where no account has that login, or nobody looked."""

    told = Told(outcome="failed")
    reason: FailureReason
    user_id: str | None
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged(Event):
    """A user chose a new password. `sessions_ended`: how many other devices were signed out."""

    told = Told(self_made=lambda _: True)
    user_id: str
    sessions_ended: int
