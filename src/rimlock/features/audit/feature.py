"""The feature: its name and its routes.

Threat: an audit that those it tells of can read, or that tells nobody who read it.
Source: OWASP ASVS 5.0 V16.4.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Feature
from rimlock.features.audit.routes import audit_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["AuditFeature"]


class AuditFeature(Feature):
    """The audit, readable by administrators. It is written with and without this feature."""

    name = "audit"

    def routes(self, context: Context) -> APIRouter:
        """Return the route `/admin/audit`."""
        return audit_routes(context)
