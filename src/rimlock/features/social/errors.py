"""What signing in through another service is refused for.

Threat: an answer that repeats what the other service said, or tells more of an account than its owner proved.
Source: RFC 9457; RFC 6749 section 4.1.2.1; OWASP ASVS 5.0 V6.3.8.
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = [
    "AccountExists",
    "AddressMissing",
    "IdentityTaken",
    "LastWayIn",
    "NextRefused",
    "ProviderFailed",
    "ProviderRefused",
    "StateRefused",
]


class StateRefused(AuthError):
    """The answer of the provider belongs to no sign-in that this browser began, or to one that is over."""

    code, status, title = "social_state_refused", 400, "This sign-in was not begun here, or took too long."


class ProviderRefused(AuthError):
    """The provider let nobody in, mostly because somebody said no there."""

    code, status, title = "social_denied", 403, "The sign-in was refused at the other service."


class ProviderFailed(AuthError):
    """The provider did not answer, or with something that proves nothing. The log has the reason."""

    code, status, title = "social_provider_failed", 502, "The other service could not confirm the sign-in."


class NextRefused(AuthError):
    """The page to go back to is none of this installation's."""

    code, status, title = "next_refused", 400, "That page cannot be gone back to."


class AccountExists(AuthError):
    """The address has an account already, and not both sides have proven it. Sign in there and link."""

    code, status, title = "account_exists_unlinked", 409, "This address has an account. Sign in to it, then link."


class AddressMissing(AuthError):
    """The provider told no address that an account could be made with."""

    code, status, title = "social_email_missing", 422, "The other service told no email address."


class IdentityTaken(AuthError):
    """The login elsewhere leads to another account."""

    code, status, title = "identity_taken", 409, "That login leads to another account."


class LastWayIn(AuthError):
    """Without this login nobody could sign in to the account any more."""

    code, status, title = "last_way_in", 409, "This is the only way into the account."
