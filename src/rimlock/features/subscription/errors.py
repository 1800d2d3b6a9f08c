"""What can go wrong with a subscription.

Threat: none of its own.
Source: design section 7 (errors as data).
"""

from __future__ import annotations

from rimlock.core.errors import AuthError

__all__ = ["SubscriptionConflict"]


class SubscriptionConflict(AuthError):
    """The customer of the payment provider belongs to another account."""

    code, status, title = "subscription_conflict", 409, "This customer belongs to another account."
