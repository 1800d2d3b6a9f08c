"""Puts the application together: its own routes, and accounts by the LAUNCH contract in front of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from launch import billing, insights
from rimlock import Rimlock, Settings
from rimlock.features.profile import ProfileFeature
from rimlock.profiles.fastlaunch import FastLaunch
from rimlock.settings import from_environment


class Profile(BaseModel):
    """What people say about themselves here, beside name and picture."""

    bio: str = ""
    niche_preference: str = ""


def create_app(settings: Settings | None = None, profile: FastLaunch | None = None, **parts: Any) -> FastAPI:
    """Return the application. Its front end speaks to `/auth`; Rimlock's own routes stand under `/account`."""
    app = FastAPI(title="Launch")
    auth = Rimlock(
        settings or from_environment(prefix="/account", require_verified=True),
        profiles=[profile or FastLaunch()],
        also=[ProfileFeature(Profile)],
        **parts,
    )
    app.include_router(billing.router)
    app.include_router(insights.router)
    auth.install(app)
    app.state.auth = auth

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app
