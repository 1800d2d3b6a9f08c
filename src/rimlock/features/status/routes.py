"""`/jwks.json`, `/health` and `/health/live`: for other services, load balancers and operators.

Threat: a symmetric key that is published; a check that fails because of what it would report.
Source: RFC 7517 section 5; RFC 9110 section 13.1.2 (If-None-Match).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rimlock.features.status import logic
from rimlock.web.mounting import own_router

if TYPE_CHECKING:
    from rimlock.feature import Context

__all__ = ["status_routes"]

CACHED = {"Cache-Control": "public, max-age=300", "Cross-Origin-Resource-Policy": "cross-origin"}
"""Five minutes: shorter than the lead a new key is published with before it signs."""


def status_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["status"])
    router.include_router(_health_routes(context))

    # Not a route of the other class: that one keeps answers out of caches, and this one belongs in them.
    @router.get("/jwks.json", summary="Public keys of the access tokens", responses=_KEYS)
    async def jwks(request: Request) -> Response:
        keys = logic.key_set(context)
        headers = {**CACHED, "ETag": keys.etag, "X-Content-Type-Options": "nosniff"}
        if _known(request.headers.get("if-none-match", ""), keys.etag):
            return Response(status_code=304, headers=headers)
        return Response(keys.body, media_type="application/jwk-set+json", headers=headers)

    return router


def _health_routes(context: Context) -> APIRouter:
    router = own_router(tags=["status"])

    @router.get("/health", summary="Whether every part is well", responses=_HEALTH)
    async def health() -> Response:
        found = await logic.examined(context.probes())
        body = {"status": "ok" if found.ok else "failed", "parts": found.parts}
        return JSONResponse(body, status_code=200 if found.ok else 503)

    @router.get("/health/live", summary="Whether this process answers")
    async def live() -> dict[str, str]:
        return {"status": "ok"}

    return router


def _known(sent: str, etag: str) -> bool:
    """Say whether the caller has this very answer, by weak comparison."""
    tags = {tag.strip().removeprefix("W/") for tag in sent.split(",")}
    return etag in tags or "*" in tags


_KEYS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A JSON Web Key Set.",
        "content": {"application/jwk-set+json": {"schema": {"type": "object"}}},
    },
    304: {"description": "The caller's copy is still good."},
}
_HEALTH: dict[int | str, dict[str, Any]] = {503: {"description": "A part is not well; the body says which."}}
