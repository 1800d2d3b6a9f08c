"""The plug of invitations.

Threat: none of its own; it hands out routes that each ask for an administrator.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.invitations.routes import invitation_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["InvitationsFeature"]


class InvitationsFeature(Feature):
    """`/admin/invitations`, for administrators."""

    name = "invitations"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes."""
        return invitation_routes(context)
