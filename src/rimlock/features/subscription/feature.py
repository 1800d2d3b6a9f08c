"""The plug of the subscription feature.

Threat: none of its own; it hands out routes.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.subscription.routes import subscription_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["SubscriptionFeature"]


class SubscriptionFeature(Feature):
    """`/subscription` for its owner, `/admin/users/{user_id}/subscription` for administrators."""

    name = "subscription"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes."""
        return subscription_routes(context)
