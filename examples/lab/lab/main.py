"""The application: `uvicorn lab.main:app`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

from lab import database, settings
from lab.errors import install_error_handlers
from lab.live import LiveFeed
from lab.reports import create_reports
from lab.routers import analyses, explorer, instruments, pages, results


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
    """Open the database before the first request, so that a wrong URL is noticed at start-up."""
    await run_in_threadpool(database.current_engine)
    yield


def create_app() -> FastAPI:
    """Build the application."""
    app = FastAPI(title="Lab", version="1.4.0", lifespan=lifespan)
    app.state.feed = LiveFeed()
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins(),
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["*"],
        expose_headers=["Content-Disposition"],
    )
    install_error_handlers(app)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    app.include_router(pages.router)
    app.include_router(analyses.router, prefix="/analyses")
    # The first desktop release calls these paths and is still in use.
    app.include_router(analyses.router, prefix="/api/v1/analyses", deprecated=True)
    app.include_router(instruments.router)
    app.include_router(instruments.methods_router)
    app.include_router(explorer.router)
    app.include_router(results.router)
    app.mount("/reports", create_reports())
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")


app = create_app()
