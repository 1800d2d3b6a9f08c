"""The inventory of routes: complete, with the code behind each, and with what that code asks for by itself."""

from __future__ import annotations

import functools
import inspect
import operator
from functools import partial

import pytest
from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.security import APIKeyHeader
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router

from access.host import every_kind_of_route, fitted
from rimlock import CurrentUser, OptionalUser, Rule, Stage, require_role
from rimlock.core.access import Requirement
from rimlock.retrofit.audit import take_inventory
from rimlock.retrofit.audit.places import place_of
from rimlock.web.dependencies import fresh, require

pytestmark = pytest.mark.req("L8")


def names(inventory) -> list[str]:
    """The host's routes by name, in order."""
    return [route.name for route in inventory.hosts]


def by_name(inventory) -> dict:
    """The first route of each name."""
    found: dict = {}
    for route in inventory.routes:
        found.setdefault(route.name, route)
    return found


def test_every_kind_of_route_is_listed_and_ours_behind_them(tmp_path, sqlite_url):
    """Routes of included routers, mounted applications, files, hosts and sockets, with full paths; then our own."""
    app = every_kind_of_route(tmp_path)
    inner, outer = APIRouter(prefix="/inner"), APIRouter(prefix="/outer")
    inner.get("/{one:int}")(lambda one: one)
    outer.include_router(inner)
    app.include_router(outer, prefix="/api")
    app.router.routes.append(Host("{tenant}.example.org", Router([Route("/hosted", PlainTextResponse("x"))])))
    inventory = take_inventory(fitted(app, sqlite_url, features=None))
    assert {
        "GET /sync", "GET /async", "WS /live", "GET /sub/route", "MOUNT /files", "GET /api/outer/inner/{one:int}",
        "ANY //{tenant}.example.org/hosted",
    } <= set(names(inventory))  # fmt: skip
    ours = [route for route in inventory.routes if route.ours]
    assert len(ours) > 10
    assert inventory.routes[-len(ours) :] == ours
    assert all(route.path.startswith("/auth/") for route in ours)


def test_each_route_names_its_rule_and_the_line_it_is_written_on(tmp_path, sqlite_url, monkeypatch):
    """Of the file the line of the pattern, of code the pattern, of nothing the default."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rimlock.toml").write_text(
        '[[route]]\nmatch = [\n  "GET /sync",\n  "/sub/**",\n]\nstage = "observe"\n\n'
        '[[route]]\nmatch = "WS /live"\nstage = "required"\nroles = ["admin"]\n'
    )
    auth = fitted(
        every_kind_of_route(tmp_path),
        sqlite_url,
        config=tmp_path / "rimlock.toml",
        rules=[Rule(pattern="/files/**", stage=Stage.OPEN)],
    )
    found = by_name(take_inventory(auth))
    assert found["GET /sync"].stage_origin == "rimlock.toml:3 (GET /sync)"
    assert found["GET /sub/route"].stage_origin == "rimlock.toml:4 (/sub/**)"
    assert found["WS /live"].demand_origin == "rimlock.toml:9 (WS /live)"
    assert found["MOUNT /files"].stage_origin == "code (/files/**)"
    assert (found["GET /async"].stage_origin, found["GET /async"].ruling.stated) == ("default", False)


def test_what_a_function_demands_is_known_whatever_the_stage(sqlite_url):
    """Our dependencies are found at every depth, on routers and in signatures; the host's own check by its name."""
    key = APIKeyHeader(name="X-Old", auto_error=False)

    def old_check(presented: str | None = Security(key)) -> None: ...

    def someone(user: CurrentUser) -> str:
        return user.id

    app = FastAPI(openapi_url=None)
    router = APIRouter(dependencies=[require_role("admin")])
    router.get("/deep")(lambda: None)
    app.include_router(router)
    app.get("/user", dependencies=[Depends(someone), fresh(5)])(lambda: None)
    app.get("/scoped", dependencies=[require(Requirement(permissions=frozenset({"a:b"}), scopes=frozenset({"s"})))])(
        lambda: None
    )

    def perhaps(user: OptionalUser) -> None: ...

    app.get("/perhaps")(perhaps)
    app.get("/checked", dependencies=[Depends(old_check)])(lambda: None)
    auth = fitted(app, sqlite_url)
    auth.adopt(app, old_check)
    found = by_name(take_inventory(auth))
    assert found["GET /deep"].inside.demands == ("role admin",)
    assert found["GET /user"].inside.demands == ("signed in", "by token", "signed in within 300 s")
    assert found["GET /scoped"].inside.demands == ("permission a:b", "scope s")
    assert (found["GET /perhaps"].inside.demands, found["GET /perhaps"].inside.optional) == ((), True)
    (check,) = found["GET /checked"].inside.checks
    assert check.endswith("old_check")
    assert found["GET /checked"].inside.adopted == (check,)


def plain(request):
    """A function to be found."""
    return PlainTextResponse("x")


def decorated(function):
    """A decorator that says what it wraps."""

    @functools.wraps(function)
    def around(*given, **named):
        return function(*given, **named)

    return around


class Called:
    """An object that is called."""

    async def __call__(self, request):
        return PlainTextResponse("x")

    def method(self, request):
        return PlainTextResponse("x")


def line_of(thing) -> int:
    """Where Python itself says that a thing begins."""
    return inspect.getsourcelines(thing)[1]


@pytest.mark.parametrize(
    "endpoint, name, line",
    [
        (plain, "plain", line_of(plain)),
        (partial(partial(plain)), "plain", line_of(plain)),
        (decorated(decorated(plain)), "plain", line_of(plain)),
        (Called(), "Called", line_of(Called)),
        (Called, "Called", line_of(Called)),
        (Called().method, "Called.method", line_of(Called.method)),
        (partial(Called().method), "Called.method", line_of(Called.method)),
    ],
)
def test_code_is_found_through_what_it_is_wrapped_in(endpoint, name, line):
    """Partial applications, decorators, bound methods and callable objects lead to what somebody wrote."""
    found = place_of(endpoint)
    assert found.name.endswith(f".{name}")
    assert found.file is not None
    assert found.file.endswith("test_route_audit.py")
    assert found.line == line


class Endless:
    """Answers every question with itself."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def made_of_text():
    """A function that was in no file."""
    space: dict = {}
    exec("def made(request): ...", space)
    return space["made"]


@pytest.mark.attack("a route whose code cannot be found breaks the audit")
@pytest.mark.parametrize("endpoint", [len, print, operator.itemgetter(0), None, 7, Endless(), made_of_text(), {}.get])
def test_what_has_no_source_has_a_name_and_no_line(endpoint):
    """Builtins, C functions, objects that answer anything and code made of text are named and never raise."""
    found = place_of(endpoint)
    assert found.name
    assert found.line is None or found.file is not None


def test_a_route_that_never_runs_is_said_to(sqlite_url):
    """A second function of the same path, the same shape by another name, and a path behind a parameter or a mount."""
    app = FastAPI(openapi_url=None)
    for path in ("/twice", "/twice", "/items/{one}", "/items/{other}", "/items/me", "/ints/{n:int}", "/ints/{word}"):
        app.get(path)(lambda: None)
    app.router.routes.append(Mount("/down", Router([Route("/first", plain)])))
    app.get("/down/late")(lambda: None)
    inventory = take_inventory(fitted(app, sqlite_url))
    shadowed = [(route.name, (route.shadowed_by or "").partition(" at ")[0]) for route in inventory.hosts]
    assert shadowed[:7] == [
        ("GET /twice", ""),
        ("GET /twice", "GET /twice"),
        ("GET /items/{one}", ""),
        ("GET /items/{other}", "GET /items/{one}"),
        ("GET /items/me", "GET /items/{one}"),
        ("GET /ints/{n:int}", ""),
        ("GET /ints/{word}", ""),
    ]


def test_a_change_at_run_time_is_told_apart_from_the_configuration(tmp_path, sqlite_url):
    """What is in force and what is configured stand side by side."""
    auth = fitted(every_kind_of_route(tmp_path), sqlite_url, rules=[Rule(pattern="/**", stage=Stage.REQUIRED)])
    changed = Rule(pattern="GET /sync", stage=Stage.OPEN, source="run time, cli:ann")
    auth.judge.rules = auth.judge.rules.with_running([changed])
    route = by_name(take_inventory(auth))["GET /sync"]
    assert (route.ruling.stage, route.configured.stage) == (Stage.OPEN, Stage.REQUIRED)
    assert route.stage_origin == "run time, cli:ann (GET /sync)"
