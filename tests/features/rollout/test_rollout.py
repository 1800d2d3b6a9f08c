"""Stages turned by an administrator while the application runs: seen, attributed, undone, heard of everywhere."""

from __future__ import annotations

import json
from time import monotonic, sleep

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.testclient import TestClient

from rimlock import Requirement, Rimlock, Rule, Settings, Stage
from rimlock.core import accounts, audit
from rimlock.core.login import Proof, SignedIn, complete
from rimlock.core.sessions import Device
from rimlock.core.users import NewUser
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.rollout import RolloutFeature

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
ADMIN = "/auth/admin/rollout"

pytestmark = pytest.mark.req("L2")


def fitted(url, *rules, **settings):
    """Return an application with callers, and the Rimlock on it."""
    app = FastAPI()
    app.get("/analyses/{analysis_id}")(lambda analysis_id: analysis_id)
    app.post("/analyses")(lambda: "made")
    app.mount("/old", FastAPI())
    inner = APIRouter(prefix="/explorer")
    inner.get("/nodes")(lambda: "nodes")
    app.include_router(inner, prefix="/v1")

    @app.websocket("/live")
    async def live(socket: WebSocket):
        await socket.accept()

    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **settings),
        rules=rules,
        features=[RolloutFeature()],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
    )
    auth.install(app)
    return app, auth


def sign_in(client, auth, *roles, email="ann@example.com"):
    """Make an account with these roles and return (its id, headers with an access token)."""

    def work(tx):
        now = auth.context.now()
        user = auth.context.users.create(tx, NewUser(email=email), now)
        accounts.open_account(tx, user.id, now=now, roles=roles)
        proof = Proof(user_id=user.id, method="test", at=now)
        found = complete(tx, proof, device=Device(), lifetimes=auth.context.lifetimes, policies=(), now=now)
        assert isinstance(found, SignedIn)
        return user.id, found

    user_id, found = client.portal.call(auth.database.write, work)
    token = json.loads(auth.context.entrance.admit(found).body)["access_token"]
    return user_id, {"Authorization": f"Bearer {token}"}


def eventually(answer, wanted):
    """Ask until the answer is the wanted one; the last answer, when it never is."""
    end = monotonic() + 5
    while (found := answer()) != wanted and monotonic() < end:
        sleep(0.02)
    return found


def test_only_an_administrator_with_a_token_may_look_or_change(database_url):
    """Nobody gets 401, a plain account 403, on every route of the feature; nothing is changed."""
    app, auth = fitted(database_url)
    with TestClient(app) as client:
        _, plain = sign_in(client, auth, "editor")
        asked = [("GET", ""), ("PUT", ""), ("POST", "/back"), ("GET", "/history"), ("GET", "/observed")]
        for method, path in [*asked, ("DELETE", "/observed")]:
            body = {"route": "/**", "stage": "open"} if method == "PUT" else None
            assert client.request(method, ADMIN + path, json=body).status_code == 401
            refused = client.request(method, ADMIN + path, json=body, headers=plain)
            assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
        _, admin = sign_in(client, auth, "admin", email="bea@example.com")
        assert client.get(f"{ADMIN}/history", headers=admin).json() == {"items": [], "next": None}


def test_the_overview_names_every_route_with_its_stage_and_where_that_comes_from(database_url):
    """Included, mounted and websocket routes are there, each with a pattern that names it, ruled or by default."""
    demand = Requirement(any_role=frozenset({"lab"}), credentials=frozenset({"key"}), fresh=60)
    app, auth = fitted(database_url, Rule(pattern="/analyses/**", stage=Stage.OBSERVE, requirement=demand))
    with TestClient(app) as client:
        _, admin = sign_in(client, auth, "admin")
        seen = client.get(ADMIN, headers=admin).json()
        assert seen["default"] == "open"
        by_route = {one["route"]: one for one in seen["items"]}
        assert {"GET /analyses/{analysis_id}", "POST /analyses", "GET /v1/explorer/nodes", "WS /live"} <= set(by_route)
        assert not [route for route in by_route if route.startswith(("GET /auth", "PUT /auth"))]
        ruled, free = by_route["GET /analyses/{analysis_id}"], by_route["WS /live"]
        assert (ruled["stage"], ruled["stage_source"], ruled["stated"]) == ("observe", "code", True)
        assert ruled["requirement"] == {
            "credentials": ["key"],
            "roles": ["lab"],
            "permissions": [],
            "scopes": [],
            "fresh": 60,
        }
        assert (free["stage"], free["stage_source"], free["stated"]) == ("open", "default", False)
        for route in by_route:
            changed = client.put(ADMIN, json={"route": route, "stage": "open"}, headers=admin)
            assert changed.status_code == 200, route


def test_a_route_is_turned_and_taken_back_one_step_at_a_time(database_url):
    """A change is in force for the next request; each step back restores what was before it, then there are none."""
    app, auth = fitted(database_url)
    with TestClient(app) as client:
        user_id, admin = sign_in(client, auth, "admin")

        def status():
            return client.get("/analyses/7").status_code

        assert status() == 200
        made = client.put(ADMIN, json={"route": "GET /analyses/{analysis_id}", "stage": "required"}, headers=admin)
        assert made.json() | {"id": "", "at": ""} == {
            "id": "",
            "route": "GET /analyses/{analysis_id}",
            "stage": "required",
            "before": None,
            "percent": 100,
            "until": None,
            "actor": f"user:{user_id}",
            "at": "",
            "reverts": None,
        }
        assert eventually(status, 401) == 401
        client.put(ADMIN, json={"route": " get /analyses/{analysis_id}", "stage": "optional"}, headers=admin)
        assert eventually(status, 200) == 200
        undone = client.post(f"{ADMIN}/back", headers=admin).json()
        assert (undone["stage"], undone["before"]) == ("required", "optional")
        assert eventually(status, 401) == 401
        route = {"route": "GET /analyses/{analysis_id}"}
        assert client.post(f"{ADMIN}/back", json=route, headers=admin).json()["stage"] is None
        assert eventually(status, 200) == 200
        none = client.post(f"{ADMIN}/back", json=route, headers=admin)
        assert (none.status_code, none.json()["code"]) == (404, "nothing_to_take_back")


def test_null_leaves_the_route_to_the_configuration_again(database_url):
    """Stage null is itself a change, attributed, and what the code says is in force again."""
    app, auth = fitted(database_url, Rule(pattern="/analyses/**", stage=Stage.REQUIRED))
    with TestClient(app) as client:
        _, admin = sign_in(client, auth, "admin")
        client.put(ADMIN, json={"route": "/analyses/**", "stage": "open"}, headers=admin)
        assert eventually(lambda: client.get("/analyses/7").status_code, 200) == 200
        cleared = client.put(ADMIN, json={"route": "/analyses/**", "stage": None}, headers=admin).json()
        assert (cleared["stage"], cleared["before"]) == (None, "open")
        assert eventually(lambda: client.get("/analyses/7").status_code, 401) == 401


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"route": "GET /analyses/{analysis_id}", "stage": "closed"}, "invalid_request"),
        ({"route": "GET /analyses/{analysis_id}"}, "invalid_request"),
        ({"route": "", "stage": "open"}, "invalid_request"),
        ({"route": "/" + "x" * 510, "stage": "open"}, "route_pattern_invalid"),
        ({"route": "/analyses/**", "stage": "open", "percent": 101}, "invalid_request"),
        ({"route": "/analyses/**", "stage": "open", "percent": True}, "invalid_request"),
        ({"route": "/analyses/**", "stage": "open", "percentage": 5}, "invalid_request"),
        ({"route": "/nothing", "stage": "open", "force": "yes"}, "invalid_request"),
        ({"route": "/analyses/**", "stage": "open", "until": "2020-01-31"}, "extent_invalid"),
        ({"route": "/analyses/**", "stage": "required", "until": "2999-01-31"}, "extent_invalid"),
        ({"route": "/analyses/**", "stage": None, "percent": 20}, "extent_invalid"),
        ({"route": "FETCH /analyses", "stage": "open"}, "route_pattern_invalid"),
        ({"route": "/a\0", "stage": "open", "force": True}, "route_pattern_invalid"),
        ({"route": "analyses", "stage": "open"}, "route_pattern_invalid"),
        ({"route": "/a/*/b", "stage": "open"}, "route_pattern_invalid"),
        ({"route": "/analysis/**", "stage": "required"}, "route_unknown"),
        ({"route": "DELETE /analyses/{analysis_id}", "stage": "required"}, "route_unknown"),
        ({"route": "GET /analyses/{other}", "stage": "required"}, "route_unknown"),
    ],
)
def test_a_change_that_would_protect_nothing_is_refused(sqlite_url, form, code):
    """Unknown stages, malformed patterns and patterns no route fits are 422, and nothing is written."""
    app, auth = fitted(sqlite_url)
    with TestClient(app) as client:
        _, admin = sign_in(client, auth, "admin")
        refused = client.put(ADMIN, json=form, headers=admin)
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert client.get(f"{ADMIN}/history", headers=admin).json()["items"] == []


def test_force_prepares_a_rule_for_a_route_that_comes_later(database_url):
    """With `force` the change is kept, and holds for a route the moment it is added."""
    app, auth = fitted(database_url)
    with TestClient(app) as client:
        _, admin = sign_in(client, auth, "admin")
        form = {"route": "/later/**", "stage": "required", "force": True}
        assert client.put(ADMIN, json=form, headers=admin).status_code == 200
        app.get("/later/on")(lambda: "on")
        assert eventually(lambda: client.get("/later/on").status_code, 401) == 401


def test_the_history_is_paged_newest_first(database_url):
    """Following `next` shows every change once, the newest first, and ends with null."""
    app, auth = fitted(database_url)
    with TestClient(app) as client:
        _, admin = sign_in(client, auth, "admin")
        stages = ["observe", "optional", "required", "open", "observe"]
        for stage in stages:
            client.put(ADMIN, json={"route": "/analyses/**", "stage": stage}, headers=admin)
        seen, cursor = [], None
        while cursor is not None or not seen:
            query = {"limit": 2, **({"after": cursor} if cursor else {})}
            page = client.get(f"{ADMIN}/history", params=query, headers=admin).json()
            seen += page["items"]
            cursor = page["next"]
        assert [one["stage"] for one in seen] == stages[::-1]
        assert [one["before"] for one in seen] == [*stages[-2::-1], None]
        assert client.get(f"{ADMIN}/history", params={"limit": 101}, headers=admin).status_code == 422


def _forgotten(tx):
    return audit.oldest(tx, audit.Filter(event="UsageForgotten"), after=None, limit=10)


def test_who_would_have_been_refused_is_shown_counted_and_forgotten(database_url):
    """In `observe` answers stay as before; what waits in memory is written before it is shown or deleted."""
    rules = [
        Rule(pattern="/analyses/**", stage=Stage.OBSERVE, requirement=Requirement(any_role=frozenset({"lab"}))),
        Rule(pattern="/v1/explorer/**", stage=Stage.OBSERVE),
    ]
    app, auth = fitted(database_url, *rules)
    with TestClient(app) as client:
        user_id, admin = sign_in(client, auth, "admin")
        assert [client.get("/analyses/7").status_code for _ in range(3)] == [200] * 3
        assert client.get("/analyses/7", headers=admin).status_code == 200
        assert client.get("/analyses/7", headers={"Authorization": "Bearer e30.e30.e30"}).status_code == 200
        assert client.get("/v1/explorer/nodes").status_code == 200
        seen = client.get(f"{ADMIN}/observed", params={"route": "/analyses/**"}, headers=admin).json()["items"]
        counts = {(one["credential"], one["outcome"]): one["requests"] for one in seen}
        assert counts[("none", "credential_missing")] == 4, "a token of somebody else's is no credential of ours"
        assert counts[("token", "permission_missing")] == 1
        assert {one["route"] for one in seen} == {"GET /analyses/{analysis_id}"}
        assert all(one["first_seen"] <= one["last_seen"] and one["last_seen"].endswith("Z") for one in seen)
        assert all(one["key"] is None for one in seen)
        exact = client.get(f"{ADMIN}/observed", params={"route": "GET /v1/explorer/nodes"}, headers=admin).json()
        assert [one["requests"] for one in exact["items"]] == [1]
        client.get("/analyses/8")
        assert client.delete(f"{ADMIN}/observed", headers=admin).status_code == 204
        assert client.get(f"{ADMIN}/observed", headers=admin).json() == {"items": []}
        (told,) = client.portal.call(auth.database.read, _forgotten)
        assert (told.actor, told.facts["rows"] > 0) == (f"user:{user_id}", True)
        wrong = client.get(f"{ADMIN}/observed", params={"route": "nonsense"}, headers=admin)
        assert wrong.json()["code"] == "route_pattern_invalid"


@pytest.mark.req("L6")
def test_a_change_is_in_force_in_another_process_too(database_url):
    """Of two installations on one database, the second hears of a change and of its undoing by the journal alone."""
    (first_app, first), (second_app, _) = fitted(database_url), fitted(database_url)
    with TestClient(first_app) as here, TestClient(second_app) as there:
        _, admin = sign_in(here, first, "admin")
        assert there.get("/analyses/7").status_code == 200
        here.put(ADMIN, json={"route": "/analyses/**", "stage": "required"}, headers=admin)
        assert eventually(lambda: there.get("/analyses/7").status_code, 401) == 401
        shown = {one["route"]: one for one in there.get(ADMIN, headers=admin).json()["items"]}
        assert shown["POST /analyses"]["stage_source"].startswith("run time, user:")
        here.post(f"{ADMIN}/back", headers=admin)
        assert eventually(lambda: there.get("/analyses/7").status_code, 200) == 200


def test_a_change_survives_a_restart(database_url):
    """An installation that starts later begins with the changes in force."""
    app, auth = fitted(database_url)
    with TestClient(app) as client:
        _, admin = sign_in(client, auth, "admin")
        client.put(ADMIN, json={"route": "/analyses/**", "stage": "required"}, headers=admin)
    later, _ = fitted(database_url)
    with TestClient(later) as client:
        assert client.get("/analyses/7").status_code == 401
