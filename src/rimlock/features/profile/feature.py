"""The plug of the profile feature.

Threat: none of its own; it hands out routes.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.profile.routes import profile_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["ProfileFeature"]


class ProfileFeature(Feature):
    """`/me`, and what others may see."""

    name = "profile"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes."""
        return profile_routes(context)
