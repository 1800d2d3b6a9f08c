"""Tokens that the template issued: taken until the date, in every place, and ended by what ends an account's tokens."""

from __future__ import annotations

from datetime import UTC, datetime

import jwt
import pytest
from fastapi.testclient import TestClient

from profiles.full_stack_template.office import (
    API,
    BETTER,
    GOOD,
    SECRET_KEY,
    UNTIL,
    change,
    moved,
    office,
    old_token,
    signed_in,
)
from rimlock.core import accounts
from rimlock.core.errors import ConfigurationError
from rimlock.profiles.full_stack_template import LegacyTokens

pytestmark = [pytest.mark.req("L9")]

ME = f"{API}/users/me"


def both(client, headers):
    """Ask the dialect, and a route of the host's behind the gate's own dependency."""
    return client.get(ME, headers=headers).status_code, client.get(f"{API}/whoami", headers=headers).status_code


def test_they_are_taken_until_the_date(database_url, clock):
    """By the dialect and by the gate; afterwards they are worth nothing, whatever they say themselves."""
    app, auth, _ = office(database_url, clock, legacy=True)
    with TestClient(app) as client:
        ann = old_token(moved(client, auth, "ann@example.com"), clock, seconds=90 * 86_400)
        assert both(client, ann) == (200, 200)
        assert client.get(f"{API}/whoami", headers=ann).json()["kind"] == "external"
        clock.advance(datetime(2027, 2, 2, tzinfo=UTC).timestamp() - clock())
        assert both(client, ann) == (403, 401)


def test_without_a_date_they_are_not_taken(sqlite_url, clock):
    """The default."""
    app, auth, _ = office(sqlite_url, clock)
    with TestClient(app) as client:
        assert both(client, old_token(moved(client, auth, "ann@example.com"), clock)) == (403, 401)


@pytest.mark.attack("token forgery")
@pytest.mark.parametrize(
    ("claims", "options"),
    [
        ({}, {"secret": "another-Kf8Qz2Vn6Xw4Lp9RtB3sYc7Hg"}),
        ({}, {"seconds": -1}),
        ({"aud": "fastapi-users:auth"}, {}),
        ({"nbf": 0}, {}),
        ({"iss": "elsewhere"}, {}),
        ({"sub": "ann@example.com"}, {}),
        ({"sub": "00000000-0000-0000-0000-000000000007", "is_superuser": True}, {}),
    ],
)
def test_what_the_template_never_issued_is_refused(sqlite_url, clock, claims, options):
    """Another secret, another time, other claims."""
    app, auth, _ = office(sqlite_url, clock, legacy=True)
    with TestClient(app) as client:
        token = old_token(moved(client, auth, "ann@example.com"), clock, **options, **claims)
        assert both(client, token) == (403, 401)


@pytest.mark.attack("alg none")
def test_a_token_that_nobody_signed_is_refused(sqlite_url, clock):
    """Or that says another algorithm."""
    app, auth, _ = office(sqlite_url, clock, legacy=True)
    with TestClient(app) as client:
        said = {"sub": moved(client, auth, "ann@example.com"), "exp": int(clock()) + 60}
        for algorithm, key in (("none", None), ("HS512", SECRET_KEY * 2), ("HS384", SECRET_KEY * 2)):
            token = jwt.encode(said, key, algorithm=algorithm)
            assert both(client, {"Authorization": f"Bearer {token}"}) == (403, 401)


@pytest.mark.attack("cross-purpose use of a link")
def test_a_link_that_the_template_mailed_opens_nothing(database_url, clock):
    """It is signed with the same secret, and is neither a sign-in nor a way to choose a password."""
    app, auth, _ = office(database_url, clock, legacy=True)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com")
        link = old_token("ann@example.com", clock, nbf=int(clock()))
        assert both(client, link) == (403, 401)
        for header in (link, old_token(user_id, clock)):
            sent = {"token": header["Authorization"].removeprefix("Bearer "), "new_password": BETTER}
            answer = client.post(f"{API}/reset-password/", json=sent)
            assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid token"})
        signed_in(client, "ann@example.com", GOOD)


@pytest.mark.asvs("V7.4.1", "V7.4.3")
def test_they_end_with_the_password(database_url, clock):
    """Every one of them, at once, also the one that the change was made with; new ones are issued as ever."""
    app, auth, _ = office(database_url, clock, legacy=True)
    with TestClient(app) as client:
        user_id = moved(client, auth, "ann@example.com")
        one, other = old_token(user_id, clock), old_token(user_id, clock, seconds=600)
        sent = {"current_password": GOOD, "new_password": BETTER}
        assert client.patch(f"{ME}/password", json=sent, headers=one).status_code == 200
        assert both(client, one) == both(client, other) == (403, 401)
        assert both(client, signed_in(client, "ann@example.com", BETTER)) == (200, 200)


@pytest.mark.parametrize(("what", "expected"), [("disabled", (400, 401)), ("roles", (403, 401)), ("gone", (404, 401))])
def test_they_end_with_what_they_rest_on(database_url, clock, what, expected):
    """A disabled account, other roles, no account: and whoever holds the token is told what the template told."""
    app, auth, _ = office(database_url, clock, legacy=True)
    with TestClient(app) as client:
        user_id, now = moved(client, auth, "ann@example.com"), auth.context.now()
        ann = old_token(user_id, clock)
        assert both(client, ann) == (200, 200)
        ends = {
            "disabled": lambda tx: accounts.set_active(tx, user_id, active=False, now=now),
            "roles": lambda tx: accounts.set_roles(tx, user_id, ["analyst"], now=now),
            "gone": lambda tx: auth.context.users.delete(tx, user_id),
        }
        change(client, auth, ends[what])
        assert both(client, ann) == expected


def test_they_are_never_a_recent_sign_in(sqlite_url, clock):
    """They do not say when that was: another address needs a new one."""
    app, auth, _ = office(sqlite_url, clock, legacy=True)
    with TestClient(app) as client:
        ann = old_token(moved(client, auth, "ann@example.com"), clock)
        answer = client.patch(ME, json={"email": "eve@example.com"}, headers=ann)
        assert (answer.status_code, answer.json()) == (403, {"detail": "Sign in again to do this."})
        assert client.delete(ME, headers=ann).status_code == 403
        assert client.patch(ME, json={"full_name": "Ann"}, headers=ann).json()["full_name"] == "Ann"


@pytest.mark.parametrize("secret", ["changethis", "x" * 40])
def test_a_secret_that_could_be_guessed_is_not_taken(secret):
    """Whoever guesses it makes tokens for everybody, until the date. The secret is not in the sentence."""
    with pytest.raises(ConfigurationError, match="SECRET_KEY") as refused:
        LegacyTokens(secret=secret, until=UNTIL)
    assert secret not in str(refused.value)
    assert SECRET_KEY not in repr(LegacyTokens(secret=SECRET_KEY, until=UNTIL))
