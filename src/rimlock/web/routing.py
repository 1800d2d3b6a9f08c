"""Which route a request is for, as the router itself would decide it.

Threat: a rule looked up by a path that someone wrote, while the router runs another route (CVE-2026-48710; doubled
slashes, encodings, trailing newlines). A route nobody noticed must fall to the default rule, never to an open one.
Source: starlette.routing, fastapi.routing; what is private there is read in `routing_shapes` alone.

What is noticed, and when: on every request, any change to any list of routes in the tree (added, removed, moved or
exchanged routes and mounts, late inclusions, frontends, routes inside included routers and mounted applications);
within half a second, an inner list or mounted application exchanged for another, and a pattern changed in place.
Middleware inside a mounted application that rewrites paths is not seen: what it was mounted under is what is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

import fastapi
import starlette
from starlette.routing import Router
from starlette.types import Scope

from rimlock.core.errors import ConfigurationError
from rimlock.web.routing_index import Index
from rimlock.web.routing_shapes import inner_router
from rimlock.web.routing_tree import SOCKET, Branch, Target, walk

__all__ = ["RouteTable", "Target", "versions"]

_NOTHING: dict[str, Target] = {}

_LOOK_CLOSELY = 0.5
"""Seconds between two readings of what the cheap comparison cannot see."""


class RouteTable:
    """The effective routes of an application, looked up per request, rebuilt when the routes change."""

    __slots__ = ("_branch", "_clock", "_due", "_exact", "_index", "_list", "_lists", "_router", "_signature", "_taken")

    def __init__(self, app: Any, clock: Callable[[], float] = monotonic) -> None:
        """Read the routes of an application or router; raise `ConfigurationError` on another thing.

        `clock` counts seconds and never runs backwards.
        """
        router = inner_router(app)
        if router is None:
            raise ConfigurationError(f"{type(app).__qualname__} is neither a Starlette application nor a router.")
        self._router: Router = router
        self._clock = clock
        try:
            self._adopt(Branch(router))
        except AttributeError as unknown_shape:
            message = f"The routes of {versions()} have a shape this release does not know."
            raise ConfigurationError(message) from unknown_shape

    def resolve(self, scope: Scope) -> Target | None:
        """Return what the router would run for `scope`; None for what it answers 404, 405 or a redirect.

        The scope is read, never written. Query, Host header and URL play no part, except for routes by host name.
        """
        if self._lists != self._taken or self._router.routes is not self._list or self._clock() > self._due:
            self._look_again()
        path = scope["path"]
        method = SOCKET if scope["type"] == "websocket" else scope["method"]
        # The common case, without another call: a path that is a template itself, below no root path.
        known = None if scope.get("root_path") else self._exact.get((scope["type"], method), _NOTHING).get(path)
        if known is not None:
            return known
        if path[:1] != "/" or "\n" in path or (method == SOCKET and scope["type"] == "http"):
            return walk(self._branch, scope)
        return self._index.find(method, path, scope.get("root_path", ""), scope)

    def resolve_slowly(self, scope: Scope) -> Target | None:
        """Return the same by asking route after route: the reference that `resolve` is tested against."""
        return walk(Branch(self._router), scope)

    def targets(self) -> Iterator[Target]:
        """Yield all routes in match order, each inclusion and each method apart."""
        return Branch(self._router).all_targets()

    def declared(self) -> Iterator[tuple[Target, Any]]:
        """Yield the same, each with the framework's object it was read from (None where there is none)."""
        return Branch(self._router).all_declared()

    def _look_again(self) -> None:
        branch = Branch(self._router)
        changed = self._lists != self._taken or list(branch.signature()) != self._signature
        if changed or list(map(id, branch.all_lists())) != list(map(id, self._lists)):
            self._adopt(branch)
        self._list = self._router.routes
        self._due = self._clock() + _LOOK_CLOSELY

    def _adopt(self, branch: Branch) -> None:
        """Take a tree as the current one. The lists are copied first: a change meanwhile is seen as a difference."""
        lists = list(branch.all_lists())
        self._taken = [list(routes) for routes in lists]
        self._lists = lists
        self._branch = branch
        self._index = Index(branch)
        self._exact = {_kind(method): paths for method, paths in self._index.exact.items()}
        self._signature = list(branch.signature())
        self._list = self._router.routes
        self._due = self._clock() + _LOOK_CLOSELY


def _kind(method: str) -> tuple[str, str]:
    """Return type of connection and method: a method of HTTP by the name that stands for sockets is none of ours."""
    return ("websocket" if method == SOCKET else "http"), method


def versions() -> str:
    """Return the framework's versions, for messages."""
    return f"FastAPI {fastapi.__version__} with Starlette {starlette.__version__}"
