"""The private shapes of FastAPI's and Starlette's routers, each behind one named function.

Threat: a new release that moves a route to where nobody looks, so that it runs without a rule.
Source: fastapi.routing and starlette.routing, FastAPI 0.115 to 0.165 with their Starlettes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import routing as fastapi_routing
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute
from starlette.applications import Starlette
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute, compile_path
from starlette.types import Scope

__all__ = [
    "Asked",
    "Leaf",
    "frontend_paths",
    "inner_router",
    "leaves",
    "named_frontend",
    "route_lists",
    "route_path",
    "would_redirect",
]

Asked = tuple[Match, Scope]
Kind = Literal["http", "socket", "mount", "host", "group", "other"]

_KEY = "fastapi"
_CONTEXT_KEY = "effective_route_context"
_FRONTEND_KEY = "frontend_path"
_INCLUDED: Any = getattr(fastapi_routing, "_IncludedRouter", ())
_STOCK_MATCHES = frozenset(kind.matches for kind in (Route, APIRoute, WebSocketRoute, APIWebSocketRoute, Mount))
_STOCK_HANDLES = frozenset((Route.handle, APIRoute.handle))


@dataclass(frozen=True, slots=True)
class Leaf:
    """One thing a router tries, in the router's order.

    `path` is the template inside that router. `pattern` is None when only `ask` may be trusted (a subclass with its own
    matching, a host name). `inside` is the router behind a mount or host name, None when what is there is opaque.
    `group` holds an included router of the host's own class. `root_path` is what a mounted FastAPI sets for itself.
    `declared` is the framework's object it was read from; for an inclusion, with the dependencies of that inclusion.
    """

    kind: Kind
    path: str
    ask: Callable[[Scope], Asked]
    endpoint: Callable[..., Any] | None = None
    methods: frozenset[str] | None = None
    pattern: re.Pattern[str] | None = None
    inside: Router | None = None
    group: Any = None
    root_path: str = ""
    stock_handle: bool = True
    declared: Any = None


def route_path(path: str, root_path: str) -> str:
    """Return the path a router matches on: without the root path where that ends at a segment, else as it came."""
    if not root_path or not path.startswith(root_path):
        return path
    rest = path[len(root_path) :]
    return rest if not rest or rest[0] == "/" else path


def leaves(router: Any) -> list[Leaf]:
    """Return what `router` tries, in order, with included routers laid flat."""
    return [leaf for route in router.routes for leaf in _of_route(route)]


def group_leaves(group: Any) -> list[Leaf]:
    """Return what an included router tries, in order, with the prefixes of its inclusion."""
    return [leaf for candidate in group.effective_candidates() for leaf in _of_candidate(candidate)]


def _of_route(route: Any) -> Iterator[Leaf]:
    if isinstance(route, _INCLUDED):
        yield from _of_candidate(route)
    else:
        yield _leaf(route)


def _of_candidate(candidate: Any) -> Iterator[Leaf]:
    if not isinstance(candidate, _INCLUDED):
        yield _leaf(candidate.starlette_route) if candidate.starlette_route is not None else _context_leaf(candidate)
    elif _is_stock_group(candidate):
        yield from group_leaves(candidate)
    else:
        yield Leaf("group", candidate.include_context.prefix, _asking(candidate.matches), group=candidate)


def _is_stock_group(group: Any) -> bool:
    kind = type(group.original_router)
    own = vars(group.original_router)
    untouched = "matches" not in own and "handle" not in own
    return bool(untouched and kind.matches is APIRouter.matches and kind.handle is APIRouter.handle)  # type: ignore[attr-defined, unused-ignore]


def _asking(matches: Callable[[Scope], Asked]) -> Callable[[Scope], Asked]:
    """Ask on a copy: an included router writes into the scope while it looks."""

    def ask(scope: Scope) -> Asked:
        return matches({**scope, _KEY: dict(scope.get(_KEY, {}))})

    return ask


def _asking_context(context: Any) -> Callable[[Scope], Asked]:
    def ask(scope: Scope) -> Asked:
        inherited = {**scope.get(_KEY, {}), _CONTEXT_KEY: context}
        answer: Asked = context.original_route.matches({**scope, _KEY: inherited})
        return answer

    return ask


def _context_leaf(context: Any) -> Leaf:
    """Describe an API route as one inclusion of its router makes it."""
    original = context.original_route
    return Leaf(
        "http",
        context.path,
        _asking_context(context),
        endpoint=context.endpoint,
        methods=frozenset(context.methods) if context.methods else None,
        pattern=_trusted(original, context.path, context.path_regex),
        stock_handle=type(original).handle in _STOCK_HANDLES,
        declared=context,
    )


def _leaf(route: Any) -> Leaf:
    if isinstance(route, Mount):
        return _mount_leaf(route)
    if isinstance(route, Host):
        return Leaf("host", route.host_format, route.matches, route.app, inside=inner_router(route.app))
    if isinstance(route, Route | WebSocketRoute):
        return _endpoint_leaf(route)
    path = getattr(route, "path", None) or f"<{type(route).__qualname__}>"
    return Leaf("other", path, _asking(route.matches), getattr(route, "endpoint", None), stock_handle=False)


def _endpoint_leaf(route: Route | WebSocketRoute) -> Leaf:
    socket = isinstance(route, WebSocketRoute)
    methods = getattr(route, "methods", None)
    return Leaf(
        "socket" if socket else "http",
        route.path,
        _asking(route.matches),
        endpoint=route.endpoint,
        methods=frozenset(methods) if methods else None,
        pattern=_trusted(route, route.path, route.path_regex),
        stock_handle=socket or type(route).handle in _STOCK_HANDLES,
        declared=route,
    )


def _mount_leaf(mount: Mount) -> Leaf:
    app = getattr(mount, "_base_app", mount.app)
    return Leaf(
        "mount",
        mount.path,
        _asking(mount.matches),
        endpoint=app,
        pattern=_trusted(mount, mount.path + "/{path:path}", mount.path_regex),
        inside=inner_router(app),
        root_path=getattr(app, "root_path", "") if isinstance(app, Starlette) else "",
    )


def _trusted(route: Any, path: str, pattern: re.Pattern[str]) -> re.Pattern[str] | None:
    """Return the pattern when matching it is all that the route's own `matches` does, else None."""
    stock = type(route).matches in _STOCK_MATCHES and "matches" not in vars(route)
    return pattern if stock and pattern.pattern == compile_path(path)[0].pattern else None


def inner_router(app: Any) -> Router | None:
    """Return the router of an application or router, None when the app is something else."""
    if isinstance(app, Starlette):
        return app.router
    return app if isinstance(app, Router) else None


def would_redirect(router: Any, scope: Scope, rest: str) -> bool:
    """Whether the router would answer 307 to the same path with or without a slash at its end."""
    if scope["type"] != "http" or not router.redirect_slashes or rest == "/":
        return False
    path = scope["path"].rstrip("/") if rest.endswith("/") else scope["path"] + "/"
    turned = {**scope, "path": path, _KEY: dict(scope.get(_KEY, {}))}
    return any(route.matches(turned)[0] is not Match.NONE for route in router.routes)


def frontend_paths(router: Any) -> Iterator[str]:
    """Yield the paths under which the router serves frontend files after everything else."""
    if getattr(router, "_iter_low_priority_routes", None) is None:
        return
    for candidate in router._iter_low_priority_routes():  # noqa: SLF001 - no public way to them (0.138 to 0.165)
        prefix = getattr(candidate, "frontend_prefix", "")
        for route in getattr(candidate, "original_route", candidate).routes:
            yield (prefix + route.path).rstrip("/") or "/"


def named_frontend(router: Any, scope: Scope, rest: str) -> str | None:
    """Return which of `frontend_paths` would answer, the most specific one as the router has it."""
    copied = {**scope, _KEY: dict(scope.get(_KEY, {}))}
    match, child, _, _ = router._match_low_priority(copied)  # noqa: SLF001 - the router's own choice
    if match is not Match.FULL:
        return None
    file = child[_KEY][_FRONTEND_KEY]
    return rest[: len(rest) - len(file)].rstrip("/") or "/"


def route_lists(router: Any) -> Iterator[list[Any]]:
    """Yield every list that decides what `router` tries, included routers too, mounted ones not."""
    yield router.routes
    yield from _frontend_lists(router)
    for route in router.routes:
        if isinstance(route, _INCLUDED):
            yield from route_lists(route.original_router)


def _frontend_lists(router: Any) -> Iterator[list[Any]]:
    low: Sequence[Any] = getattr(router, "_low_priority_routes", None) or ()
    if isinstance(low, list):
        yield low
    yield from (group.routes for group in low if hasattr(group, "routes"))
