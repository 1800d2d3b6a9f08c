"""The plug of sessions: their routes, and the grant that renews one at the token endpoint.

Threat: a second way to refresh that checks less than the first.
Source: RFC 6749 section 6 (refreshing an access token).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.sessions.routes import refresh_grant, session_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import APIRouter

    from rimlock.feature import Context, GrantHandler

__all__ = ["SessionsFeature"]


class SessionsFeature(Feature):
    """Refresh, sign out here or everywhere, list and end one's own sessions."""

    name = "sessions"

    def routes(self, context: Context) -> APIRouter:
        """See Feature.routes."""
        return session_routes(context)

    def grants(self, context: Context) -> Mapping[str, GrantHandler]:
        """See Feature.grants."""
        return {"refresh_token": refresh_grant(context)}
