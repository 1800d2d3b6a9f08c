"""The feature: its name and its routes.

Threat: a stage turned by somebody who is not an administrator.
Source: design section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.rollout.routes import rollout_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["RolloutFeature"]


class RolloutFeature(Feature):
    """Stages of routes, readable and changeable by administrators while the application runs."""

    name = "rollout"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes under `/admin/rollout`."""
        return rollout_routes(context)
