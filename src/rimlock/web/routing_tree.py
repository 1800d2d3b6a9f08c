"""The routes of an application as a tree with full templates, and the slow, certain way to walk it.

Threat: a request that is judged by one route's rule and answered by another route.
Source: starlette.routing.Router.app (first full match, else first partial one, else a redirect, else frontend files).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.routing import Match
from starlette.types import Scope

from rimlock.web.routing_shapes import (
    Leaf,
    frontend_paths,
    group_leaves,
    inner_router,
    leaves,
    named_frontend,
    route_lists,
    route_path,
    would_redirect,
)

__all__ = ["SOCKET", "Branch", "Entry", "Target", "follow", "last_resort", "partially", "tree_of", "walk"]

SOCKET = " "
"""The key for websockets where HTTP has a method: no HTTP method can be a blank."""


@dataclass(frozen=True, slots=True)
class Target:
    """One effective route.

    `method`: an HTTP method (HEAD counts as GET), "ANY" (a route that takes every method), "WS", "MOUNT" (an opaque
    application under a prefix) or "FRONTEND". `path`: the full template as declared, prefixes and mounts included, such
    as "/api/v1/spool/{id:int}"; behind a host name it begins with "//name". `endpoint`: what runs, where it is known.
    """

    method: str
    path: str
    endpoint: Callable[..., Any] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What a rule is found by."""
        return (self.method, self.path)


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf with its targets: `verbs` by method, `whole` for all methods, `child` for what lies behind it."""

    leaf: Leaf
    verbs: dict[str, Target] | None = None
    whole: Target | None = None
    child: Branch | None = None

    def all_targets(self) -> Iterator[Target]:
        """Yield what may be named through this entry."""
        yield from dict.fromkeys((self.verbs or {}).values())
        if self.whole is not None:
            yield self.whole
        if self.child is not None:
            yield from self.child.all_targets()

    def all_declared(self) -> Iterator[tuple[Target, Any]]:
        """Yield the same, each with the framework's object it was read from (None where there is none)."""
        yield from ((target, self.leaf.declared) for target in dict.fromkeys((self.verbs or {}).values()))
        if self.whole is not None:
            yield self.whole, self.leaf.declared
        if self.child is not None:
            yield from self.child.all_declared()

    def named(self, method: str) -> Target | None:
        """Return the target for `method`, when this entry is an end and takes it."""
        return self.whole if self.verbs is None else self.verbs.get(method)


class Branch:
    """One router: its entries in match order, its frontend paths, and the prefix under which it is reached."""

    __slots__ = ("entries", "frontends", "prefix", "router")

    def __init__(
        self, router: Any, prefix: str = "", *, above: tuple[int, ...] = (), only: list[Leaf] | None = None
    ) -> None:
        """`above` names the routers on the way here, so that an app mounted on itself ends as opaque."""
        self.router = router if only is None else None
        self.prefix = prefix
        found = leaves(router) if only is None else only
        self.entries = [_entry(leaf, prefix, (*above, id(router))) for leaf in found]
        self.frontends = {} if only is not None else _frontends(router, prefix)

    def all_targets(self) -> Iterator[Target]:
        """Yield every target of this router and those behind it, in match order."""
        for entry in self.entries:
            yield from entry.all_targets()
        yield from self.frontends.values()

    def all_declared(self) -> Iterator[tuple[Target, Any]]:
        """Yield the same, each with the framework's object it was read from (None where there is none)."""
        for entry in self.entries:
            yield from entry.all_declared()
        yield from ((target, None) for target in self.frontends.values())

    def all_lists(self) -> Iterator[list[Any]]:
        """Yield every list whose change changes the answers of this router or of those behind it."""
        if self.router is not None:
            yield from route_lists(self.router)
        for entry in self.entries:
            if entry.child is not None:
                yield from entry.child.all_lists()

    def signature(self) -> Iterator[object]:
        """Yield, by identity, all that the answers depend on; compared now and then with a fresh reading."""
        for entry in self.entries:
            leaf = entry.leaf
            yield (leaf.kind, leaf.path, leaf.methods, leaf.pattern, id(leaf.endpoint), id(leaf.inside), leaf.root_path)
            if entry.child is not None:
                yield from entry.child.signature()
        yield from self.frontends


def _judged(method: str) -> str:
    """Return the method whose rule counts: HEAD is judged as GET."""
    return "GET" if method == "HEAD" else method


def _frontends(router: Any, prefix: str) -> dict[str, Target]:
    return {path: Target("FRONTEND", prefix + path) for path in frontend_paths(router)}


def _entry(leaf: Leaf, prefix: str, above: tuple[int, ...]) -> Entry:
    full = prefix + leaf.path
    if leaf.kind == "http":
        return _http_entry(leaf, full)
    if leaf.kind == "socket":
        return Entry(leaf, verbs={SOCKET: Target("WS", full, leaf.endpoint)})
    if leaf.kind == "other":
        return Entry(leaf, whole=Target("ANY", full, leaf.endpoint))
    if leaf.kind == "group":
        inner = Branch(leaf.group, prefix, above=above, only=group_leaves(leaf.group))
        return Entry(leaf, whole=Target("MOUNT", full or "/"), child=inner)
    return _outer_entry(leaf, prefix, above)


def _http_entry(leaf: Leaf, full: str) -> Entry:
    if leaf.methods is None:
        return Entry(leaf, whole=Target("ANY", full, leaf.endpoint))
    return Entry(leaf, verbs={m: Target(_judged(m), full, leaf.endpoint) for m in sorted(leaf.methods)})


def _outer_entry(leaf: Leaf, prefix: str, above: tuple[int, ...]) -> Entry:
    """Make the entry of a mount or of a host name."""
    full = f"{prefix}//{leaf.path}" if leaf.kind == "host" else prefix + leaf.path
    if leaf.inside is None or id(leaf.inside) in above:
        return Entry(leaf, whole=Target("MOUNT", full or "/", leaf.endpoint))
    return Entry(leaf, child=Branch(leaf.inside, full, above=above))


def walk(branch: Branch, scope: Scope) -> Target | None:
    """Return what the router would run for `scope`, asking its own routes one after the other."""
    partial: Entry | None = None
    for entry in branch.entries:
        match, child = entry.leaf.ask(scope)
        if match is Match.FULL:
            return follow(entry, scope, child)
        if match is Match.PARTIAL and partial is None:
            partial = entry
    return last_resort(branch, scope) if partial is None else partially(partial, scope)


def follow(entry: Entry, scope: Scope, child_scope: Scope) -> Target | None:
    """Return what lies behind an entry that matched fully."""
    if entry.child is None:
        return entry.named(SOCKET if scope["type"] == "websocket" else scope["method"]) or entry.whole
    inner = {**scope, **child_scope}
    if entry.leaf.kind == "group":
        # A class of the host's own decides here: what it hides from us still has a name.
        return walk(entry.child, inner) or entry.whole
    if entry.leaf.root_path:
        inner["root_path"] = entry.leaf.root_path
    return walk(entry.child, inner)


def partially(entry: Entry, scope: Scope) -> Target | None:
    """Return None where the framework answers 405 by itself, a target where a class of the host's own decides."""
    if entry.leaf.stock_handle and entry.leaf.kind != "group":
        return None
    if entry.whole is not None:
        return entry.whole
    return Target(_judged(scope.get("method", "WS")), _full_path(entry), entry.leaf.endpoint)


def _full_path(entry: Entry) -> str:
    return next(entry.all_targets()).path


def last_resort(branch: Branch, scope: Scope) -> Target | None:
    """Return the frontend that answers when no route did, None for a redirect or nothing at all."""
    if not branch.frontends:
        return None
    rest = route_path(scope["path"], scope.get("root_path", ""))
    if would_redirect(branch.router, scope, rest):
        return None
    path = named_frontend(branch.router, scope, rest)
    return None if path is None else branch.frontends.get(path, Target("FRONTEND", branch.prefix + path))


def tree_of(app: Any) -> Branch:
    """Read the whole tree of an application or router."""
    return Branch(inner_router(app) or app)
