"""The feature: its name and its routes.

Threat: a key that somebody who is no administrator puts out of use.
Source: requirements L1 and L12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.retirement.routes import retirement_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["RetirementFeature"]


class RetirementFeature(Feature):
    """Keys and kinds of credential on their way out, readable and changeable by administrators."""

    name = "retirement"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes under `/admin/retirements`."""
        return retirement_routes(context)
