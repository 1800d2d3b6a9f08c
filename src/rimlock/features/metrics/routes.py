"""`GET /metrics`: for a scraper with a key, or an administrator.

Threat: numbers that tell a stranger which accounts are attacked, and when nobody watches.
Source: OWASP ASVS 5.0 V13.4.5; OpenMetrics 1.0; Prometheus text format 0.0.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from rimlock.core.errors import PermissionMissing
from rimlock.features.metrics.logic.exposition import written
from rimlock.features.metrics.logic.measuring import may_scrape
from rimlock.web.dependencies import CurrentPrincipal
from rimlock.web.mounting import own_router

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.features.metrics.logic.exposition import Exposed

__all__ = ["metrics_routes"]


def metrics_routes(collector: Exposed) -> APIRouter:
    """Return the route."""
    router = own_router(tags=["metrics"])

    @router.get("/metrics", summary="Numbers about this process, for Prometheus", responses=_TEXT)
    async def metrics(request: Request, principal: CurrentPrincipal) -> Response:
        if not may_scrape(principal):
            raise PermissionMissing
        body, media_type = written(collector, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": media_type})

    return router


_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Text of Prometheus or OpenMetrics.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}
