"""Paths and headers made to be judged as one route and answered by another."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from gate.probe import Rules, http, open_rules
from rimlock.web.gate import Gate

pytestmark = pytest.mark.req("L6")

HOSTS = [b"x/health?y=", b"x/health#", b"health", b"a@b/health", b"[::1", b"", b"x\\health?", b"x%2Fhealth?y="]
SPELLINGS = [
    "/admin",
    "/admin/",
    "//admin",
    "/./admin",
    "/health/../admin",
    "/Admin",
    "/ADMIN",
    "/admin\n",
    "/admin\n\n",
    "/admin\x00",
    "/admin;x=1",
    "/admin%2f",
    "/%61dmin",
    "/health\n",
    "/health/",
    "/health//admin",
    "/api/admin",
    "/api//admin",
    "/api",
    "/api/",
    "",
    "admin",
    "*",
    "/v1/7",
    "/v1/7\n",
    "/v1/7/",
    "/v1//7",
    "/v1/../admin",
    "/files/a/b",
    "/files/../admin",
    "/files/a\nb",
    "/files/",
    "/files",
]


def host_app():
    """Return an application with public and other routes, whose answers name what ran."""
    app, router, sub = FastAPI(), APIRouter(), FastAPI()
    app.get("/health")(lambda: "/health")
    app.get("/admin")(lambda: "/admin")
    router.get("/{n:int}")(lambda n: "/v1/{n:int}")
    router.get("/{name}")(lambda name: "/v1/{name}")
    app.include_router(router, prefix="/v1")
    sub.get("/admin")(lambda: "/sub/admin")
    sub.get("/{rest:path}")(lambda rest: "/sub/{rest:path}")
    app.mount("/sub", sub)
    app.router.routes.append(Route("/files/{path:path}", lambda r: PlainTextResponse('"/files/{path:path}"')))
    return app


@pytest.mark.attack("host-poisoned-path")
@pytest.mark.parametrize("host", HOSTS)
def test_a_crafted_host_header_does_not_move_the_decision(host):
    """CVE-2026-48710: whatever the Host header makes of the URL, the route that runs is the route that is judged."""
    app = host_app()
    Gate.install(app, Rules({("GET", "/health"): None}))
    assert http(app, "/admin", headers=[(b"host", host)]).status == 401
    assert http(app, "/health", headers=[(b"host", host)]).status == 200


@pytest.mark.attack("path-spelling")
@pytest.mark.parametrize("root_path", ["", "/api"])
@pytest.mark.parametrize("path", [*SPELLINGS, "/sub/admin", "/sub//admin", "/sub/admin\n", "/sub", "/sub/x\ny"])
def test_what_answers_is_what_was_judged(path, root_path):
    """For every spelling, the route whose key was asked is the route whose answer came."""
    app = host_app()
    judge = open_rules()
    Gate.install(app, judge)
    for asked in (path, root_path + path):
        judge.asked.clear()
        answer = http(app, asked, root_path=root_path)
        named = judge.asked[0]
        if answer.status == 200:
            assert named is not None
            assert answer.body == f'"{named[1]}"'.encode()
        elif named is not None:
            assert answer.status == 404, "only a mounted router's own 404 may follow a name"


@pytest.mark.attack("path-spelling")
@pytest.mark.parametrize("path", SPELLINGS)
def test_no_spelling_of_a_closed_path_opens_it(path):
    """With only /health open, no spelling reaches /admin."""
    app = host_app()
    Gate.install(app, Rules({("GET", "/health"): None}))
    answer = http(app, path)
    assert answer.status == 401 or answer.body == b'"/health"'


def test_a_trailing_newline_matches_a_literal_path_and_is_judged_by_it():
    """The routers' patterns end before a last newline: the key is the route's all the same."""
    app = host_app()
    judge = open_rules()
    Gate.install(app, judge)
    assert http(app, "/health\n").body == b'"/health"'
    assert judge.asked == [("GET", "/health")]


def test_escaped_slashes_and_dots_arrive_as_the_router_sees_them():
    """Through a client: an escaped slash is a slash by the time anything is matched."""
    app = host_app()
    judge = Rules({("GET", "/health"): None, ("GET", "/files/{path:path}"): None})
    Gate.install(app, judge)
    client = TestClient(app)
    assert client.get("/health%2F..%2Fadmin").status_code == 401
    assert client.get("/files/..%2fadmin").json() == "/files/{path:path}"


def test_the_root_path_is_taken_off_where_the_router_takes_it_off():
    """Behind a proxy the key is the same, whether the server keeps the prefix in the path or cuts it."""
    app = host_app()
    judge = open_rules()
    Gate.install(app, judge)
    for path in ("/api/v1/7", "/v1/7"):
        assert http(app, path, root_path="/api").body == b'"/v1/{n:int}"'
    assert http(app, "/api/sub/admin", root_path="/api").body == b'"/sub/admin"'
    assert judge.asked == [("GET", "/v1/{n:int}"), ("GET", "/v1/{n:int}"), ("GET", "/sub/admin")]
