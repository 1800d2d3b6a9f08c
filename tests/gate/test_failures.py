"""Whatever goes wrong inside a decision, the request is refused; and the gate can be taken off again."""

from __future__ import annotations

import asyncio
import logging

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gate.probe import Rules, http, open_rules, socket
from rimlock.core.errors import ConfigurationError, CredentialMissing
from rimlock.web.gate import Gate

pytestmark = pytest.mark.req("L6")


def failing(scope, target):
    """Fail as a judge whose database is gone would."""
    raise RuntimeError("secret-in-a-message")


async def failing_late(scope, target):
    """Fail after the first wait."""
    await asyncio.sleep(0)
    raise RuntimeError("secret-in-a-message")


@pytest.mark.parametrize("judge", [failing, failing_late, lambda s, t: False, lambda s, t: True])
def test_a_judge_that_fails_refuses_with_503(judge, caplog):
    """An exception, or an answer that is no verdict, is 503 or a closed websocket; the log has no secret."""
    app, ran = FastAPI(), []
    app.get("/x")(lambda: ran.append("http"))
    app.websocket("/x")(lambda websocket: ran.append("socket"))
    Gate.install(app, judge)
    with caplog.at_level(logging.ERROR, "rimlock.gate"):
        assert http(app, "/x").status == 503
    assert socket(app, "/x").messages == [{"type": "websocket.close", "code": 4503, "reason": "unavailable"}]
    assert ran == []
    assert "no decision" in caplog.text
    assert "secret-in-a-message" not in caplog.text


def test_a_resolver_that_fails_refuses_with_503():
    """A route whose own matching raises is refused, not let through."""
    from starlette.routing import Route

    class Broken(Route):
        def matches(self, scope):
            raise RuntimeError("matching is broken")

    app = Starlette(routes=[Broken("/x", lambda request: None)])
    Gate.install(app, open_rules())
    assert http(app, "/x").status == 503


def test_a_verdict_may_be_awaited_or_raised():
    """An awaited verdict counts as a returned one does, and an `AuthError` that is raised is the refusal itself."""

    async def slowly(scope, target):
        await asyncio.sleep(0)
        return None if target.path == "/open" else CredentialMissing()

    def abruptly(scope, target):
        raise CredentialMissing

    app = FastAPI()
    app.get("/open")(lambda: 1)
    app.get("/shut")(lambda: 1)
    gate = Gate.install(app, slowly)
    assert [http(app, path).status for path in ("/open", "/shut")] == [200, 401]
    gate.remove()
    Gate.install(app, abruptly)
    assert http(app, "/open").status == 401


def test_installing_is_idempotent_and_removal_puts_everything_back():
    """The same judge twice is one gate, another judge is a mistake, and removal restores the very same stack."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    before = app.router.middleware_stack
    judge = Rules()
    gate = Gate.install(app, judge)
    assert Gate.install(app, judge) is gate
    with pytest.raises(ConfigurationError, match="another judge"):
        Gate.install(app, Rules())
    gate.remove()
    gate.remove()
    assert app.router.middleware_stack == before
    assert http(app, "/x").status == 200


def test_a_gate_under_another_layer_steps_aside_when_removed():
    """Where somebody wrapped the gate, removal leaves their layer and lets requests through."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    gate = Gate.install(app, Rules())

    class Layer:
        def __init__(self, inner):
            self.app = inner

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    app.router.middleware_stack = Layer(gate)
    assert http(app, "/x").status == 401
    gate.remove()
    assert http(app, "/x").status == 200
    Gate.install(app, Rules())
    assert http(app, "/x").status == 401


def test_a_gate_fits_an_application_that_already_serves():
    """After the first requests, inside a running lifespan, the gate goes on and comes off."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    with TestClient(app) as client:
        assert client.get("/x").status_code == 200
        gate = Gate.install(app, Rules())
        assert client.get("/x").status_code == 401
        gate.remove()
        assert client.get("/x").status_code == 200


def test_an_application_without_a_middleware_stack_is_refused_by_name():
    """What cannot be fitted says so at construction, with the versions in the sentence."""
    with pytest.raises(ConfigurationError, match=r"FastAPI \d.*middleware_stack"):
        Gate.install(object(), Rules())
    app = FastAPI()
    del app.router.middleware_stack
    with pytest.raises(ConfigurationError, match=r"FastAPI \d.*middleware_stack"):
        Gate.install(app, Rules())


@pytest.mark.anyio
async def test_the_self_test_passes_on_a_fitted_application_and_disturbs_nothing(caplog):
    """The canaries meet a refusing judge; the application and the real judge are not asked, and the judge is back."""
    app, ran = FastAPI(), []
    app.get("/{path:path}")(lambda path: ran.append(path))  # noqa: PLW0108 - FastAPI reads the name
    judge = open_rules()
    gate = Gate.install(app, judge)
    await gate.self_test()
    assert ran == []
    assert judge.asked == []
    assert gate.judge is judge
    assert caplog.text == ""


@pytest.mark.anyio
async def test_the_self_test_refuses_where_the_gate_is_not_on_the_way():
    """A stack put in the gate's place, or a layer that lets requests past it, fails the start."""
    app = FastAPI()
    gate = Gate.install(app, Rules())
    app.router.middleware_stack = app.router.app
    with pytest.raises(ConfigurationError, match="not around the router"):
        await gate.self_test()

    class Past:
        def __init__(self, inner):
            self.app = inner

        async def __call__(self, scope, receive, send):
            return await app.router.app(scope, receive, send)

    app.router.middleware_stack = Past(gate)
    with pytest.raises(ConfigurationError, match="reached the application"):
        await gate.self_test()


def test_lifespan_passes_through():
    """Start-up and shutdown never meet the judge."""
    app = FastAPI()
    judge = Rules()
    Gate.install(app, judge)
    with TestClient(app):
        assert judge.asked == []
