"""Every route that can start a session or tests a secret is limited, and a route that is not listed here fails."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from features.password.office import ANN, GOOD, SECRET, CountingHasher, bearer, visiting
from rimlock import Rimlock, Settings
from rimlock.core.events import Event
from rimlock.core.proving import PasswordRecheckFailed

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13")]
PAGE = Path(__file__).parents[2] / "docs/explanation/limits-and-lockout.md"
NO_LINK = "0" * 32 + "." + "A" * 43

GUESSES = {
    ("POST", "/auth/login"): {"json": {"login": "ann", "password": "wrong"}},
    ("POST", "/auth/token"): {"data": {"grant_type": "password", "username": "ann", "password": "wrong"}},
    ("POST", "/auth/password"): {"json": {"current_password": "wrong", "new_password": "eleven quiet harbours"}},
    ("POST", "/auth/email"): {"json": {"new_email": "bo@example.com", "password": "wrong"}},
    ("DELETE", "/auth/me"): {"json": {"password": "wrong"}},
    ("POST", "/auth/password/forced"): {"json": {"pending_token": NO_LINK, "new_password": GOOD}},
    ("POST", "/auth/register"): {"json": {"email": "cy@example.com", "password": GOOD, "invitation": "AAAA-BBBB-CCCC"}},
    ("POST", "/auth/verify-email"): {"json": {"token": NO_LINK}},
    ("POST", "/auth/reset-password"): {"json": {"token": NO_LINK, "password": GOOD}},
    ("POST", "/auth/change-email"): {"json": {"email": "bo@example.com", "current_password": "wrong"}},
    ("POST", "/auth/change-email/confirm"): {"json": {"token": NO_LINK}},
    ("POST", "/auth/oauth/exchange"): {"json": {"code": NO_LINK}},
    ("GET", "/auth/first-admin"): {"params": {"token": NO_LINK}},
    ("POST", "/auth/first-admin"): {"json": {"token": NO_LINK, "email": "di@example.com", "password": GOOD}},
}
"""A wrong guess at the secret of each route."""

NOT_GUESSED = {("POST", "/auth/refresh"), ("POST", "/auth/logout")}
"""What is presented there carries a code of 256 bits that is checked before anything is looked up."""

NOTHING_SECRET = {
    ("GET", "/auth/registration"),
    ("GET", "/auth/jwks.json"),
    ("GET", "/auth/health"),
    ("GET", "/auth/health/live"),
    ("POST", "/auth/verify-email/request"),
    ("POST", "/auth/forgot-password"),
    ("GET", "/auth/oauth"),
    ("GET", "/auth/oauth/{provider}"),
}
SECRET_FIELDS = {"password", "current_password", "token", "pending_token", "invitation", "code", "refresh_token"}


def whole(url, **settings):
    """Return an application with everything that comes with Rimlock."""
    hasher, events = CountingHasher(), []
    given = Settings(secrets=[SECRET], database=url, create_tables=True, hash_queue=100, **settings)
    auth = Rimlock(given, hasher=hasher)
    auth.on(Event, events.append)
    app = FastAPI()
    auth.install(app)
    return app, auth, hasher, events


def own_routes(app):
    """Return method, path and operation of every route of ours, also of the one that is not in the document."""
    found = {
        (method.upper(), path): operation
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
        if path.startswith("/auth")
    }
    return {**found, ("GET", "/auth/first-admin"): {}}


def secrets_of(app, operation):
    """Return the fields of a request that hold a secret."""
    schemas, found = app.openapi()["components"]["schemas"], set()
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        for part in schema.get("anyOf", [schema]):
            named = schemas[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            found |= SECRET_FIELDS & set(named.get("properties", {}))
    return found


@pytest.mark.asvs("6.1.3", "6.3.4")
async def test_no_route_that_tests_a_secret_is_missing_here(sqlite_url):
    """A route with a secret in its form is guessed at below; one without any needs a credential or is public."""
    app, auth, _, _ = whole(sqlite_url)
    async with visiting(app, auth) as client:
        for (method, path), operation in own_routes(app).items():
            if secrets_of(app, operation) or "first-admin" in path:
                assert (method, path) in set(GUESSES) | NOT_GUESSED, (method, path)
            elif (method, path) not in NOTHING_SECRET:
                answer = await client.request(method, re.sub(r"\{\w+\}", "x", path))
                assert answer.status_code == 401, (method, path)


@pytest.mark.asvs("6.3.4", "6.2.3", "6.6.3")
@pytest.mark.parametrize(("method", "path"), GUESSES)
async def test_the_sixth_guess_is_turned_away(database_url, method, path):
    """With one answer everywhere, and after at most five tests of the secret."""
    app, auth, hasher, _ = whole(database_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        headers = bearer(await client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        hasher.work.clear()
        answers = [await client.request(method, path, headers=headers, **GUESSES[method, path]) for _ in range(8)]
        statuses = [answer.status_code for answer in answers]
        assert set(statuses[:5]) <= {400, 401, 403}
        assert statuses[5:] == [429] * 3
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers[5:])
        if method != "GET":
            assert answers[-1].json()["code"] == "too_many_attempts"
        assert len(hasher.work) <= 5


@pytest.mark.asvs("6.2.3")
async def test_a_session_that_guesses_the_password_closes_itself_alone(sqlite_url, clock):
    """Five wrong ones in a row are told as events; another session of the same account goes on; so does the owner."""
    app, auth, _, events = whole(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        sent = {"login": "ann", "password": GOOD}
        stolen, own = [bearer(await client.post("/auth/login", json=sent)) for _ in range(2)]
        wrong = {"new_email": "eve@example.com", "password": "wrong"}
        for path, body in (("/auth/email", wrong), ("/auth/password", GUESSES["POST", "/auth/password"]["json"])) * 3:
            await client.post(path, json=body, headers=stolen)
        right = {"new_email": "ann2@example.com", "password": GOOD}
        assert (await client.post("/auth/email", json=right, headers=stolen)).status_code == 429
        assert (await client.post("/auth/email", json=right, headers=own)).status_code == 200
        assert sum(type(event) is PasswordRecheckFailed for event in events) == 5


async def test_a_registration_that_succeeds_costs_one_of_the_hour(sqlite_url):
    """Three an hour when that is the setting; mistakes of form cost nothing."""
    app, auth, _, _ = whole(sqlite_url, registration_rate=3)
    async with visiting(app, auth) as client:
        for _ in range(8):
            bad = await client.post("/auth/register", json={"email": "ann@example.com", "password": "short"})
            assert bad.status_code == 422
        found = [
            (await client.post("/auth/register", json={"email": f"user{n}@example.com", "password": GOOD})).status_code
            for n in range(5)
        ]
        assert found == [201] * 3 + [429] * 2


@pytest.mark.attack("account enumeration by registration")
async def test_asking_which_addresses_are_taken_is_limited(sqlite_url):
    """Five conflicts a minute from one address."""
    app, auth, _, _ = whole(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        found = [(await client.post("/auth/register", json=ANN)).status_code for _ in range(7)]
        assert found == [409] * 5 + [429] * 2


@pytest.mark.asvs("6.1.1", "6.1.3", "2.1.3")
def test_the_page_names_every_way_in_and_the_defaults():
    """The table of ways is the one that is tested here, and the numbers are those of the settings."""
    page = PAGE.read_text()
    rows = set(re.findall(r"^\| `(\w+) (/auth[^`]*)`", page, re.MULTILINE))
    assert rows == set(GUESSES) | NOT_GUESSED
    defaults = {field.name: field.default for field in fields(Settings)}
    told = dict(re.findall(r"^\| `(\w+)` \| (\d+)", page, re.MULTILINE))
    assert set(told) == {
        "login_rate",
        "lockout_after",
        "lockout_time",
        "failures_in_all",
        "registration_rate",
        "known_device",
    }
    for name, number in told.items():
        value = defaults[name]
        units = {"lockout_time": timedelta(minutes=1), "known_device": timedelta(days=1)}
        assert int(number) == (value / units[name] if name in units else value)
