"""The dashboard's page, and a sign of life for whoever watches the process."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

STATIC = Path(__file__).parents[1] / "static"

router = APIRouter()


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def dashboard() -> FileResponse:
    """Serve the dashboard."""
    return FileResponse(STATIC / "index.html")


@router.get("/health", tags=["operations"])
async def health() -> dict[str, str]:
    """Say that the process answers."""
    return {"status": "ok"}
