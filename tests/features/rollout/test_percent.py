"""A stage for some of the callers: the same ones always, more when it grows, and dates by which it is to be over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from access.host import KEY, Keys, eventually, fitted
from rimlock import Rule, Stage
from rimlock.features.rollout import RolloutFeature
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("L2", "L3")

ADMIN = "/auth/admin/rollout"
AGENTS = [f"program-{number}/1" for number in range(60)]


def application(url, **given):
    """Return a fitted application with one route that is observed."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    given.setdefault("rules", [Rule(pattern="/x", stage=Stage.OBSERVE)])
    return app, fitted(app, url, features=[RolloutFeature(), Keys()], **given)


def refused(client):
    """Return which of many callers from one address are refused."""
    return {agent for agent in AGENTS if client.get("/x", headers={"User-Agent": agent}).status_code == 401}


def shown(client, admin):
    """Return what the overview says of the route."""
    items = client.get(ADMIN, headers=admin).json()["items"]
    return next(one for one in items if one["route"] == "GET /x")


def turn(client, admin, percent, **more):
    """Require the route for so many callers, and wait until the gate has heard of it."""
    form = {"route": "GET /x", "stage": "required", "percent": percent, **more}
    answer = client.put(ADMIN, json=form, headers=admin)
    assert answer.status_code == 200, answer.text
    assert eventually(lambda: shown(client, admin)["percent"], percent) == percent
    return answer.json()


def test_the_same_callers_are_on_the_same_side_in_every_process_and_after_a_restart(database_url):
    """A share of strangers, told apart by program; growing adds some and loses none; everybody at 100, none at 0."""
    (app, auth), (other, _) = application(database_url), application(database_url)
    with TestClient(app) as client, TestClient(other) as elsewhere:
        admin = sign_in(auth, client, roles=["admin"]).headers
        sides = []
        for percent in (0, 20, 50, 100):
            turn(client, admin, percent)
            sides.append(refused(client))
            assert refused(client) == sides[-1]
            assert eventually(lambda: refused(elsewhere) == sides[-1], wanted=True)
        assert (sides[0], sides[3]) == (set(), set(AGENTS))
        assert sides[0] < sides[1] < sides[2] < sides[3]
        turn(client, admin, 50)
    restarted, _ = application(database_url)
    with TestClient(restarted) as client:
        assert refused(client) == sides[2]


def test_somebody_who_is_known_is_told_apart_by_who_they_are(sqlite_url):
    """A key and a user stay on their side whatever program they use; those left out keep what held before."""
    app, auth = application(sqlite_url, rules=[Rule(pattern="/x", stage=Stage.OPTIONAL)])
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"]).headers
        people = [sign_in(auth, client, email=f"p{number}@example.com").headers for number in range(12)]
        demand = Rule(pattern="/x", requirement=_nobody_has_it())
        auth.judge.rules = type(auth.judge.rules)(code=(*auth.judge.rules.code, demand))
        turn(client, admin, 50)
        answers = [{client.get("/x", headers={**p, "User-Agent": a}).status_code for a in AGENTS[:8]} for p in people]
        assert all(len(each) == 1 for each in answers)
        assert {200, 403} == set().union(*answers)
        key = {client.get("/x", headers={"X-API-Key": KEY, "User-Agent": a}).status_code for a in AGENTS[:20]}
        assert len(key) == 1


@pytest.mark.parametrize("on_stale", ["refuse", "ask"])
def test_who_shows_nothing_stays_on_their_side_while_revocations_are_unknown(postgres_url, on_stale):
    """Where a caller without a credential stands rests on no journal: whoever is refused stays refused meanwhile."""
    hour = timedelta(hours=1)
    never = {"listen": False, "poll_interval": hour, "max_staleness": timedelta(microseconds=1), "on_stale": on_stale}
    rules = [Rule(pattern="/x", stage=Stage.OBSERVE), Rule(pattern="GET /x", stage=Stage.REQUIRED, percent=50)]
    (app, _), (deaf, _) = application(postgres_url, rules=rules), application(postgres_url, rules=rules, **never)
    with TestClient(app) as client:
        side = refused(client)
    assert set() < side < set(AGENTS)
    with TestClient(deaf) as client:
        assert refused(client) == side


def _nobody_has_it():
    from rimlock import Requirement

    return Requirement(any_role=frozenset({"nobody has this"}))


def test_a_partial_change_is_shown_and_taken_back(database_url):
    """The overview and the history say the percentage; one step back is exactly what was before."""
    app, auth = application(database_url)
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"]).headers
        made = turn(client, admin, 20, until="2999-01-31")
        assert (made["percent"], made["until"]) == (20, "2999-01-31T23:59:59Z")
        found = shown(client, admin)
        assert (found["stage"], found["percent"], found["otherwise"]) == ("required", 20, "observe")
        assert (found["until"], found["overdue"]) == ("2999-01-31T23:59:59Z", False)
        client.post(f"{ADMIN}/back", headers=admin)
        assert eventually(lambda: shown(client, admin)["stage"], "observe") == "observe"
        assert refused(client) == set()


def test_a_document_says_of_a_partly_required_route_that_a_credential_may_be_left_out(sqlite_url):
    """OpenAPI shows the alternatives and none; for everybody it shows the alternatives alone."""
    for percent, optional in ((20, True), (100, False)):
        app, _ = application(sqlite_url, rules=[Rule(pattern="/x", stage=Stage.REQUIRED, percent=percent)])
        with TestClient(app) as client:
            security = client.get("/openapi.json").json()["paths"]["/x"]["get"]["security"]
        assert ({} in security) is optional
        assert {"RimlockBearer": []} in security
