"""The route we name is the route that answers, on any tree of routes and for any request, by index and by walk."""

from __future__ import annotations

import asyncio
import re

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, WebSocketRoute

from gate.probe import scope_of, talk
from rimlock.web.routing import RouteTable

pytestmark = pytest.mark.req("L6")

SEGMENTS = st.sampled_from(
    ["a", "b", "ab", "{p}", "{n:int}", "{f:float}", "{u:uuid}", "x{p}", "{p}.txt", "{r:path}", "A", ""]
)
PLAIN = st.sampled_from(["a", "b", "ab", "c"])
METHODS = st.sets(st.sampled_from(["GET", "POST", "DELETE", "OPTIONS", "HEAD"]), min_size=1, max_size=3)
PATH_PARTS = st.sampled_from(["a", "b", "ab", "c", "7", "7.5", "xa", "q.txt", "A", "", "..", "a\n", "%61", "é", "a;b"])
UUID = "8f14e45f-ceea-467f-a0e6-6b5f5c2a1a11"


def unique_names(segments):
    """Give each parameter of a template its own name, as the routers ask."""
    return [segment.replace("{", "{" + f"s{place}") for place, segment in enumerate(segments)]


TEMPLATES = st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(unique_names(parts)))
PREFIXES = st.lists(PLAIN, min_size=1, max_size=2).map(lambda parts: "/" + "/".join(parts))
LEAVES = st.one_of(
    st.tuples(st.just("api"), TEMPLATES, METHODS),
    st.tuples(st.just("plain"), TEMPLATES, METHODS),
    st.tuples(st.just("any"), TEMPLATES),
    st.tuples(st.just("api socket"), TEMPLATES),
    st.tuples(st.just("plain socket"), TEMPLATES),
    st.tuples(st.just("opaque"), PREFIXES),
)
MOUNT_PREFIXES = PREFIXES | st.sampled_from(["", "/{tenant}", "/a/{tenant}", "/{tenant:int}/b"])
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("include"), PREFIXES, st.lists(inner, min_size=1, max_size=4), st.booleans()),
        st.tuples(st.just("mount"), MOUNT_PREFIXES, st.lists(inner, max_size=4), st.booleans()),
        st.tuples(st.just("host"), st.sampled_from(["one.example", "{name}.example"]), st.lists(inner, max_size=3)),
    ),
    max_leaves=12,
)
FREE_PATHS = st.lists(PATH_PARTS | st.just(UUID), max_size=5).map(lambda parts: "/" + "/".join(parts))
FILLINGS = {
    "int": ["7", "0", "x"],
    "float": ["7.5", "7", "x"],
    "uuid": [UUID, "x"],
    "path": ["", "a", "a/b", "a\nb", "b\n", "//"],
    "str": ["a", "b", "7", "q.txt", "a\n", ""],
}
TAILS = st.sampled_from(["", "", "", "\n", "\n", "/", "\n\n", "x", "/a"])
TYPES = st.sampled_from(["http", "http", "http", "websocket"])
VERBS = st.sampled_from(["GET", "GET", "POST", "DELETE", "OPTIONS", "HEAD", "PUT"])
HOSTS = st.sampled_from(["testserver", "testserver", "one.example", "two.example"])
ROOTS = st.sampled_from(["", "", "", "/root", "/a"])
PARAMETER = re.compile(r"\{[^}:]*:?([a-z]*)\}")


@st.composite
def scopes(draw, targets):
    """Draw a request, mostly one for a route that the tree has, often spelled with malice."""
    kind, method, path = draw(TYPES), draw(VERBS), draw(FREE_PATHS)
    if targets and draw(st.integers(0, 5)):
        target = draw(st.sampled_from(targets))
        path = filled(draw, target.path) + draw(TAILS)
        if draw(st.integers(0, 3)):
            kind = "websocket" if target.method == "WS" else "http"
            method = target.method if target.method in {"GET", "POST", "DELETE", "OPTIONS"} else method
    root_path = draw(ROOTS)
    whole = root_path + path if draw(st.integers(0, 3)) else path
    host = draw(HOSTS)
    return scope_of(kind, whole, method, headers=[(b"host", host.encode())], root_path=root_path)


def filled(draw, template):
    """Put values that often fit in the place of the parameters."""
    without_host = re.sub(r"//[^/]*\.example", "", template)
    return PARAMETER.sub(lambda found: draw(st.sampled_from(FILLINGS[found[1] or "str"])), without_host)


class World:
    """An application made from a drawn tree, in which every endpoint notes that it ran."""

    def __init__(self, nodes):
        self.ran = []
        self.app = FastAPI(openapi_url=None)
        for node in nodes:
            self.grow(self.app.router, node)

    def grow(self, router, node):
        kind, *rest = node
        getattr(self, kind.replace(" ", "_"))(router, *rest)

    def api(self, router, path, methods):
        async def endpoint():
            self.ran.append(endpoint)

        add = getattr(router, "add_api_route", None)
        if add is None:
            self.plain(router, path, methods)
        else:
            add(path, endpoint, methods=sorted(methods))

    def plain(self, router, path, methods):
        async def endpoint(request):
            self.ran.append(endpoint)
            return PlainTextResponse("x")

        router.routes.append(Route(path, endpoint, methods=sorted(methods)))

    def any(self, router, path):
        async def answer(scope, receive, send):
            self.ran.append(endpoint)
            await PlainTextResponse("x")(scope, receive, send)

        endpoint = AsCallable(answer)
        router.routes.append(Route(path, endpoint))

    def plain_socket(self, router, path):
        async def endpoint(websocket: WebSocket):
            self.ran.append(endpoint)
            await websocket.close()

        router.routes.append(WebSocketRoute(path, endpoint))

    def api_socket(self, router, path):
        async def endpoint(websocket: WebSocket):
            self.ran.append(endpoint)
            await websocket.close()

        if hasattr(router, "add_api_websocket_route"):
            router.add_api_websocket_route(path, endpoint)
        else:
            self.plain_socket(router, path)

    def opaque(self, router, path):
        async def endpoint(scope, receive, send):
            self.ran.append(endpoint)
            answer = PlainTextResponse("x") if scope["type"] == "http" else close
            await answer(scope, receive, send)

        router.routes.append(Mount(path, app=endpoint))

    def include(self, router, prefix, nodes, twice):
        if not isinstance(router, APIRouter):
            return
        inner = APIRouter()
        for node in nodes:
            self.grow(inner, node)
        router.include_router(inner, prefix=prefix)
        if twice:
            router.include_router(inner, prefix="/c" + prefix)

    def mount(self, router, prefix, nodes, whole):
        inner = FastAPI(openapi_url=None) if whole else Starlette()
        for node in nodes:
            self.grow(inner.router, node)
        router.routes.append(Mount(prefix, app=inner))

    def host(self, router, name, nodes):
        inner = FastAPI(openapi_url=None)
        for node in nodes:
            self.grow(inner.router, node)
        router.routes.append(Host(name, app=inner))


class AsCallable:
    """An endpoint that is neither function nor method: it takes every method."""

    def __init__(self, call):
        self.call = call

    async def __call__(self, scope, receive, send):
        await self.call(scope, receive, send)


async def close(scope, receive, send):
    """Refuse a websocket."""
    await send({"type": "websocket.close", "code": 1000})


def really_ran(world, scope):
    """Run the router itself and return the endpoint that noted its run."""
    world.ran.clear()
    incoming = [{"type": "http.request", "body": b""} if scope["type"] == "http" else {"type": "websocket.connect"}]
    asyncio.run(talk(world.app, dict(scope), incoming))
    return world.ran[0] if world.ran else None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(nodes=st.lists(NODES, min_size=1, max_size=6), data=st.data())
def test_the_route_we_name_is_the_route_that_answers(nodes, data):
    """Endpoint by endpoint against the router itself, and the index against the slow walk."""
    world = World(nodes)
    table = RouteTable(world.app)
    targets = list(table.targets())
    keys = {target.key for target in targets}
    for scope in data.draw(st.lists(scopes(targets), min_size=4, max_size=12)):
        before = dict(scope)
        named = table.resolve(scope)
        assert scope == before, "the scope is read, never written"
        assert named == table.resolve_slowly(scope)
        assert named is None or named.key in keys
        assert (named.endpoint if named is not None else None) is really_ran(world, scope)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(early=st.lists(NODES, max_size=3), late=st.lists(NODES, min_size=1, max_size=3), data=st.data())
def test_what_comes_late_is_noticed_at_once(early, late, data):
    """Routes put at any place of the list after the table was read are named as the router runs them."""
    world = World(early)
    table = RouteTable(world.app)
    routes = world.app.router.routes
    for node in late:
        known = len(routes)
        world.grow(world.app.router, node)
        if len(routes) > known:
            routes.insert(data.draw(st.integers(0, known)), routes.pop())
        scope = data.draw(scopes(list(table.targets())))
        named = table.resolve(scope)
        assert (named.endpoint if named is not None else None) is really_ran(world, scope)
