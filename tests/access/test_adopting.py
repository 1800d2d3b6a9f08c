"""What `adopt` may and may not let through, and what belongs to another installation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient

from rimlock import ConfigurationError, Requirement, Rimlock, Rule, Settings, Stage, require_role
from rimlock.testing import sign_in

SECRET = "yB6tQn2sLw9vXc4kRz8mJf1pHd7gEa5u"
OTHER = "aN3vKp8dWq5xTf2hZc7mRj4sLb9gYe6u"


class Closed:
    """A check that is an object."""

    async def __call__(self, request: Request) -> None:
        raise HTTPException(403, "the old door is shut")


def decorated(check: Any) -> Any:
    """Wrap a check as many applications do: a plain function that hands out a coroutine."""

    @wraps(check)
    def around(*args: Any, **given: Any) -> Any:
        return check(*args, **given)

    return around


async def _closed(request: Request) -> None:
    raise HTTPException(403, "the old door is shut")


@pytest.mark.attack("a check that is never run")
@pytest.mark.parametrize("check", [Closed(), decorated(_closed), _closed], ids=["object", "decorated", "coroutine"])
def test_an_adopted_check_still_checks_those_the_gate_does_not_know(sqlite_url: str, check: Any) -> None:
    """However a check is written, an anonymous caller meets it as before, at every stage before required."""
    for stage in (Stage.OPEN, Stage.OBSERVE, Stage.OPTIONAL):
        app = FastAPI()
        app.get("/kept", dependencies=[Depends(check)])(lambda: "kept")
        auth = Rimlock(Settings(secrets=[SECRET], database=sqlite_url, default_stage=stage), features=[])
        auth.install(app)
        auth.adopt(app, check)
        with TestClient(app) as client:
            answer = client.get("/kept")
            assert (answer.status_code, answer.json()) == (403, {"detail": "the old door is shut"})


def _yielding() -> Iterator[None]:
    yield


@pytest.mark.parametrize("check", [_yielding, APIKeyHeader(name="X-Key")], ids=["yields", "scheme"])
def test_a_check_that_cannot_be_carried_is_refused_at_once(sqlite_url: str, check: Any) -> None:
    """What could not be run in another function's place is a mistake at construction, not at a request."""
    app = FastAPI()
    auth = Rimlock(Settings(secrets=[SECRET], database=sqlite_url), features=[])
    auth.install(app)
    with pytest.raises(ConfigurationError, match="cannot be adopted"):
        auth.adopt(app, check)


def test_somebody_the_rule_would_refuse_does_not_pass_an_adopted_check(sqlite_url: str) -> None:
    """Who lacks the role that the rule asks for meets the old check, although the route is only observed."""
    app = FastAPI()
    app.get("/kept", dependencies=[Depends(_closed)])(lambda: "kept")
    rule = Rule(pattern="/kept", stage=Stage.OBSERVE, requirement=Requirement(any_role=frozenset({"keeper"})))
    auth = Rimlock(Settings(secrets=[SECRET], database=sqlite_url), rules=[rule], features=[])
    auth.install(app)
    auth.adopt(app, _closed)
    with TestClient(app) as client:
        stranger = sign_in(auth, client, email="stranger@example.com")
        keeper = sign_in(auth, client, roles=["keeper"], email="keeper@example.com")
        assert client.get("/kept", headers=stranger.headers).status_code == 403
        assert client.get("/kept", headers=keeper.headers).status_code == 200


@pytest.mark.attack("the administrator of another installation")
def test_a_user_of_the_outer_installation_is_nobody_in_the_inner_one(tmp_path: Any) -> None:
    """An application mounted in another, each with an installation: who is known outside is not known inside."""
    inner = FastAPI()
    inner.get("/pay", dependencies=[require_role("admin")])(lambda: "paid")
    within = Settings(secrets=[OTHER], database=f"sqlite:///{tmp_path}/in.db", issuer="https://in.example")
    Rimlock(within, features=[]).install(inner)
    outer = FastAPI()
    outer.mount("/sub", inner)
    around = Settings(secrets=[SECRET], database=f"sqlite:///{tmp_path}/out.db", default_stage=Stage.OBSERVE)
    auth = Rimlock(around, features=[])
    auth.install(outer)
    with TestClient(outer) as client:
        admin = sign_in(auth, client, roles=["admin"])
        assert client.get("/sub/pay", headers=admin.headers).status_code == 401


def test_a_flood_of_query_fields_breaks_nobody_before_required(sqlite_url: str) -> None:
    """More fields than are read for a key mean that there is no key, and nothing else."""
    app = FastAPI()
    app.get("/items")(lambda: "items")
    settings = Settings(secrets=[SECRET], database=sqlite_url, api_key_query=["key"], default_stage=Stage.OBSERVE)
    Rimlock(settings).install(app)
    with TestClient(app) as client:
        assert client.get("/items?" + "keyword=x&" * 101).status_code == 200


def test_a_rule_for_a_method_reaches_a_route_that_takes_every_method(sqlite_url: str) -> None:
    """A route without a method list is judged by the method that was sent."""
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    class Everything:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse("all")(scope, receive, send)

    app = FastAPI()
    app.router.routes.append(Route("/all", Everything()))
    rules = [Rule(pattern="GET /all", stage=Stage.REQUIRED)]
    Rimlock(Settings(secrets=[SECRET], database=sqlite_url), rules=rules, features=[]).install(app)
    with TestClient(app) as client:
        assert (client.get("/all").status_code, client.post("/all").status_code) == (401, 200)
