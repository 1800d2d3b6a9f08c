"""Which pages may call: a wildcard with credentials, and the origins of a desktop client that were forgotten.

Threat: every site acts as its visitors; a desktop client that works on one system and not on another.
Source: https://fetch.spec.whatwg.org/#cors-protocol-and-credentials; Tauri 2 (the origins of its pages); L4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from starlette.middleware.cors import CORSMiddleware

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.checks.finding import Finding
from rimlock.settings import DESKTOP_ORIGINS
from rimlock.web.mounting import refuse_wildcard

if TYPE_CHECKING:
    from rimlock import Rimlock

__all__ = ["origins"]

DESKTOP = "tauri"
_DEEPEST = 10


def origins(auth: Rimlock, app: Any, *, desktop_seen: bool = False) -> Iterator[Finding]:
    """Look at the settings, and at the CORS middleware of `app` and of what is mounted on it (None: settings only).

    `desktop_seen`: usage shows a desktop client.
    """
    applications = list(_applications(app)) if app is not None else []
    yield from _wildcards(applications)
    yield _desktop(_allowed(applications), set(auth.settings.origins), app is not None, seen=desktop_seen)


def _applications(app: Any, deep: int = 0) -> Iterator[Any]:
    yield app
    for route in getattr(app, "routes", ()) if deep < _DEEPEST else ():
        inner = getattr(route, "app", None)
        if hasattr(inner, "user_middleware"):
            yield from _applications(inner, deep + 1)


def _wildcards(applications: list[Any]) -> Iterator[Finding]:
    for one in applications:
        try:
            refuse_wildcard(one)
        except ConfigurationError as refused:
            what, _, mend = str(refused).partition("; ")
            why = "a page of anybody's reads and sends with the cookies and tokens of whoever visits it"
            yield Finding("wildcard origin", "fail", what, why=why, mend=mend)
    nulls = ["null" for one in applications for options in _cors(one) if "null" in options.get("allow_origins", ())]
    if nulls:
        why = "any sandboxed frame and any file has the origin null"
        yield Finding(
            "null origin", "warn", "CORS allows the origin null", why=why, mend="take it out of allow_origins"
        )


def _cors(app: Any) -> Iterator[dict[str, Any]]:
    for middleware in getattr(app, "user_middleware", ()):
        if middleware.cls is CORSMiddleware:
            yield dict(getattr(middleware, "kwargs", {}))


def _allowed(applications: list[Any]) -> set[str] | None:
    """Return the origins CORS lets in; None where there is no CORS, or an expression that may mean any."""
    options = [one for app in applications for one in _cors(app)]
    if not options or any(one.get("allow_origin_regex") or "*" in one.get("allow_origins", ()) for one in options):
        return None
    return {origin for one in options for origin in one.get("allow_origins", ())}


def _desktop(cors: set[str] | None, cookies: set[str], looked: bool, *, seen: bool) -> Finding:  # noqa: FBT001 - a fact
    desktop = set(DESKTOP_ORIGINS)
    # A desktop client needs no cookie: only origins that were begun to be listed there are held to be complete.
    places = {"CORS": cors, "RIMLOCK_ORIGINS": cookies if cookies & desktop else None}
    evident = seen or any(place & desktop for place in places.values() if place)
    missing = {
        where: [origin for origin in DESKTOP_ORIGINS if origin not in place]
        for where, place in places.items()
        if place is not None
    }
    lacking = {where: found for where, found in missing.items() if found}
    if not evident or not lacking:
        complete = evident and any(place is not None for place in places.values())
        return Finding("desktop origins", "ok", "all of them" if complete else _nothing_said(looked=looked))
    return Finding(
        "desktop origins",
        "warn",
        "; ".join(f"{', '.join(found)} is not in {where}" for where, found in lacking.items()),
        why="the pages of one desktop client have another origin on each system; some of them cannot call",
        mend="add *rimlock.DESKTOP_ORIGINS to allow_origins, and the same to RIMLOCK_ORIGINS where cookies are used",
    )


def _nothing_said(*, looked: bool) -> str:
    return (
        "no list of origins and no sign of a desktop client" if looked else "not looked at: --app names the application"
    )
