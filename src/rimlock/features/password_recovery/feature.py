"""The plug of password recovery: its routes and its mails.

Threat: none of its own.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.password_recovery.messages import KINDS
from rimlock.features.password_recovery.routes import recovery_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

    from rimlock.core.messages import MessageKind
    from rimlock.feature import Context

__all__ = ["PasswordRecovery"]


class PasswordRecovery(Feature):
    """Another password, by a link in a mail."""

    name = "password_recovery"

    def routes(self, context: Context) -> APIRouter:
        """Return `/forgot-password` and `/reset-password`."""
        return recovery_routes(context)

    def messages(self) -> Sequence[MessageKind]:
        """Return the mails."""
        return KINDS
