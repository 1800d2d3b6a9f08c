"""The application with an installation on it. What differs between servers is in the environment."""

# ruff: noqa: ARG001 - an argument is asked for its effect

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from fastapi import FastAPI
from installation import built

from apps.host import routes
from rimlock import CurrentPrincipal, CurrentUser, Rimlock

__all__ = ["fitted", "installed"]


def fitted() -> FastAPI:
    """Return the application with routes that ask who is there."""
    app = routes()

    async def principal(who: CurrentPrincipal) -> dict[str, Any]:
        return {"ok": True, "id": 1}

    async def user(who: CurrentUser) -> dict[str, Any]:
        return {"ok": True, "id": 1}

    for path in ("/principal", "/ask/principal"):
        app.get(path)(principal)
    for path in ("/user", "/ask/user"):
        app.get(path)(user)
    return app


def installed(app: FastAPI) -> FastAPI:
    """Fit an installation onto the application."""
    settings = json.loads(os.environ.get("BENCH_SETTINGS", "{}"))
    if "poll_interval" in settings:
        settings["poll_interval"] = timedelta(seconds=settings["poll_interval"])
    auth = built(os.environ["BENCH_DATABASE"], **settings)
    if os.environ.get("BENCH_NO_DATABASE"):
        _leave_out_database(auth)
    auth.install(app)
    return app


def _leave_out_database(auth: Rimlock) -> None:
    """Answer every refresh as the guarded statement would, and ask no database: the floor of the refresh route."""
    far = 4_000_000_000

    async def transition(_statement: Any, parameters: Any) -> tuple[Any, ...]:
        return ("0" * 32, parameters["generation"] + 1, 1, "password", far, 1, "body", "[]", 0)

    auth.database.transition = transition  # type: ignore[method-assign]


app = installed(fitted())
