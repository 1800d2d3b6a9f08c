"""The wire form of refusals and of our own routes' errors."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.testclient import TestClient

from gate.probe import http
from rimlock.core.errors import (
    REGISTRY,
    AccountDisabled,
    Busy,
    CredentialExpired,
    CredentialInvalid,
    CredentialMissing,
    InvalidRequest,
    PermissionMissing,
)
from rimlock.web.problems import PROBLEM_BASE, SAFE_HEADERS, Refusal, challenge, problem, problem_handlers
from rimlock.web.route import BODY_LIMIT, AuthRoute

pytestmark = pytest.mark.req("N6")


class Login(BaseModel):
    """What a login form sends."""

    model_config = ConfigDict(extra="forbid")
    login: str = Field(max_length=20)
    password: str


def own_app():
    """Return an application of ours with one JSON route."""
    app = FastAPI(exception_handlers=problem_handlers())
    router = APIRouter(route_class=AuthRoute)

    @router.post("/login")
    def login(body: Login):
        return {"token": "t"}

    @router.post("/fail")
    def fail():
        raise RuntimeError("hunter2")

    @router.get("/busy")
    def busy():
        raise Busy(retry_after=7)

    app.include_router(router)
    return app


def test_challenges_follow_the_bearer_rules():
    """No error without a credential, invalid_token with a bad one, insufficient_scope for 403, none where useless."""
    assert challenge(CredentialMissing()) == 'Bearer realm="rimlock"'
    assert challenge(CredentialInvalid()).startswith('Bearer realm="rimlock", error="invalid_token"')
    assert challenge(CredentialExpired()).startswith('Bearer realm="rimlock", error="invalid_token"')
    assert 'error="insufficient_scope"' in challenge(PermissionMissing())
    assert challenge(AccountDisabled()) is None
    assert challenge(Busy()) is None


def test_every_registered_error_has_a_header_safe_challenge_and_a_problem():
    """No code's sentence breaks out of a quoted string, and each document names its own code and status."""
    for code, kind in REGISTRY.items():
        value = challenge(kind()) or ""
        assert value.isascii()
        assert value.count('"') % 2 == 0
        body = json.loads(problem(kind()).body)
        assert (body["code"], body["type"], body["status"]) == (code, PROBLEM_BASE + code, kind.status)


def test_a_refusal_carries_code_retry_after_and_no_store():
    """What the host's handler gets to see."""
    refusal = Refusal(Busy(retry_after=3))
    assert (refusal.status_code, refusal.code, refusal.headers["Retry-After"]) == (503, "busy", "3")
    assert refusal.headers["Cache-Control"] == "no-store"


def test_a_problem_names_the_fields():
    """`errors` is there when fields are named, and absent otherwise."""
    named = problem(InvalidRequest(errors=({"name": "login", "code": "missing", "detail": "x"},)))
    assert json.loads(named.body)["errors"] == [{"name": "login", "code": "missing", "detail": "x"}]
    assert "errors" not in json.loads(problem(InvalidRequest()).body)


def test_validation_errors_never_echo_what_was_sent():
    """Neither values nor keys nor broken JSON come back, wherever the mistake is."""
    client = TestClient(own_app())
    secret = "correct-horse-battery"
    bodies = [
        json.dumps({"password": secret}),
        json.dumps({"login": secret * 3, "password": secret}),
        json.dumps({"login": {"a": secret}, "password": [secret]}),
        json.dumps({"login": "a", "password": "b", secret: 1}),
        json.dumps([secret]),
        json.dumps(secret),
        '{"login": "' + secret,
    ]
    for body in bodies:
        answer = client.post("/login", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, body
        assert answer.headers["content-type"] == "application/problem+json"
        assert secret not in answer.text
        assert answer.json()["errors"]


@pytest.mark.parametrize("declared", [True, False])
def test_a_long_body_is_413_whether_it_declares_its_length_or_not(declared):
    """The limit counts what arrives; nothing is parsed."""
    client = TestClient(own_app())
    content = b" " * (BODY_LIMIT + 1)
    stream = content if declared else iter([content[:1000], content[1000:]])
    answer = client.post("/login", content=stream, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_another_media_type_is_415(media_type):
    """A JSON route takes JSON, so that no form of another origin can post to it."""
    client = TestClient(own_app())
    answer = client.post("/login", content=b'{"login":"a","password":"b"}', headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_json_with_parameters_and_suffixes_is_json():
    """A charset and a structured suffix are JSON too."""
    client = TestClient(own_app())
    for media_type in ("application/json; charset=utf-8", "application/vnd.x+json"):
        headers = {"content-type": media_type}
        assert client.post("/login", content=b'{"login":"a","password":"b"}', headers=headers).status_code == 200


def test_all_our_answers_carry_the_safe_headers():
    """Good answers, refusals, 404 and 405 alike."""
    client = TestClient(own_app())
    answers = [
        client.post("/login", json={"login": "a", "password": "b"}),
        client.post("/login", json={}),
        client.get("/login"),
        client.get("/nowhere"),
        client.get("/busy"),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 405, 404, 503]
    for answer in answers:
        assert SAFE_HEADERS.items() <= {k: answer.headers.get(k) for k in SAFE_HEADERS}.items()


def test_an_unexpected_failure_is_a_500_problem_without_its_message(caplog):
    """The caller learns a code; the log learns type and path."""
    with caplog.at_level(logging.ERROR, "rimlock.web"):
        answer = TestClient(own_app(), raise_server_exceptions=False).post("/fail")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    assert "RuntimeError in POST /fail" in caplog.text


def test_an_error_of_ours_in_a_middleware_keeps_its_code():
    """Outside the reach of the handlers for classes, a refusal is still the refusal and no 500."""
    app = own_app()

    class Refusing:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            raise Busy(retry_after=2)

    app.add_middleware(Refusing)
    answer = TestClient(app, raise_server_exceptions=False).get("/busy")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "2")


def test_the_hosts_own_validation_errors_are_untouched():
    """A host without our handlers keeps its own 422."""
    app = FastAPI()

    @app.post("/x")
    def write(body: Login):
        return body

    assert b'"detail":[' in http(app, "/x", "POST", body=b"{}", headers=[(b"content-type", b"application/json")]).body
