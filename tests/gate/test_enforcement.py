"""Every kind of route an application can have stands behind the gate, and open ones answer as before."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route

from gate.probe import Rules, http, open_rules, socket
from rimlock.core.errors import CredentialInvalid, PermissionMissing
from rimlock.web.gate import Gate

pytestmark = pytest.mark.req("L6")


def test_a_route_on_the_application_is_refused_and_opened_by_its_key():
    """A direct route is refused by default and answers as before once its key is let through."""
    app = FastAPI()
    app.get("/direct")(lambda: {"direct": True})
    judge = Rules()
    Gate.install(app, judge)
    assert http(app, "/direct").status == 401
    judge.table["GET", "/direct"] = None
    assert http(app, "/direct").body == b'{"direct":true}'


def test_an_included_router_is_refused_under_each_of_its_prefixes_apart():
    """A router included twice has two keys: one may be open while the other is refused."""
    app, router = FastAPI(), APIRouter(prefix="/things")
    router.get("/{thing_id:int}")(lambda thing_id: thing_id)
    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    judge = Rules({("GET", "/v1/things/{thing_id:int}"): None})
    Gate.install(app, judge)
    assert http(app, "/v1/things/7").status == 200
    assert http(app, "/v2/things/7").status == 401


def test_a_nested_inclusion_carries_all_its_prefixes():
    """A router inside a router inside the application is named by the whole way."""
    app, outer, inner = FastAPI(), APIRouter(prefix="/outer"), APIRouter(prefix="/inner")
    inner.post("/leaf")(lambda: None)
    outer.include_router(inner, prefix="/between")
    app.include_router(outer, prefix="/api")
    judge = Rules()
    Gate.install(app, judge)
    assert http(app, "/api/outer/between/inner/leaf", "POST").status == 401
    assert judge.asked == [("POST", "/api/outer/between/inner/leaf")]


def test_a_mounted_fastapi_is_named_route_by_route_with_its_documentation():
    """The routes of a mounted application are judged apart, its /docs and /openapi.json too."""
    app, sub = FastAPI(), FastAPI()
    sub.get("/x/{n}")(lambda n: n)
    app.mount("/sub", sub)
    judge = Rules({("GET", "/sub/openapi.json"): None})
    Gate.install(app, judge)
    assert http(app, "/sub/x/1").status == 401
    assert http(app, "/sub/docs").status == 401
    assert http(app, "/sub/openapi.json").status == 200
    assert judge.asked == [("GET", "/sub/x/{n}"), ("GET", "/sub/docs"), ("GET", "/sub/openapi.json")]


@pytest.mark.filterwarnings("ignore:The `root_path` parameter")
def test_mounts_in_mounts_and_a_mounted_fastapi_with_its_own_root_path():
    """A mounted application that sets its own root path matches as its router does, not as the prefix says."""
    app, middle, deep, own = FastAPI(), Starlette(), FastAPI(), FastAPI(root_path="/elsewhere")
    deep.get("/end")(lambda: 1)
    own.get("/own/end")(lambda: 2)
    middle.router.routes.append(Mount("/b", app=deep))
    app.mount("/a", middle)
    app.mount("/own", own)
    judge = open_rules()
    Gate.install(app, judge)
    assert http(app, "/a/b/end").status == 200
    assert http(app, "/own/own/end").status == 404
    assert http(app, "/own/end").body == b"2"
    assert judge.asked == [("GET", "/a/b/end"), None, ("GET", "/own/own/end")]


def test_static_files_are_one_target(tmp_path):
    """An opaque application under a prefix is judged as a whole."""
    (tmp_path / "page.html").write_text("hello")
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=tmp_path))
    judge = Rules()
    Gate.install(app, judge)
    assert http(app, "/static/page.html").status == 401
    judge.table["MOUNT", "/static"] = None
    assert http(app, "/static/page.html").body == b"hello"


def test_websockets_are_refused_before_they_are_accepted_and_http_on_the_same_path_is_apart():
    """A websocket and an HTTP route on one path have two keys."""
    app, router, ran = FastAPI(), APIRouter(), []

    @router.websocket("/live/{room}")
    async def live(websocket: WebSocket, room: str):
        ran.append(room)
        await websocket.accept()
        await websocket.close()

    router.get("/live/{room}")(lambda room: room)
    app.include_router(router, prefix="/api")
    judge = Rules({("GET", "/api/live/{room}"): None})
    Gate.install(app, judge)
    assert socket(app, "/api/live/a").kinds == ["websocket.close"]
    assert http(app, "/api/live/a").status == 200
    judge.table["WS", "/api/live/{room}"] = None
    assert socket(app, "/api/live/b").kinds == ["websocket.accept", "websocket.close"]
    assert ran == ["b"]


def test_a_websocket_refusal_is_a_real_401_where_the_server_can_send_one():
    """With the denial-response extension the client sees status, challenge and code."""
    app = FastAPI()
    app.websocket("/live")(lambda websocket: None)
    Gate.install(app, Rules(default=CredentialInvalid()))
    answer = socket(app, "/live", extensions={"websocket.http.response": {}})
    assert answer.kinds == ["websocket.http.response.start", "websocket.http.response.body"]
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert b'"code":"credential_invalid"' in answer.body


def test_a_browser_may_be_accepted_and_then_closed_with_a_code_it_can_read():
    """With the option set, a handshake with an Origin is accepted, then closed with 4401 or 4403; others are not."""
    app = FastAPI()
    app.websocket("/live")(lambda websocket: None)
    judge = Rules(default=PermissionMissing())
    Gate.install(app, judge, close_after_accept=True)
    answer = socket(app, "/live", headers=[(b"origin", b"https://app.example")], subprotocols=["bearer", "secret"])
    assert answer.messages == [
        {"type": "websocket.accept", "subprotocol": "bearer", "headers": []},
        {"type": "websocket.close", "code": 4403, "reason": "permission_missing"},
    ]
    assert socket(app, "/live").kinds == ["websocket.close"]


def test_routes_that_come_late_are_judged_from_their_first_request():
    """Routes, inclusions, mounts and routes inside a mounted application, all added while serving."""
    app, router, sub = FastAPI(), APIRouter(), FastAPI()
    app.include_router(router, prefix="/r")
    app.mount("/sub", sub)
    app.get("/{anything}")(lambda anything: anything)
    Gate.install(app, judge := Rules({("GET", "/{anything}"): None}))
    assert http(app, "/late").status == 200
    app.router.routes.insert(0, Route("/late", lambda request: PlainTextResponse("late")))
    sub.get("/late")(lambda: 1)
    late = APIRouter()
    late.get("/leaf")(lambda: 1)
    app.include_router(late, prefix="/included")
    for path in ("/late", "/sub/late", "/included/leaf"):
        assert http(app, path).status == 401, path
    assert judge.asked[1:] == [("GET", "/late"), ("GET", "/sub/late"), ("GET", "/included/leaf")]


def test_a_route_added_to_a_router_after_its_inclusion_is_judged_as_the_router_sees_it():
    """Where FastAPI makes it live it is judged by its own key; where it does not, nothing answers there."""
    app, router = FastAPI(), APIRouter()
    router.get("/old")(lambda: 1)
    app.include_router(router, prefix="/r")
    app.get("/r/{anything}")(lambda anything: anything)
    Gate.install(app, judge := Rules({("GET", "/r/{anything}"): None}))
    assert http(app, "/r/new").status == 200
    router.get("/new")(lambda: "new")
    answer = http(app, "/r/new")
    named = judge.asked[-1]
    assert (answer.status, named) in [(401, ("GET", "/r/new")), (200, ("GET", "/r/{anything}"))]
    assert named == ("GET", "/r/{anything}") or answer.status == 401


@pytest.mark.skipif(not hasattr(FastAPI, "frontend"), reason="this FastAPI has no frontend()")
def test_frontend_files_have_targets_of_their_own(tmp_path):
    """Frontend files are judged, the most specific path named, and a redirect still comes before them."""
    (tmp_path / "index.html").write_text("shell")
    app, router = FastAPI(), APIRouter(prefix="/admin")
    router.frontend("/", directory=tmp_path)
    app.frontend("/", directory=tmp_path)
    app.include_router(router)
    app.get("/api/")(lambda: 1)
    judge = Rules()
    gate = Gate.install(app, judge)
    html = [(b"accept", b"text/html")]
    for path in ("/", "/admin/x", "/api"):
        assert http(app, path, headers=html).status == 401
    assert judge.asked == [("FRONTEND", "/"), ("FRONTEND", "/admin"), None]
    assert {("FRONTEND", "/"), ("FRONTEND", "/admin")} <= {target.key for target in gate.table.targets()}
    judge.table["FRONTEND", "/admin"] = None
    assert http(app, "/admin/", headers=html).body == b"shell"


def test_head_is_judged_as_get():
    """HEAD on a route that has it is judged by the rule of GET, a HEAD route of its own too."""
    app = FastAPI()
    app.add_route("/plain", lambda request: PlainTextResponse("x"))
    app.head("/own")(lambda: None)
    judge = Rules()
    Gate.install(app, judge)
    assert http(app, "/plain", "HEAD").status == 401
    assert http(app, "/own", "HEAD").status == 401
    assert judge.asked == [("GET", "/plain"), ("GET", "/own")]


def test_what_no_route_answers_falls_to_the_default_rule_and_stays_the_hosts():
    """404, 405 and the slash redirect are nobody's route; let through, the router answers them itself."""
    app = FastAPI()
    app.get("/items/")(lambda: 1)
    judge = open_rules()
    Gate.install(app, judge)
    assert http(app, "/nowhere").status == 404
    assert http(app, "/items/", "DELETE").status == 405
    assert http(app, "/items").status == 307
    assert judge.asked == [None, None, None]
    judge.default = CredentialInvalid()
    assert {http(app, path).status for path in ("/nowhere", "/items")} == {401}


def test_a_class_endpoint_takes_any_method_and_host_names_are_part_of_the_key():
    """An endpoint without a list of methods is "ANY"; a route behind a host name begins with that name."""

    class Page(HTTPEndpoint):
        async def get(self, request):
            return PlainTextResponse("page")

    app = Starlette(routes=[Host("api.example.org", app=Starlette(routes=[Route("/x", Page)])), Route("/x", Page)])
    judge = open_rules()
    Gate.install(app, judge)
    assert http(app, "/x").status == 200
    assert http(app, "/x", headers=[(b"host", b"api.example.org")]).status == 200
    assert judge.asked == [("ANY", "/x"), ("ANY", "//api.example.org/x")]


def test_an_http_method_cannot_pass_for_a_websocket():
    """A request with the method WS is not judged by the rule of a websocket on that path."""

    class Page(HTTPEndpoint):
        async def dispatch(self):
            await PlainTextResponse("page")(self.scope, self.receive, self.send)

    app = FastAPI()
    app.websocket("/x")(lambda websocket: None)
    app.router.routes.append(Route("/x", Page))
    Gate.install(app, Rules({("WS", "/x"): None}))
    for method in ("WS", " ", "MOUNT", "websocket"):
        assert http(app, "/x", method).status == 401, method


def test_a_route_class_with_its_own_matching_is_asked():
    """A subclass that matches by a header is judged by what it answers, and the route behind it otherwise."""

    class OnlyBeta(Route):
        def matches(self, scope):
            if (b"x-beta", b"1") not in scope["headers"]:
                from starlette.routing import Match

                return Match.NONE, {}
            return super().matches(scope)

    app = Starlette(
        routes=[
            OnlyBeta("/new/{x}", lambda r: PlainTextResponse("beta")),
            Route("/{p:path}", lambda r: PlainTextResponse("all")),
        ]
    )
    judge = open_rules()
    Gate.install(app, judge)
    assert http(app, "/new/1", headers=[(b"x-beta", b"1")]).body == b"beta"
    assert http(app, "/new/1").body == b"all"
    assert judge.asked == [("GET", "/new/{x}"), ("GET", "/{p:path}")]


def test_a_router_class_with_its_own_matching_is_asked():
    """An included router that decides by a header keeps deciding, and its routes keep their names."""

    class Beta(APIRouter):
        def matches(self, scope):
            match, child = super().matches(scope)
            from starlette.routing import Match

            return (match, child) if (b"x-beta", b"1") in scope["headers"] else (Match.NONE, {})

    app, router = FastAPI(), Beta()
    router.get("/x")(lambda: "beta")
    app.include_router(router)
    app.get("/x")(lambda: "all")
    judge = open_rules()
    Gate.install(app, judge)
    bodies = [http(app, "/x", headers=headers).body for headers in ([(b"x-beta", b"1")], [])]
    assert judge.asked == [("GET", "/x"), ("GET", "/x")]
    assert bodies[1] in {b'"all"', b'"beta"'}


def test_refusals_have_the_hosts_cors_headers_and_preflights_pass():
    """Inside the host's CORS middleware a refusal is readable by the page, and a preflight never reaches the gate."""
    app = FastAPI()
    app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_methods=["PUT"])
    app.put("/x")(lambda: 1)
    judge = Rules()
    Gate.install(app, judge)
    origin = (b"origin", b"https://app.example")
    assert http(app, "/x", "PUT", headers=[origin]).headers["access-control-allow-origin"] == "https://app.example"
    preflight = [origin, (b"access-control-request-method", b"PUT")]
    assert http(app, "/x", "OPTIONS", headers=preflight).status == 200
    assert judge.asked == [("PUT", "/x")]


def test_options_without_cors_middleware_is_judged():
    """A host that answers OPTIONS itself has it judged like any other method."""
    app = FastAPI()
    app.options("/x")(lambda: 1)
    Gate.install(app, judge := Rules())
    assert http(app, "/x", "OPTIONS").status == 401
    assert judge.asked == [("OPTIONS", "/x")]


def test_the_hosts_error_form_is_kept():
    """A refusal goes through the host's own handlers, whichever of the two exception classes they name."""
    from fastapi import HTTPException as FastHTTPException

    for kind in (HTTPException, FastHTTPException, 401):
        app = FastAPI()
        app.get("/x")(lambda: 1)

        @app.exception_handler(kind)
        async def envelope(request: Request, error: Exception):
            return JSONResponse(
                {"error": {"message": error.detail}}, status_code=error.status_code, headers=error.headers
            )

        Gate.install(app, Rules())
        answer = http(app, "/x")
        assert answer.body == b'{"error":{"message":"This route needs a credential."}}'
        assert answer.headers["www-authenticate"] == 'Bearer realm="rimlock"'


def test_a_body_is_not_read_before_the_refusal():
    """An anonymous caller uploads nothing and learns nothing of JSON errors."""
    app = FastAPI()

    @app.post("/x")
    async def write(payload: dict):
        return payload

    judge = Rules()
    Gate.install(app, judge)
    refused = http(app, "/x", "POST", body=b"{not json")
    assert (refused.status, refused.received) == (401, 0)
    judge.default = None
    assert http(app, "/x", "POST", body=b"{not json").status == 422


def test_dependency_overrides_and_state_are_untouched():
    """The host's tests override its dependencies as before."""
    app = FastAPI()

    def setting():
        return "real"

    @app.get("/x")
    def read(value: str = Depends(setting)):
        return value

    Gate.install(app, open_rules())
    app.dependency_overrides[setting] = lambda: "override"
    assert http(app, "/x").body == b'"override"'
