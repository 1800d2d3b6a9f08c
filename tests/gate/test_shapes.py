"""The private shapes the gate reads, held to what the installed release has."""

from __future__ import annotations

import fastapi.routing
import pytest
from fastapi import APIRouter, FastAPI
from starlette.routing import Router

from gate.probe import scope_of
from rimlock.core.errors import ConfigurationError
from rimlock.web.routing import RouteTable
from rimlock.web.routing_shapes import leaves


def test_the_attributes_the_gate_stands_on_exist():
    """The stack around the router, and where inclusion is a tree, the parts of the tree that are read."""
    assert callable(Router().middleware_stack)
    app, router = FastAPI(), APIRouter()
    router.get("/x")(lambda: 1)
    app.include_router(router, prefix="/p")
    included = getattr(fastapi.routing, "_IncludedRouter", None)
    if included is not None:
        node = next(route for route in app.router.routes if isinstance(route, included))
        assert node.original_router is router
        assert node.include_context.prefix == "/p"
        context = node.effective_candidates()[0]
        assert (context.path, context.starlette_route, context.original_route) == ("/p/x", None, router.routes[0])
    if hasattr(APIRouter, "frontend"):
        assert app.router._low_priority_routes == []  # noqa: SLF001 - the shape under test
        assert list(app.router._iter_low_priority_routes()) == []  # noqa: SLF001 - the same
        assert callable(app.router._match_low_priority)  # noqa: SLF001 - the same


def test_stock_routes_are_matched_by_pattern_on_every_release():
    """No route of FastAPI's own making has to be asked: the fast way covers them all."""
    app, router, inner = FastAPI(), APIRouter(), APIRouter()
    inner.get("/x/{n}")(lambda n: n)
    inner.websocket("/w")(lambda websocket: None)
    router.include_router(inner, prefix="/i")
    router.mount("/m", FastAPI())
    router.add_route("/plain", lambda request: None)
    app.include_router(router, prefix="/r")
    app.mount("/sub", FastAPI())
    assert all(leaf.pattern is not None and leaf.stock_handle for leaf in leaves(app.router))


def test_an_unknown_shape_is_refused_by_name():
    """A router whose parts cannot be read fails at construction, with the versions in the sentence."""

    class Odd(Router):
        @property
        def routes(self):
            return [object()]

        @routes.setter
        def routes(self, value):
            pass

    with pytest.raises(ConfigurationError, match="shape"):
        RouteTable(Odd())
    with pytest.raises(ConfigurationError, match="neither"):
        RouteTable(object())


def test_an_application_mounted_on_itself_ends_as_opaque():
    """A ring of mounts is read once round and then judged as a whole."""
    app = FastAPI(openapi_url=None)
    app.get("/x")(lambda: 1)
    app.mount("/again", app)
    assert [target.key for target in RouteTable(app).targets()] == [("GET", "/x"), ("MOUNT", "/again")]


def test_each_inclusion_and_method_is_in_the_inventory():
    """The inventory lists every key a request can be judged by, endpoints included."""
    app, router = FastAPI(openapi_url=None), APIRouter()
    endpoint = router.api_route("/x", methods=["GET", "POST"])(lambda: 1)
    router.websocket("/x")(lambda websocket: None)
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    targets = list(RouteTable(app).targets())
    assert [t.key for t in targets] == [
        (method, f"{prefix}/x") for prefix in ("/a", "/b") for method in ("GET", "POST", "WS")
    ]
    assert targets[0].endpoint is endpoint


def test_a_route_changed_in_place_is_noticed_within_half_a_second():
    """A mounted application exchanged for another keeps every list as it was: the closer look finds it."""
    app, old, new, now = FastAPI(openapi_url=None), FastAPI(openapi_url=None), FastAPI(openapi_url=None), [0.0]
    old.get("/x")(lambda: "old")
    new.get("/{y}")(lambda y: "new")
    app.mount("/sub", old)
    table = RouteTable(app, clock=lambda: now[0])
    scope = scope_of("http", "/sub/x")
    assert table.resolve(scope).path == "/sub/x"
    mount = app.router.routes[0]
    mount.app = mount._base_app = new  # noqa: SLF001 - what a host would have to do to exchange it
    now[0] = 0.6
    assert table.resolve(scope).path == "/sub/{y}"
    new.get("/x")(lambda: "late")
    new.router.routes.reverse()
    assert table.resolve(scope).path == "/sub/x"


def test_a_list_of_routes_put_in_place_of_another_is_noticed_at_once():
    """The application's own list, exchanged as a whole, and changed again after."""
    app = FastAPI(openapi_url=None)
    app.get("/{x}")(lambda x: 1)
    table = RouteTable(app, clock=lambda: 0.0)
    assert table.resolve(scope_of("http", "/a")).path == "/{x}"
    app.router.routes = list(app.router.routes)
    assert table.resolve(scope_of("http", "/a")).path == "/{x}"
    app.get("/a")(lambda: 2)
    app.router.routes.reverse()
    assert table.resolve(scope_of("http", "/a")).path == "/a"
