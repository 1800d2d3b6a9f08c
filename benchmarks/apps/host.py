"""The application under test, as it was."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

__all__ = ["routes"]


def routes() -> FastAPI:
    """Return the application with the one trivial route that is measured again and again."""
    app = FastAPI()

    @app.get("/open")
    async def answer() -> dict[str, Any]:
        return {"ok": True, "id": 1}

    @app.get("/gated")
    async def gated() -> dict[str, Any]:
        return {"ok": True, "id": 1}

    return app
