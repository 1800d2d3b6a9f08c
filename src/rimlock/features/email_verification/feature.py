"""The plug of email verification: its routes, its mails, and the link that every new account gets.

Threat: a way to make an account that forgets to have its address proven.
Source: design section 3 (a feature is a folder that can be deleted); OWASP ASVS 5.0 V6.2.1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rimlock.core.accounts import AccountApproved, EmailChanged
from rimlock.core.registering import UserRegistered
from rimlock.feature import Feature
from rimlock.features.email_verification.logic import on_account
from rimlock.features.email_verification.messages import KINDS
from rimlock.features.email_verification.routes import verification_routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import APIRouter

    from rimlock.core.events import Event
    from rimlock.core.messages import MessageKind
    from rimlock.feature import Context, Reaction

__all__ = ["EmailVerification"]


class EmailVerification(Feature):
    """Addresses that are proven by a link. Whether only those sign in, the setting `require_verified` says."""

    name = "email_verification"

    def routes(self, context: Context) -> APIRouter:
        """Return `/verify-email` and `/change-email`."""
        return verification_routes(context)

    def messages(self) -> Sequence[MessageKind]:
        """Return the mails."""
        return KINDS

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:
        """Mail the link in the transaction that makes an account, lets it in, or gives it an unproven address."""
        ask = partial(on_account, context)
        return {UserRegistered: ask, AccountApproved: ask, EmailChanged: ask}
