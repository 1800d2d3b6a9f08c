"""The probe: it finds a gate that does not hold, runs no function of the host's, and leaves nothing behind."""

from __future__ import annotations

import enum
import uuid

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient
from sqlalchemy import MetaData, create_engine, select
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from access.host import every_kind_of_route, fitted
from rimlock import CurrentUser, Rule, Stage, require_role
from rimlock.core import usage
from rimlock.core.access import Requirement, RuleBook
from rimlock.retrofit.audit import probe, take_inventory
from rimlock.web.refusals import RequestRefused

pytestmark = [pytest.mark.req("L8"), pytest.mark.anyio]

REQUIRED = Rule(pattern="/**", stage=Stage.REQUIRED)


async def probed(auth, through=None):
    """Start, probe, stop."""
    await auth.start()
    try:
        return await probe(auth, take_inventory(auth), through=through)
    finally:
        await auth.stop()


def told(report) -> list[tuple[str, str]]:
    """What was remarked of which route."""
    return [(remark.route, remark.what) for remark in report.remarks]


def contents(url) -> dict[str, list]:
    """Every row of every table."""
    engine, found = create_engine(url), MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {name: sorted(map(repr, connection.execute(select(table)))) for name, table in found.tables.items()}
    engine.dispose()
    return rows


class Counted(FastAPI):
    """An application whose functions note that they ran."""

    def __init__(self):
        super().__init__(openapi_url=None)
        self.ran: list[str] = []

    def note(self, name):
        """Return a route function that notes its name."""

        def function(request: Request):
            self.ran.append(name)
            return name

        return function


def counted() -> Counted:
    """Routes of every method, in the application, in a router and in a mounted application."""
    app = Counted()
    router, below = APIRouter(prefix="/in"), FastAPI(openapi_url=None)
    for method in ("get", "post", "put", "patch", "delete"):
        getattr(app, method)("/top/{item}")(app.note(f"{method} top"))
        getattr(router, method)("/{item:int}")(app.note(f"{method} in"))
        getattr(below, method)("/{item:uuid}")(app.note(f"{method} below"))
    app.include_router(router)
    app.mount("/below", below)

    @app.websocket("/live")
    async def live(socket: WebSocket):
        app.ran.append("live")
        await socket.accept()

    return app


@pytest.mark.parametrize("stage", list(Stage))
async def test_no_function_runs_at_any_stage_and_every_stage_holds(sqlite_url, stage):
    """Strangers are refused where the rule says so, let through where it says so, and stopped behind the gate."""
    app = counted()
    report = await probed(fitted(app, sqlite_url, rules=[Rule(pattern="/**", stage=stage)]))
    assert (told(report), app.ran, report.unasked) == ([], [], [])
    hosts = [answer for answer in report.answers if not answer.route.partition(" ")[2].startswith("/auth")]
    # Without a demand for a role any token of ours will do.
    held = {answer.stranger: answer.refused for answer in hosts}
    assert held == {
        "nobody": stage is Stage.REQUIRED,
        "an unknown key": stage is Stage.REQUIRED,
        "a user without a role": False,
        "a user of another role": False,
    }
    assert len(hosts) == 16 * 4


async def test_a_wrong_role_is_refused_with_403_and_a_wrong_kind_too(sqlite_url):
    """Roles, permissions, scopes and kinds of credentials are probed by users who have none of them."""
    demands = [
        Requirement(any_role=frozenset({"admin"})),
        Requirement(permissions=frozenset({"p:r"})),
        Requirement(scopes=frozenset({"s"})),
        Requirement(credentials=frozenset({"key"})),
    ]
    app = FastAPI(openapi_url=None)
    for place in range(len(demands)):
        app.get(f"/{place}")(lambda: None)
    rules = [Rule(pattern=f"/{at}", stage=Stage.REQUIRED, requirement=one) for at, one in enumerate(demands)]
    report = await probed(fitted(app, sqlite_url, rules=rules))
    users = {a.status for a in report.answers if a.stranger.startswith("a user") and "/auth" not in a.route}
    assert (told(report), users) == ([], {403})


async def test_it_leaves_nothing_behind(sqlite_url):
    """No row of any table is another one afterwards, usage and audit included, and no observer is told of anything."""
    app = counted()
    rules = [Rule(pattern="/**", stage=Stage.OBSERVE), Rule(pattern="WS /live", stage=Stage.REQUIRED)]
    auth = fitted(app, sqlite_url, features=None, rules=rules)
    heard: list[RequestRefused] = []
    auth.on(RequestRefused, heard.append)
    await auth.start()
    await auth.flush()
    before = contents(sqlite_url)
    report = await probe(auth, take_inventory(auth))
    await auth.flush()
    await auth.stop()
    assert (told(report), heard) == ([], [])
    assert contents(sqlite_url) == before


@pytest.mark.attack("a gate that lets strangers in")
async def test_a_judge_that_lets_everybody_in_is_found_on_every_route(sqlite_url):
    """Each route that claims to be required is named, websockets too."""
    app = counted()
    auth = fitted(app, sqlite_url, rules=[REQUIRED])
    await auth.start()
    claimed = take_inventory(auth)
    auth.judge.rules = RuleBook()
    report = await probe(auth, claimed)
    await auth.stop()
    found = {route for route, what in told(report) if "nobody is let through, and the claim is 401" in what}
    assert len(found) == 16
    assert "WS /live" in found
    assert app.ran == []


@pytest.mark.attack("a judge that cannot decide")
async def test_a_judge_that_fails_is_found(sqlite_url):
    """A 503 is no answer to a stranger where the claim is 401, nor where it is to let through."""
    app = FastAPI(openapi_url=None)
    app.get("/shut")(lambda: None)
    app.get("/open")(lambda: None)
    auth = fitted(app, sqlite_url, rules=[Rule(pattern="/shut", stage=Stage.REQUIRED)])
    await auth.start()
    claimed = take_inventory(auth)
    auth.judge.rules = None
    report = await probe(auth, claimed)
    await auth.stop()
    assert ("GET /shut", "nobody is answered 503, and the claim is 401") in told(report)
    assert ("GET /open", "nobody is answered 503, and the claim is let through") in told(report)


async def test_an_edited_rule_that_is_not_in_force_is_found(sqlite_url):
    """The claim is what the inventory says; what the gate does is what counts."""
    app = FastAPI(openapi_url=None)
    app.get("/item")(lambda: None)
    auth = fitted(app, sqlite_url, rules=[REQUIRED])
    await auth.start()
    claimed = take_inventory(auth)
    auth.judge.rules = auth.judge.rules.with_running([Rule(pattern="/item", stage=Stage.OPEN, source="run time")])
    report = await probe(auth, claimed)
    await auth.stop()
    assert ("GET /item", "an unknown key is let through, and the claim is 401") in told(report)


async def test_a_route_turned_for_some_callers_may_do_either(sqlite_url):
    """A percentage lets some strangers through and refuses others; neither contradicts it."""
    app = FastAPI(openapi_url=None)
    app.get("/item")(lambda: None)
    rules = [Rule(pattern="/item", stage=Stage.REQUIRED, percent=50)]
    assert told(await probed(fitted(app, sqlite_url, rules=rules))) == []


class Colour(enum.Enum):
    """What a path may be of."""

    RED = "red"


async def test_paths_are_filled_with_values_of_the_right_type(tmp_path, sqlite_url):
    """Let through to the function, no value is refused as of the wrong type."""
    app = FastAPI(openapi_url=None)

    @app.get("/n/{number}/{part}/{which}/{colour}/{rest:path}")
    def typed(number: int, part: float, which: uuid.UUID, colour: Colour, rest: str) -> str:
        return "typed"

    app.mount("/kinds", every_kind_of_route(tmp_path))
    report = await probed(fitted(app, sqlite_url), through=app)
    assert {a.status for a in report.answers if a.route.startswith("GET /n/")} == {None, 200}
    assert {a.status for a in report.answers if a.route == "GET /kinds/sub/route"} == {None, 200}
    assert told(report) == []


async def test_only_safe_methods_go_through(sqlite_url):
    """Asked to go through, GET runs its function; POST, PUT, PATCH, DELETE and websockets never do."""
    app = counted()
    await probed(fitted(app, sqlite_url), through=app)
    assert set(app.ran) == {"get top", "get in", "get below"}


@pytest.mark.attack("a check inside a function that an override took away")
async def test_a_function_that_no_longer_demands_what_it_says_is_found(sqlite_url):
    """Through the whole application, what a dependency demands has to be demanded."""
    app = FastAPI(openapi_url=None)

    @app.get("/user")
    def user(user: CurrentUser) -> None: ...

    app.get("/admin", dependencies=[require_role("admin")])(lambda: None)
    auth = fitted(app, sqlite_url)
    assert told(await probed(auth, through=app)) == []
    (call,) = [one.call for one in take_inventory(auth).hosts[1].declared.dependant.dependencies]
    app.dependency_overrides[call] = lambda: None
    assert told(await probed(auth, through=app)) == [
        ("GET /admin", "nobody is answered 200 by a function that demands: role admin"),
        ("GET /admin", "an unknown key is answered 200 by a function that demands: role admin"),
    ]


async def test_a_host_that_turns_refusals_into_answers_is_found(sqlite_url):
    """An exception handler that says 200 to a 401 takes the refusal away on its way out."""
    from fastapi import HTTPException

    app = FastAPI(openapi_url=None)
    app.get("/shut")(lambda: None)
    app.exception_handler(HTTPException)(lambda _request, _error: PlainTextResponse("all is well"))
    auth = fitted(app, sqlite_url, rules=[REQUIRED])
    assert ("GET /shut", "through the whole application nobody is answered 200, not 401") in told(
        await probed(auth, through=app)
    )


async def test_middleware_that_refuses_before_the_gate_is_worth_a_note(sqlite_url):
    """It fails nothing: no stranger came in. But no token comes in either."""
    app = FastAPI(openapi_url=None)
    app.get("/open")(lambda: None)

    @app.middleware("http")
    async def old(request, call_next):
        return PlainTextResponse("no key", 401)

    report = await probed(fitted(app, sqlite_url), through=app)
    assert {(remark.route, remark.fails) for remark in report.remarks} == {("GET /open", False)}
    assert "in front of the gate" in report.remarks[0].what


@pytest.mark.attack("a function that never ends")
async def test_an_answer_without_an_end_and_a_function_that_raises_end_the_probe_of_that_route_only(
    sqlite_url, monkeypatch
):
    """A stream is left after a while, an exception is its answer, and the others are still asked."""
    monkeypatch.setattr("rimlock.retrofit.audit.probing.PATIENCE", 0.05)
    app = FastAPI(openapi_url=None)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        from asyncio import sleep

        async def forever():
            while True:
                yield b"x"
                await sleep(0.01)

        return StreamingResponse(forever())

    @app.get("/raises")
    def raises() -> None:
        raise ZeroDivisionError

    app.get("/fine")(lambda: "fine")
    report = await probed(fitted(app, sqlite_url), through=app)
    statuses = {(a.route, a.status, a.failed) for a in report.answers if a.stranger == "nobody"}
    assert {("GET /stream", 200, ""), ("GET /fine", 200, "")} <= statuses
    assert ("GET /raises", 500, "ZeroDivisionError") in statuses


@pytest.mark.attack("names that break a report")
async def test_strange_endpoints_are_probed_like_others(sqlite_url):
    """Plain Starlette routes, ASGI applications as endpoints and hostile names are asked and hold."""
    app = FastAPI(openapi_url=None)

    async def asgi(scope, receive, send):
        await PlainTextResponse("x")(scope, receive, send)

    app.router.routes.append(Route("/plain", lambda request: PlainTextResponse("x")))
    app.mount("/asgi", asgi)
    app.get("/<script>alert(1)</script>/\u202e/{x}")(lambda x: x)
    app.get("/caf\u00e9")(lambda: None)
    report = await probed(fitted(app, sqlite_url, rules=[REQUIRED]))
    assert (told(report), report.unasked) == ([], [])


async def test_what_stood_in_is_gone_afterwards(sqlite_url):
    """Requests after the probe reach the host's functions as before it, and are counted."""
    app = counted()
    auth = fitted(app, sqlite_url)
    await probed(auth)
    with TestClient(app) as client:
        assert client.post("/top/1").status_code == 200
        client.portal.call(auth.flush)
        (row,) = client.portal.call(auth.database.read, usage.seen)
    assert (app.ran, row.path, row.requests) == (["post top"], "/top/{item}", 1)
