"""Our own routes under a prefix of the host, without a place in the host's list of routes.

Threat: a route of ours that silently takes the place of one of the host's.
Source: starlette.routing.Mount (what a mount hands on); measured, routes before a host's own cost each request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from starlette.types import ASGIApp, Scope

from rimlock.core.errors import ConfigurationError
from rimlock.web.routing import RouteTable, Target
from rimlock.web.routing_shapes import inner_router, route_path

__all__ = ["OwnRoutes"]

_PARAMETER = re.compile(r"\{[^}]*\}")


class OwnRoutes:
    """Decides which requests under the prefix are for our application, and how it sees them."""

    __slots__ = ("_host", "_known", "_prefix", "_routes", "app")

    def __init__(
        self,
        app: ASGIApp,
        prefix: str,
        known: Callable[[str], bool] | None,
        host: RouteTable,
        others: Sequence[OwnRoutes] = (),
    ) -> None:
        """Raise `ConfigurationError` when a route of the host's is also one of ours.

        An empty prefix is for a profile, whose paths are whole. `others`: of ours, none of which may be the same.
        """
        self.app = app
        self._prefix = prefix
        self._host = host
        self._routes = RouteTable(app) if inner_router(app) is not None else None
        if known is None and self._routes is None:
            raise ConfigurationError("own_paths is needed: the routes of this application cannot be read.")
        self._known = known or _by_template(self._routes)
        self._refuse_clashes()
        for other in others:
            self._refuse_same(other)

    @property
    def prefix(self) -> str:
        """The path below which they stand."""
        return self._prefix

    @property
    def table(self) -> RouteTable | None:
        """The routes, without the prefix; None where they cannot be read."""
        return self._routes

    def claim(self, scope: Scope) -> Scope | None:
        """Return the scope our application gets, None when the request is the host's."""
        path: str = scope["path"]
        root_path: str = scope.get("root_path", "")
        below = route_path(path, root_path) if root_path else path
        if not below.startswith(self._prefix):
            return None
        rest = below[len(self._prefix) :]
        if rest[:1] != "/" or not self._known(rest):
            return None
        inner = {
            **scope,
            # A proxy may have cut the root path off; ASGI has it in the path, and mounted applications rely on it.
            "path": root_path + below,
            "app_root_path": root_path + self._prefix,  # our own router makes our own addresses
            "root_path": root_path + self._prefix,
            "endpoint": self.app,
        }
        # A path of ours with a method that is not: the host's, if the host has it, else our 405.
        ours = self._routes is None or self._routes.resolve(inner) is not None
        return inner if ours or self._host.resolve(scope) is None else None

    def _refuse_clashes(self) -> None:
        ours = [] if self._routes is None else list(self._routes.targets())
        for theirs in self._host.targets():
            for own in ours:
                if _clash(own, self._prefix + own.path, theirs):
                    raise ConfigurationError(
                        f"{theirs.method} {theirs.path} is a route of this application and of Rimlock. "
                        "Give Rimlock another prefix."
                    )

    def _refuse_same(self, other: OwnRoutes) -> None:
        for first in [] if other.table is None else other.table.targets():
            for own in [] if self._routes is None else self._routes.targets():
                if _clash(own, self._prefix + own.path, replace(first, path=other.prefix + first.path)):
                    raise ConfigurationError(
                        f"{own.method} {self._prefix}{own.path} would be answered in two ways. Give Rimlock another "
                        "prefix, or leave its own routes out with native=False."
                    )


def _clash(own: Target, own_path: str, theirs: Target) -> bool:
    if theirs.method == "MOUNT":
        return theirs.path != "/" and (own_path + "/").startswith(theirs.path + "/")
    same_method = own.method == theirs.method or (theirs.method == "ANY" and own.method != "WS")
    return same_method and _shape(own_path) == _shape(theirs.path)


def _shape(path: str) -> str:
    return _PARAMETER.sub("{}", path)


def _by_template(routes: RouteTable | None) -> Callable[[str], bool]:
    """Return a test for whether any route, of any method, has this path."""
    templates = [] if routes is None else [target.path for target in routes.targets()]
    exact = frozenset(path for path in templates if "{" not in path)
    patterns = [_loosely(path) for path in dict.fromkeys(templates) if "{" in path]

    def known(path: str) -> bool:
        return path in exact or any(pattern.fullmatch(path) for pattern in patterns)

    return known


def _loosely(template: str) -> re.Pattern[str]:
    """Return a pattern that matches at least what the template does, a segment to a parameter."""
    ends = _PARAMETER.split(template)
    wide = ".+" if ":path}" in template else "[^/]+"
    return re.compile(wide.join(re.escape(end) for end in ends))
