"""The plug of the password feature: its routes, and the password grant of the token endpoint.

Threat: a grant that skips what the route checks.
Source: RFC 6749 section 4.3 (for first-party clients alone; RFC 9700 section 2.4 rules it out for others).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.password.routes import password_grant, password_routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import APIRouter

    from rimlock.feature import Context, GrantHandler

__all__ = ["PasswordFeature"]


class PasswordFeature(Feature):
    """Accounts with passwords."""

    name = "password"

    def routes(self, context: Context) -> APIRouter:
        """Return registration, sign-in, the changes, and the first administrator's page."""
        return password_routes(context)

    def grants(self, context: Context) -> Mapping[str, GrantHandler]:
        """Return the handler of `grant_type=password`."""
        return {"password": password_grant(context)}
