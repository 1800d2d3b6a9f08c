"""Our own routes under a prefix: reached, not in the host's way, never in a host route's place."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.staticfiles import StaticFiles

from gate.probe import Rules, http, open_rules, socket
from rimlock.core.errors import ConfigurationError
from rimlock.web.gate import Gate
from rimlock.web.problems import problem_handlers

pytestmark = pytest.mark.req("L6")


def own_app():
    """Return a small application of ours."""
    own = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, exception_handlers=problem_handlers())
    own.post("/login")(lambda: "signed in")
    own.get("/sessions/{session_id}")(lambda session_id: session_id)

    @own.get("/where")
    def where(request: Request):
        return [request.scope["root_path"], str(request.url_for("where"))]

    return own


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_our_routes_answer_and_the_judge_is_not_asked(root_path):
    """Requests under the prefix that we know are ours, behind a root path too, also where a proxy cut it off."""
    app = FastAPI()
    judge = Rules()
    Gate.install(app, judge, own=own_app(), own_prefix="/auth")
    for path in {root_path + "/auth", "/auth"}:
        assert http(app, f"{path}/login", "POST", root_path=root_path).body == b'"signed in"'
        assert http(app, f"{path}/sessions/7", root_path=root_path).body == b'"7"'
        where = http(app, f"{path}/where", root_path=root_path).body.decode()
        assert f'"{root_path}/auth"' in where
        assert "/auth/where" in where
    assert judge.asked == []


def test_what_we_do_not_know_is_the_hosts():
    """Unknown paths under the prefix, and paths that merely begin with its letters, fall through and are judged."""
    app = FastAPI()
    app.get("/auth/page")(lambda: "host page")
    app.get("/authors")(lambda: "host authors")
    app.get("/auth/login")(lambda: "host login form")
    judge = open_rules()
    Gate.install(app, judge, own=own_app(), own_prefix="/auth")
    assert http(app, "/auth/page").body == b'"host page"'
    assert http(app, "/authors").body == b'"host authors"'
    assert http(app, "/auth/login").body == b'"host login form"'
    assert http(app, "/auth/login", "POST").body == b'"signed in"'
    assert http(app, "/auth").status == 404
    assert socket(app, "/auth/other").kinds == ["websocket.close"]
    assert judge.asked[-2:] == [None, None]


def test_a_wrong_method_on_our_path_is_our_problem_document():
    """Where the host has nothing there, our 405 answers in our form."""
    app = FastAPI()
    Gate.install(app, open_rules(), own=own_app(), own_prefix="/auth")
    answer = http(app, "/auth/login", "DELETE")
    assert answer.status == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "POST"


def test_the_hosts_routes_stay_as_they_were():
    """Nothing is added to the host's list of routes."""
    app = FastAPI()
    before = list(app.router.routes)
    Gate.install(app, open_rules(), own=own_app(), own_prefix="/auth")
    assert list(app.router.routes) == before


def test_the_same_route_twice_is_a_mistake_at_installation():
    """A host route that is also ours is refused with both named; a parameter's name makes no difference."""
    for path, method in (("/auth/login", "POST"), ("/auth/sessions/{other}", "GET")):
        app, router = FastAPI(), APIRouter()
        router.add_api_route(path, lambda: 1, methods=[method])
        app.include_router(router)
        with pytest.raises(ConfigurationError, match="route of this application and of Rimlock"):
            Gate.install(app, open_rules(), own=own_app(), own_prefix="/auth")


def test_an_opaque_application_over_our_prefix_is_a_clash_and_a_catch_all_is_not(tmp_path):
    """What stands under our prefix and cannot be read is refused; catch-alls and applications at the root are not."""
    clash, fine = FastAPI(), FastAPI()
    clash.mount("/auth", StaticFiles(directory=tmp_path))
    with pytest.raises(ConfigurationError, match="MOUNT /auth"):
        Gate.install(clash, open_rules(), own=own_app(), own_prefix="/auth")
    fine.api_route("/{path:path}", methods=["GET", "POST"])(lambda path: "caught")
    fine.mount("/", StaticFiles(directory=tmp_path))
    Gate.install(fine, open_rules(), own=own_app(), own_prefix="/auth")
    assert http(fine, "/auth/login", "POST").body == b'"signed in"'
    assert http(fine, "/auth/unknown").body == b'"caught"'


def test_own_paths_decides_for_an_application_whose_routes_cannot_be_read():
    """An ASGI callable needs `own_paths`, and is then asked for exactly those."""

    async def own(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = FastAPI()
    with pytest.raises(ConfigurationError, match="own_paths"):
        Gate.install(app, open_rules(), own=own, own_prefix="/auth")
    Gate.install(app, open_rules(), own=own, own_prefix="/auth", own_paths=lambda path: path == "/login")
    assert http(app, "/auth/login").status == 204
    assert http(app, "/auth/logout").status == 404


@pytest.mark.parametrize("prefix", ["", "auth", "/auth/"])
def test_a_malformed_prefix_is_a_mistake(prefix):
    """A prefix begins with a slash and ends without one."""
    with pytest.raises(ConfigurationError, match="own_prefix"):
        Gate.install(FastAPI(), open_rules(), own=own_app(), own_prefix=prefix)
