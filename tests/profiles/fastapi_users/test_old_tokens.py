"""Tokens that were issued before: good until the date, ended for good by signing out, exchanged once."""

from __future__ import annotations

import json
import uuid
from base64 import urlsafe_b64encode
from datetime import date

import jwt
import pytest
from fastapi.testclient import TestClient

from profiles.fastapi_users.town import (
    BETTER,
    GOOD,
    OLD,
    PLAIN,
    bearing,
    hash_of,
    moved,
    old_token,
    town,
)
from rimlock import ConfigurationError
from rimlock.core import accounts
from rimlock.profiles.fastapi_users import LegacyTokens

pytestmark = [pytest.mark.req("L9")]

HOUR, DAY = 3600, 86400


def me(client, token):
    """Ask who a token is."""
    return client.get("/users/me", headers=bearing(token))


def test_an_old_token_is_good_on_every_kind_of_route(database_url, clock):
    """The dialect, a route of the host's and one of its own checks all know who it is, under the id it had."""
    app, auth, _ = town(database_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        token = old_token(ann, exp=int(clock()) + DAY)
        assert me(client, token).json()["id"] == str(ann)
        assert client.get("/native", headers=bearing(token)).json() == {"id": str(ann)}
        cookie = {"Cookie": f"fastapiusersauth={token}"}
        assert client.get("/users/me", headers=cookie).json()["email"] == "ann@example.com"
        assert client.get("/native", headers=cookie).status_code == 200


def test_signing_out_ends_an_old_token_in_every_process(database_url, clock):
    """It works nowhere any more, neither here nor in a process that never heard of it before."""
    app, auth, _ = town(database_url, clock)
    other, _, _ = town(database_url, clock)
    with TestClient(app) as client, TestClient(other) as elsewhere:
        ann = moved(client, auth, "ann@example.com")
        token, kept = old_token(ann, exp=int(clock()) + DAY), old_token(ann, exp=int(clock()) + DAY + 1)
        assert me(elsewhere, token).status_code == 200
        assert client.post("/auth/jwt/logout", headers=bearing(token)).status_code == 204
        assert [me(one, token).status_code for one in (client, elsewhere)] == [401, 401]
        assert client.get("/native", headers=bearing(token)).status_code == 401
        assert client.post("/auth/jwt/logout", headers=bearing(token)).status_code == 401
        assert me(elsewhere, kept).status_code == 200


def test_old_tokens_are_over_after_the_date(sqlite_url, clock):
    """Also one that would never have expired by itself."""
    app, auth, _ = town(sqlite_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        endless, short = old_token(ann), old_token(ann, exp=int(clock()) + HOUR)
        assert [me(client, one).status_code for one in (endless, short)] == [200, 200]
        clock.advance(HOUR)
        assert [me(client, one).status_code for one in (endless, short)] == [200, 401]
        clock.advance(32 * DAY)
        assert me(client, endless).status_code == 401


def test_an_old_token_is_exchanged_once(database_url, clock):
    """What is given for it is an access token of today, on a session; the old one is worth nothing then."""
    app, auth, _ = town(database_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        token = old_token(ann, exp=int(clock()) + DAY)
        answer = client.post("/auth/jwt/exchange", headers=bearing(token))
        assert (answer.status_code, answer.json()["token_type"]) == (200, "bearer")
        assert me(client, answer.json()["access_token"]).json()["id"] == str(ann)
        assert me(client, token).status_code == 401
        assert client.post("/auth/jwt/exchange", headers=bearing(token)).status_code == 401
        given = bearing(answer.json()["access_token"])
        assert client.patch("/users/me", json={"password": BETTER}, headers=given).status_code == 403


@pytest.mark.parametrize("change", ["password", "disabled", "roles", "deleted"])
def test_old_tokens_end_when_what_they_rest_on_changes(database_url, clock, change):
    """Another password, other rights, a disabled account or a deleted one end all of a user's old tokens at once."""
    app, auth, _ = town(database_url, clock)
    with TestClient(app) as client:
        ann, boss = moved(client, auth, "ann@example.com"), moved(client, auth, "boss@example.com", roles=("admin",))
        token = old_token(ann, exp=int(clock()) + DAY)
        signed_in = client.post("/auth/jwt/login", data={"username": "ann@example.com", "password": GOOD}).json()
        ruling = bearing(old_token(boss, exp=int(clock()) + DAY))
        assert me(client, token).status_code == 200
        path = f"/users/{ann}"
        answer = {
            "password": lambda: client.patch(
                "/users/me", json={"password": BETTER}, headers=bearing(signed_in["access_token"])
            ),
            "disabled": lambda: client.patch(path, json={"is_active": False}, headers=ruling),
            "roles": lambda: client.patch(path, json={"is_superuser": True}, headers=ruling),
            "deleted": lambda: client.delete(path, headers=ruling),
        }[change]()
        assert answer.status_code in {200, 204}
        assert me(client, token).status_code == 401
        if change == "disabled":
            client.patch(path, json={"is_active": True}, headers=ruling)
            assert me(client, token).status_code == 401


def test_signing_out_everywhere_ends_old_tokens_that_nobody_has_seen(database_url, clock):
    """Also where nothing else was signed in, and but for the device it is done on."""
    app, auth, _ = town(database_url, clock, native=True, prefix="/native-auth")
    with TestClient(app) as client:
        ann, bob = moved(client, auth, "ann@example.com"), moved(client, auth, "bob@example.com")
        token, others = (old_token(one, exp=int(clock()) + DAY) for one in (ann, bob))
        login = {"login": "ann@example.com", "password": GOOD}
        mine = bearing(client.post("/native-auth/login", json=login).json()["access_token"])
        assert client.post("/native-auth/logout-all", json={"keep_current": True}, headers=mine).status_code == 200
        assert [me(client, one).status_code for one in (token, others)] == [401, 200]
        assert client.get("/users/me", headers=mine).status_code == 200


@pytest.mark.attack("token forgery")
def test_forged_and_foreign_tokens_are_nobody(sqlite_url, clock):
    """Another secret, algorithm, audience or subject, no signature, and claims that are none."""
    app, auth, _ = town(sqlite_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        later = int(clock()) + DAY
        none = jwt.encode({"sub": str(ann), "aud": ["fastapi-users:auth"], "exp": later}, None, algorithm="none")
        bad = [
            old_token(ann, exp=later, secret="x" + OLD[1:]),
            old_token(ann, exp=later, audience=("fastapi-users:reset",)),
            old_token(ann, exp=later, audience="fastapi-users:verify"),
            old_token(uuid.uuid4(), exp=later),
            old_token("no-id", exp=later),
            old_token(f"urn:uuid:{uuid.uuid4()}", exp=later),
            old_token(ann, exp=later, iss="http://localhost:8000"),
            f"{old_token(ann, exp=later)}=",
            none,
            old_token(ann, exp=later, nbf="soon", aud="fastapi-users:auth ") + "x",
        ]
        assert [me(client, token).status_code for token in bad] == [401] * len(bad)
        assert [client.get("/native", headers=bearing(token)).status_code for token in bad] == [401] * len(bad)


def test_a_second_spelling_of_an_ended_token_is_refused(sqlite_url, clock):
    """A digest of the text would miss it; the strict reader does not take it in the first place."""
    app, auth, _ = town(sqlite_url, clock)
    with TestClient(app) as client:
        token = old_token(moved(client, auth, "ann@example.com"), exp=int(clock()) + DAY)
        client.post("/auth/jwt/logout", headers=bearing(token))
        head, body, seal = token.split(".")
        loose = urlsafe_b64encode(json.dumps(json.loads(_decoded(body)), indent=1).encode()).decode()
        spellings = [f"{head}.{body}.{seal}=", f"{head}.{body}={'.'}{seal}", f"{head}.{loose}.{seal}", f" {token} "]
        assert [me(client, one).status_code for one in spellings] == [401] * len(spellings)


def _decoded(text):
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.attack("weak HMAC secret")
@pytest.mark.parametrize("secret", ["SECRET", "changeme" * 4, "a" * 32, "short"])
def test_a_secret_that_can_be_guessed_is_not_taken(secret):
    """Whoever guesses it makes tokens for everybody, until the date."""
    with pytest.raises(ConfigurationError, match="sign in once more") as refused:
        LegacyTokens(secret=secret, until=date(2030, 1, 1))
    assert secret not in str(refused.value)


def test_secrets_stand_in_no_representation():
    """Neither in that of the profile's choices."""
    assert OLD not in repr(LegacyTokens(secret=OLD, until=date(2030, 1, 1), reset_secret=OLD, verify_secret=OLD))


def reset_token(client, auth, which, **claims):
    """Return the link's secret as FastAPI Users mailed it."""
    fingerprint = PLAIN.hash(hash_of(client, auth, which))
    return old_token(which, audience="fastapi-users:reset", password_fgpt=fingerprint, **claims)


def test_an_old_reset_link_works_once(database_url, clock):
    """The password is replaced; the link, and another of the same time, are worth nothing then."""
    app, auth, _ = town(database_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        first, second = (reset_token(client, auth, ann, exp=int(clock()) + HOUR + extra) for extra in (0, 1))
        weak = client.post("/auth/reset-password", json={"token": first, "password": "12345678"})
        assert weak.json()["detail"]["code"] == "RESET_PASSWORD_INVALID_PASSWORD"
        answer = client.post("/auth/reset-password", json={"token": first, "password": BETTER})
        assert (answer.status_code, answer.json()) == (200, None)
        for token in (first, second):
            again = client.post("/auth/reset-password", json={"token": token, "password": GOOD})
            assert again.json() == {"detail": "RESET_PASSWORD_BAD_TOKEN"}
        assert (
            client.post("/auth/jwt/login", data={"username": "ann@example.com", "password": BETTER}).status_code == 200
        )


@pytest.mark.attack("cross-purpose use of a link")
def test_old_links_of_another_kind_or_user_are_bad(sqlite_url, clock):
    """A fingerprint of another hash, a token that signs in, one that is over, and one that proves an address."""
    app, auth, _ = town(sqlite_url, clock, login_rate=6)
    with TestClient(app) as client:
        ann, bob = moved(client, auth, "ann@example.com"), moved(client, auth, "bob@example.com")
        later = int(clock()) + HOUR
        others = PLAIN.hash(hash_of(client, auth, bob))
        bad = [
            old_token(ann, audience="fastapi-users:reset", password_fgpt=others, exp=later),
            old_token(ann, audience="fastapi-users:reset", exp=later),
            old_token(ann, exp=later),
            old_token(ann, audience="fastapi-users:verify", email="ann@example.com", exp=later),
            reset_token(client, auth, ann, exp=int(clock()) - 1),
            reset_token(client, auth, ann, exp=later)[:-2],
        ]
        for token in bad:
            answer = client.post("/auth/reset-password", json={"token": token, "password": BETTER})
            assert (answer.status_code, answer.json()) == (400, {"detail": "RESET_PASSWORD_BAD_TOKEN"})
        guess = client.post("/auth/reset-password", json={"token": bad[0], "password": BETTER})
        assert (guess.status_code, guess.json()) == (429, {"detail": "Too Many Requests"})


def test_an_old_link_proves_the_address_it_was_mailed_to(database_url, clock):
    """Once, and only while the user still has that address."""
    app, auth, _ = town(database_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        later = int(clock()) + HOUR

        def link(email):
            return old_token(ann, audience="fastapi-users:verify", email=email, exp=later)

        other = client.post("/auth/verify", json={"token": link("eve@example.com")})
        assert other.json() == {"detail": "VERIFY_USER_BAD_TOKEN"}
        answer = client.post("/auth/verify", json={"token": link("ann@example.com")})
        assert (answer.status_code, answer.json()["is_verified"]) == (200, True)
        again = client.post("/auth/verify", json={"token": link("ann@example.com")})
        assert again.json() == {"detail": "VERIFY_USER_ALREADY_VERIFIED"}

        client.portal.call(
            auth.database.write, lambda tx: accounts.set_verified(tx, str(ann), verified=False, now=int(clock()))
        )
        replayed = client.post("/auth/verify", json={"token": link("ann@example.com")})
        assert replayed.json() == {"detail": "VERIFY_USER_BAD_TOKEN"}


def test_old_passwords_sign_in_and_get_a_hash_of_today(database_url, clock):
    """The id is the one they had, and the hash that was brought along is replaced."""
    app, auth, told = town(database_url, clock)
    with TestClient(app) as client:
        ann = moved(client, auth, "ann@example.com")
        before = hash_of(client, auth, ann)
        answer = client.post("/auth/jwt/login", data={"username": "ANN@example.com", "password": GOOD})
        assert answer.status_code == 200
        assert hash_of(client, auth, ann) != before
        assert me(client, answer.json()["access_token"]).json()["id"] == str(ann)
    assert told == [("login", "ann@example.com", "200")]
