"""The plug of administration.

Threat: none of its own; it hands out routes that each ask for an administrator.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.admin.routes import admin_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["AdminFeature"]


class AdminFeature(Feature):
    """`/admin/users`, for administrators."""

    name = "admin"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes."""
        return admin_routes(context)
