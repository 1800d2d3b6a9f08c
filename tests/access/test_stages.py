"""Every stage, every kind of credential, every kind of route: what is answered, seen and recorded."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from access.host import (
    KEY,
    KINDS,
    Keys,
    ask,
    bearer,
    end_session,
    eventually,
    every_kind_of_route,
    fitted,
    foreign,
    forged,
    recorded,
)
from rimlock import Requirement, Rule, Stage
from rimlock.testing import count_statements, sign_in

pytestmark = pytest.mark.req("L1", "L2")

BEARER = 'Bearer realm="rimlock"'
INVALID = f'{BEARER}, error="invalid_token"'
TARGETS = {
    ("GET", "/sync"),
    ("GET", "/async"),
    ("GET", "/sub/route"),
    ("MOUNT", "/files"),
    ("WS", "/live"),
}

# What a request carries, whom the gate sees ("user" stands for the signed-in one), and what would refuse it.
CARRIED = {
    "nothing": (None, "credential_missing"),
    "good token": ("user", None),
    "expired token": (None, "credential_expired"),
    "forged token": (None, "credential_invalid"),
    "revoked token": (None, "credential_invalid"),
    "token of another issuer": (None, "credential_missing"),
    "good key": ("key:k1", None),
    "bad key": (None, "credential_invalid"),
    "expired token and good key": ("key:k1", "credential_expired"),
    "revoked token and good key": ("key:k1", "credential_invalid"),
    "token of another issuer and good key": ("key:k1", None),
    "good token and bad key": ("user", "credential_invalid"),
}


def credentials(auth, client, clock):
    """Make all that a request may carry, by the names above; and the id of the user."""
    expired = sign_in(auth, client).headers
    clock.advance(901 + 5)
    gone = sign_in(auth, client)
    end_session(auth, client, gone)
    visitor = sign_in(auth, client)
    key, other = {"X-API-Key": KEY}, bearer(foreign(clock()))
    return visitor.user.id, {
        "nothing": {},
        "good token": visitor.headers,
        "expired token": expired,
        "forged token": bearer(forged(visitor.access_token)),
        "revoked token": gone.headers,
        "token of another issuer": other,
        "good key": key,
        "bad key": {"X-API-Key": "guessed"},
        "expired token and good key": {**expired, **key},
        "revoked token and good key": {**gone.headers, **key},
        "token of another issuer and good key": {**other, **key},
        "good token and bad key": {**visitor.headers, "X-API-Key": "guessed"},
    }


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("carried", CARRIED)
def test_an_open_route_answers_as_before_whatever_it_is_sent(tmp_path, sqlite_url, clock, carried):
    """Nobody is identified, nothing is recorded, no statement is run."""
    app = every_kind_of_route(tmp_path)
    auth = fitted(app, sqlite_url, features=[Keys()], default_stage=Stage.OPEN, clock=clock)
    with TestClient(app) as client:
        _, sent = credentials(auth, client, clock)
        with count_statements(auth) as statements:
            answers = [ask(client, path, sent[carried]) for path in KINDS]
        assert [status for status, _, _ in answers] == [200, 200, 200, 200, 101]
        assert [seen for _, seen, _ in answers] == [None, None, None, "as before", None]
        assert recorded(auth, client) == []
    assert statements.count == 0


@pytest.mark.parametrize("stage", [Stage.OBSERVE, Stage.OPTIONAL])
@pytest.mark.parametrize("carried", CARRIED)
def test_an_observed_or_optional_route_lets_all_through_and_records_who_would_be_refused(
    tmp_path, sqlite_url, clock, stage, carried
):
    """Every kind of route answers, sees whoever a good credential names, and counts what `required` would refuse."""
    app = every_kind_of_route(tmp_path)
    auth = fitted(app, sqlite_url, features=[Keys()], default_stage=stage, clock=clock)
    whom, refusal = CARRIED[carried]
    with TestClient(app) as client:
        user_id, sent = credentials(auth, client, clock)
        answers = [ask(client, path, sent[carried]) for path in KINDS]
        expected = user_id if whom == "user" else whom
        assert [status for status, _, _ in answers] == [200, 200, 200, 200, 101]
        assert [seen for _, seen, _ in answers] == [expected, expected, expected, "as before", expected]
        found = recorded(auth, client)
    assert {(one.method, one.path) for one in found} == (TARGETS if refusal else set())
    assert {one.outcome for one in found} == ({refusal} if refusal else set())
    assert {one.requests for one in found} <= {1}
    kind, key = {"user": ("token", ""), "key:k1": ("key", "k1"), None: ("none", "")}[whom]
    assert {(one.credential, one.credential_id) for one in found} == ({(kind, key)} if refusal else set())


@pytest.mark.parametrize("carried", CARRIED)
def test_a_required_route_refuses_everything_but_a_good_credential_alone(tmp_path, sqlite_url, clock, carried):
    """401 with the right challenge, also where a good key stands behind a bad token; nothing is observed."""
    app = every_kind_of_route(tmp_path)
    auth = fitted(app, sqlite_url, features=[Keys()], default_stage=Stage.REQUIRED, clock=clock)
    whom, refusal = CARRIED[carried]
    with TestClient(app) as client:
        user_id, sent = credentials(auth, client, clock)
        answers = [ask(client, path, sent[carried]) for path in KINDS]
        if refusal is None:
            expected = user_id if whom == "user" else whom
            assert [seen for _, seen, _ in answers] == [expected, expected, expected, "as before", expected]
            assert [status for status, _, _ in answers] == [200, 200, 200, 200, 101]
        else:
            assert [status for status, _, _ in answers] == [401] * 5
            challenges = [challenge for _, _, challenge in answers]
            if refusal == "credential_missing":
                assert challenges == [BEARER] * 5
            else:
                assert all(challenge.startswith(INVALID) for challenge in challenges)
        assert recorded(auth, client) == []


@pytest.mark.parametrize("stage", list(Stage))
def test_a_principal_without_the_role_is_told_apart_from_nobody(tmp_path, sqlite_url, stage):
    """In `required` 403 with insufficient_scope and not 401; before that it is let through, seen and recorded."""
    app = every_kind_of_route(tmp_path)
    rule = Rule(pattern="/**", stage=stage, requirement=Requirement(any_role=frozenset({"analyst"})))
    auth = fitted(app, sqlite_url, rules=[rule])
    with TestClient(app) as client:
        plain = sign_in(auth, client)
        answers = [ask(client, path, plain.headers) for path in KINDS]
        found = recorded(auth, client)
        analyst = sign_in(auth, client, roles=["analyst"], email="bea@example.com")
        assert [ask(client, path, analyst.headers)[0] for path in KINDS] == [200, 200, 200, 200, 101]
    if stage is Stage.REQUIRED:
        assert [status for status, _, _ in answers] == [403] * 5
        assert all(challenge.startswith(f'{BEARER}, error="insufficient_scope"') for _, _, challenge in answers)
        assert found == []
    else:
        assert [status for status, _, _ in answers] == [200, 200, 200, 200, 101]
        assert {one.outcome for one in found} == (set() if stage is Stage.OPEN else {"permission_missing"})
        assert {one.credential for one in found} == (set() if stage is Stage.OPEN else {"token"})


def test_a_kind_of_credential_that_does_not_count_is_403(tmp_path, sqlite_url):
    """Where only tokens count, a good key is known and not enough."""
    app = every_kind_of_route(tmp_path)
    only_tokens = Requirement(credentials=frozenset({"token"}))
    auth = fitted(
        app, sqlite_url, features=[Keys()], rules=[Rule(pattern="/**", stage=Stage.REQUIRED, requirement=only_tokens)]
    )
    with TestClient(app) as client:
        assert [ask(client, path, {"X-API-Key": KEY})[0] for path in KINDS] == [403] * 5
        assert [ask(client, path, sign_in(auth, client).headers)[0] for path in KINDS] == [200, 200, 200, 200, 101]


def test_a_credential_sent_twice_is_none(tmp_path, sqlite_url):
    """Two Authorization headers are read by no two parties alike, so they count as not sent."""
    app = every_kind_of_route(tmp_path)
    auth = fitted(app, sqlite_url, default_stage=Stage.REQUIRED)
    with TestClient(app) as client:
        token = sign_in(auth, client).headers["Authorization"]
        assert client.get("/sync", headers=[("Authorization", token)]).status_code == 200
        assert (
            client.get("/sync", headers=[("Authorization", token), ("authorization", "Basic eA==")]).status_code == 401
        )


def test_a_stage_turned_while_running_is_in_force_at_the_next_request(tmp_path, sqlite_url):
    """On SQLite the change is exact: no request after it is judged by the old stage."""
    from rimlock.core import rollout

    app = every_kind_of_route(tmp_path)
    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:
        for stage, status in [(Stage.REQUIRED, 401), (Stage.OPEN, 200)] * 3:
            turn = lambda tx, stage=stage: rollout.set_stage(tx, "GET /sync", stage, actor="test", now=1)
            client.portal.call(auth.database.write, turn)
            assert client.get("/sync").status_code == status
            assert client.get("/async").status_code == 200


@pytest.mark.req("N8")
def test_a_stage_turned_by_another_instance_is_heard_of(tmp_path, sqlite_url):
    """A required route goes by the newest rules at the very next request; an open one soon hears of being closed."""
    from rimlock.core import rollout

    here, there = every_kind_of_route(tmp_path), every_kind_of_route(tmp_path)
    first = fitted(here, sqlite_url, default_stage=Stage.REQUIRED)
    fitted(there, sqlite_url, default_stage=Stage.REQUIRED)

    def turn(client, stage):
        work = lambda tx: rollout.set_stage(tx, "GET /sync", stage, actor="test", now=1)
        client.portal.call(first.database.write, work)

    with TestClient(here) as one, TestClient(there) as two:
        for _ in range(3):
            assert two.get("/sync").status_code == 401
            turn(one, Stage.OPEN)
            assert two.get("/sync").status_code == 200
            turn(one, Stage.REQUIRED)
            assert eventually(lambda: two.get("/sync").status_code, 401, 1.0) == 401


def test_a_refusal_takes_the_form_the_host_gives_its_own_errors(sqlite_url):
    """The host's handler of HTTPException shapes the body; status and challenge stay."""
    app = FastAPI()

    @app.exception_handler(HTTPException)
    async def envelope(_request, error):
        return JSONResponse({"ok": False, "why": error.detail}, status_code=error.status_code, headers=error.headers)

    app.get("/private")(lambda: "never")
    fitted(app, sqlite_url, default_stage=Stage.REQUIRED)
    with TestClient(app) as client:
        answer = client.get("/private")
    assert (answer.status_code, answer.json()) == (401, {"ok": False, "why": "This route needs a credential."})
    assert answer.headers["www-authenticate"] == BEARER
    assert answer.headers["cache-control"] == "no-store"


def test_an_unmatched_path_is_a_404_until_the_default_is_required(sqlite_url):
    """Where the router matches nothing, the default stage decides, so that a closed application tells no paths."""
    for stage, status in [(Stage.OPEN, 404), (Stage.OPTIONAL, 404), (Stage.REQUIRED, 401)]:
        app = FastAPI()
        fitted(app, sqlite_url, default_stage=stage)
        with TestClient(app) as client:
            assert client.get("/nothing/here").status_code == status
