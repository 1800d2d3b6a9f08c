"""The standalone server: an application with nothing on it but Rimlock, set by the environment.

Threat: a page of another origin that calls with the user's cookie; a server that differs from the embedded library.
Source: the Fetch standard (CORS protocol); OWASP ASVS 5.0 V3.4 (browser security headers), V13.4.5 (documentation).

It uses what every host may use and nothing else, so whatever it can do, a host can.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware

from rimlock import Rimlock, Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["create_app"]

DOCS_SWITCH = "RIMLOCK_DOCS"
PREFLIGHT_SECONDS = 600

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""On every answer, unless the route says otherwise."""

CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
TRANSPORT_POLICY = "max-age=63072000; includeSubDomains"


def create_app(environment: Mapping[str, str] | None = None) -> FastAPI:
    """Return the server as an application, by the variables of `environment` (of the process, unless given).

    Settings are those of `Rimlock.from_env`. `RIMLOCK_DOCS=1` shows `/docs` and `/openapi.json`, which are off
    otherwise. Raises ConfigurationError, with the mend in the sentence.
    """
    env = os.environ if environment is None else environment
    auth = Rimlock.from_env(env)
    docs = env.get(DOCS_SWITCH) == "1"
    app = FastAPI(
        title="Rimlock",
        docs_url="/docs" if docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
    )
    _let_origins_in(app, auth.settings)
    app.add_middleware(SecurityHeaders, headers=_headers(auth.settings, docs=docs))
    app.get("/", include_in_schema=False)(_front(auth.settings))
    auth.install(app)
    return app


class SecurityHeaders:
    """Adds headers to every answer that does not have them."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        """`headers`: by name."""
        self._app = app
        self._headers = dict(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return await self._app(scope, receive, with_headers)


def _front(settings: Settings) -> Any:
    """Say what stands here, and not which version of it."""
    shown = {"name": "Rimlock", "issuer": settings.issuer, "accounts": settings.prefix}

    async def front() -> dict[str, str]:
        return shown

    return front


def _headers(settings: Settings, *, docs: bool) -> dict[str, str]:
    """The documentation page loads scripts; without it nothing of ours may load anything."""
    headers = dict(HEADERS)
    if not docs:
        headers["Content-Security-Policy"] = CONTENT_POLICY
    if settings.issuer.startswith("https://"):
        headers["Strict-Transport-Security"] = TRANSPORT_POLICY
    return headers


def _let_origins_in(app: FastAPI, settings: Settings) -> None:
    """Answer exactly the listed origins, with credentials. Settings refuses a wildcard before this is reached."""
    if not settings.origins:
        return
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.origins),
        allow_credentials=True,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Rimlock", *settings.api_key_headers],
        expose_headers=["Retry-After", "WWW-Authenticate"],
        max_age=PREFLIGHT_SECONDS,
    )
