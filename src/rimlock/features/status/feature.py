"""The plug of the status routes, and the parts of the health check that are always there.

Threat: a process that answers "well" while it cannot decide a request.
Source: RFC 7517 (key sets); design section 1.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.status import logic
from rimlock.features.status.routes import status_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import APIRouter

    from rimlock.feature import Context, Probe

__all__ = ["StatusFeature"]


class StatusFeature(Feature):
    """Public keys, and a health check that covers every part a decision needs."""

    name = "status"

    def routes(self, context: Context) -> APIRouter:
        """See Feature.routes."""
        return status_routes(context)

    def probes(self, context: Context) -> Mapping[str, Probe]:
        """See Feature.probes."""
        return {
            "database": partial(logic.database, context),
            "migrations": partial(logic.migrations, context),
            "signing_key": partial(logic.signing_key, context),
            "follower": partial(logic.follower, context),
        }
