"""Requests that are refused are told to observers and to the log, and a flood of them is told as a number."""

from __future__ import annotations

import logging

import pytest
from fastapi.testclient import TestClient

from audit.office import GOOD, fitted, rows
from rimlock import Requirement, Rule, Stage
from rimlock.core.errors import CredentialMissing
from rimlock.testing import FrozenClock, sign_in
from rimlock.web.refusals import LARGEST, RequestRefused

pytestmark = [pytest.mark.req("T4"), pytest.mark.asvs("16.3.2", "16.3.3")]

RULES = (
    Rule(pattern="GET /items/{item_id}", stage=Stage.REQUIRED),
    Rule(pattern="GET /closed", stage=Stage.REQUIRED, requirement=Requirement(any_role=frozenset({"boss"}))),
)


def refusals(events):
    """Return what was told of refused requests, and forget it."""
    found = [event for event in events if type(event) is RequestRefused]
    events.clear()
    return found


def test_each_way_to_be_refused_is_told_once(database_url):
    """Nothing sent, a forged token, an unknown key, an ended session, a missing role: route, code, who, from where."""
    app, auth, events = fitted(database_url, rules=RULES)
    app.get("/closed")(lambda: "closed")
    with TestClient(app, client=("203.0.113.9", 5), headers={"User-Agent": "Desk"}) as client:
        ann = sign_in(auth, client, email="ann@example.com")
        head, body, seal = ann.access_token.split(".")
        forged = {"Authorization": f"Bearer {head}.{body}.{'A' * len(seal)}"}
        events.clear()
        client.get("/items/1")
        (told,) = refusals(events)
        assert (told.route, told.code, told.credential) == ("GET /items/{item_id}", "credential_missing", "")
        assert (told.address, told.acting.agent, told.acting.actor) == ("203.0.113.9", "Desk", "")
        client.get("/items/2", headers=forged)
        (told,) = refusals(events)
        assert (told.code, told.credential) == ("credential_invalid", "token")
        client.get("/closed", headers=ann.headers)
        (told,) = refusals(events)
        assert (told.code, told.credential, told.user_id) == ("permission_missing", "token", ann.user.id)
        assert told.acting.actor == f"user:{ann.user.id}"
    with TestClient(app, client=("203.0.113.10", 5)) as client:
        client.get("/items/1", headers={"X-API-Key": f"rl_{'A' * 43}"})
        assert [(one.code, one.address) for one in refusals(events)] == [("credential_missing", "203.0.113.10")]
        client.get("/mine")
        assert refusals(events) == [], "the same address with the same code, a moment ago"
        client.get("/mine", headers=forged)
        assert [(one.route, one.code) for one in refusals(events)] == [("GET /mine", "credential_invalid")]
        assert rows(client, auth, event="RequestRefused") == []


def test_our_own_routes_tell_as_well(database_url):
    """A stranger at an administrator's route, a cross-site refresh, a made-up refresh token, a wrong one-time link."""
    app, auth, events = fitted(database_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client, email="ann@example.com")
        events.clear()
        client.get("/auth/admin/audit", headers=ann.headers)
        (told,) = refusals(events)
        assert (told.code, told.acting.actor) == ("permission_missing", f"user:{ann.user.id}")
        assert told.route == "GET /auth/admin/audit"
        client.post("/auth/refresh", json={"refresh_token": "rubbish"})
        assert [(one.route, one.code) for one in refusals(events)] == [("POST /auth/refresh", "credential_invalid")]
        client.post("/auth/refresh", headers={"Cookie": "__Host-rimlock=rubbish"})
        assert [one.code for one in refusals(events)] == ["cross_site_request"]
        client.post("/auth/first-admin", json={"email": "r@example.com", "token": "rubbish", "password": GOOD})
        assert [one.code for one in refusals(events)] == ["challenge_refused"]
        client.post("/auth/login", json={"login": "ann", "password": "not the right one"})
        assert refusals(events) == [], "a failed sign-in has an event of its own"
    with TestClient(app) as client:
        client.get("/auth/me")
        client.get("/auth/nothing")
        assert [one.code for one in refusals(events)] == ["credential_missing"]


def test_nobody_is_told_of_what_is_let_through(database_url):
    """Open and observed routes and optional dependencies refuse nobody, so nothing is told."""
    app, auth, events = fitted(database_url, rules=[Rule(pattern="GET /open", stage=Stage.OBSERVE)])
    with TestClient(app) as client:
        ann = sign_in(auth, client, email="ann@example.com")
        events.clear()
        assert client.get("/open").status_code == 200
        assert client.get("/items/1").status_code == 200
        assert client.get("/mine", headers=ann.headers).status_code == 200
        assert refusals(events) == []


@pytest.mark.attack("log flooding")
def test_a_flood_is_told_as_a_number(sqlite_url, caplog):
    """A thousand refusals of one address in a minute are two events: the first, and how many followed."""
    clock = FrozenClock()
    app, _, events = fitted(sqlite_url, rules=RULES, clock=clock)
    with TestClient(app) as client:
        events.clear()
        with caplog.at_level(logging.INFO, "rimlock.audit"):
            for _ in range(1_000):
                client.get("/items/1")
        assert [one.requests for one in refusals(events)] == [1]
        assert len([one for one in caplog.records if one.name == "rimlock.audit"]) == 1
        clock.advance(61)
        client.get("/items/1")
        assert [one.requests for one in refusals(events)] == [1_000]
        client.get("/items/1")
    assert [one.requests for one in refusals(events)] == [1], "what was not told yet is told at the stop"


@pytest.mark.attack("memory exhaustion")
def test_many_addresses_fill_neither_memory_nor_the_log(sqlite_url):
    """Strangers from more addresses than are kept apart are told as one, and the memory is as large as before."""
    app, auth, events = fitted(sqlite_url, rules=RULES)
    with TestClient(app):
        events.clear()
        for number in range(LARGEST * 3):
            scope = {"client": (f"2001:db8::{number:x}", 1), "headers": [], "method": "GET"}
            auth.judge._refused(scope, CredentialMissing(), None, None)  # noqa: SLF001 - three thousand clients
        told = refusals(events)
    assert len(told) <= LARGEST + 1
    assert sum(one.requests for one in told) <= LARGEST * 3
