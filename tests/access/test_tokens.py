"""Access tokens end to end: every algorithm, keys that are rotated and revoked under traffic, three revocations."""

from __future__ import annotations

from threading import Event, Thread

import jwt
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from access.host import bearer, change, end_session, eventually, fitted, forged
from rimlock import ConfigurationError, CurrentPrincipal
from rimlock.core import accounts, keyring
from rimlock.crypto import jose
from rimlock.crypto.sealing import SealBroken
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import count_statements, sign_in

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
OTHER = "w8Yb3Kq6TzR1nVxC5mJ7pL2sD9fG4hA0eUoIi2"
ISSUER = "http://localhost:8000"


def protected(url, **given):
    """An application with one protected route."""
    app = FastAPI()

    @app.get("/who")
    async def who(principal: CurrentPrincipal):
        return principal.subject

    return app, fitted(app, url, **given)


def status(client, visitor):
    return client.get("/who", headers=visitor.headers).status_code


@pytest.mark.req("L6")
@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256", "HS256"])
def test_every_algorithm_protects_a_route(sqlite_url, algorithm):
    """Signed by ours, verified by another library with the published key or the shared secret, and by the route."""
    app, auth = protected(sqlite_url, algorithm=algorithm, jwt_secret=OTHER if algorithm == "HS256" else None)
    with TestClient(app) as client:
        ann = sign_in(auth, client, roles=["editor"])
        assert status(client, ann) == 200
        assert client.get("/who", headers=bearer(forged(ann.access_token))).status_code == 401
        published = auth.context.ring().public(auth.context.now())["keys"]
    kid = jwt.get_unverified_header(ann.access_token)["kid"]
    if algorithm == "HS256":
        key = OTHER
        assert published == []
    else:
        key = jwt.PyJWK(next(one for one in published if one["kid"] == kid)).key
    said = jwt.decode(ann.access_token, key, algorithms=[algorithm], audience=ISSUER, issuer=ISSUER)
    assert (said["sub"], said["sid"], said["roles"]) == (ann.user.id, ann.session_id, ["editor"])
    assert said["exp"] - said["iat"] == 900


def test_a_token_of_another_algorithm_under_the_same_names_is_refused(sqlite_url):
    """What was signed by HS256 with the public key, or by nobody, is 401."""
    app, auth = protected(sqlite_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        claims = jwt.decode(ann.access_token, options={"verify_signature": False})
        head = {"kid": jwt.get_unverified_header(ann.access_token)["kid"], "typ": "at+jwt"}
        public = auth.context.ring().public(auth.context.now())["keys"][0]["x"]
        pressed = [
            jwt.encode(claims, None, algorithm="none", headers=head),
            jwt.encode(claims, public.ljust(64, "="), algorithm="HS256", headers=head),
            jwt.encode(claims, SECRET, algorithm="HS256", headers=head),
        ]
        assert [client.get("/who", headers=bearer(one)).status_code for one in pressed] == [401] * 3
        assert status(client, ann) == 200


def test_tokens_of_another_installation_are_not_ours(sqlite_url, tmp_path):
    """Same issuer, other keys: 401; and other issuer: nothing of ours."""
    app, auth = protected(sqlite_url)
    twin_app, twin = protected(f"sqlite:///{tmp_path / 'twin.db'}")
    with TestClient(app) as client, TestClient(twin_app) as other:
        sign_in(auth, client)
        stranger = sign_in(twin, other)
        assert status(other, stranger) == 200
        refused = client.get("/who", headers=stranger.headers)
        assert (refused.status_code, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)


def test_unknown_keys_cannot_order_work(sqlite_url):
    """A stream of tokens that name keys nobody has costs at most one look a second, and every one is refused."""
    app, auth = protected(sqlite_url)
    with TestClient(app) as client:
        now = auth.context.now()
        claims = {"iss": ISSUER, "aud": ISSUER, "sub": "u", "iat": now, "exp": now + 60, "jti": "j"}
        made = [jose.sign(jose.generate(jose.Algorithm.ED25519, f"k{place}"), claims) for place in range(50)]
        with count_statements(auth) as statements:
            assert {client.get("/who", headers=bearer(one)).status_code for one in made} == {401}
    assert statements.count <= 5


def test_a_rotation_with_lead_and_overlap(sqlite_url, clock):
    """The new key is published at once and signs after its lead; tokens of the old one are good to their end."""
    app, auth = protected(sqlite_url, clock=clock)
    with TestClient(app) as client:
        old = sign_in(auth, client)
        kid = client.portal.call(lambda: auth.rotate_signing_key(lead=600))
        still = sign_in(auth, client)
        clock.advance(599)
        assert kid in [one["kid"] for one in auth.context.ring().public(clock())["keys"]]
        assert kid_of(still) == kid_of(sign_in(auth, client)) == kid_of(old) != kid
        clock.advance(1)
        last = sign_in(auth, client)
        assert kid_of(last) == kid
        clock.advance(299)
        assert [status(client, one) for one in (old, still, last)] == [200] * 3
        clock.advance(7)
        assert [status(client, one) for one in (old, still, last)] == [401, 401, 200]


def kid_of(visitor):
    return jwt.get_unverified_header(visitor.access_token)["kid"]


def test_an_old_key_verifies_until_its_last_token_is_over_and_then_is_gone(sqlite_url, clock):
    """A key that may no longer sign is dropped from the published set once its overlap ends."""
    app, auth = protected(sqlite_url, clock=clock)
    with TestClient(app) as client:
        first = kid_of(sign_in(auth, client))
        client.portal.call(lambda: auth.rotate_signing_key(lead=10))
        clock.advance(10 + 900 + 59)
        assert first in auth.context.ring().verifiers(clock())
        clock.advance(1)
        assert first not in auth.context.ring().verifiers(clock())
        assert status(client, sign_in(auth, client)) == 200


def test_keys_rotated_all_the_time_turn_nobody_away(database_url):
    """Every 100 ms a new key, two instances, 200 requests with old and new tokens: not one false 401."""
    here, first = protected(database_url)
    there, _ = protected(database_url)
    done, made = Event(), []

    def rotate(client):
        while not done.wait(0.1):
            made.append(client.portal.call(lambda: first.rotate_signing_key(lead=1)))

    with TestClient(here) as one, TestClient(there) as two:
        visitors = [sign_in(first, one)]
        rotating = Thread(target=rotate, args=(one,))
        rotating.start()
        try:
            found = []
            while len(found) < 200 or len(made) < 15:
                if len(found) % 10 == 0:
                    visitors.append(sign_in(first, one))
                visitor = visitors[-1 - (len(found) // 2) % len(visitors)]
                found.append(status((one, two)[len(found) % 2], visitor))
        finally:
            done.set()
            rotating.join()
    assert set(found) == {200}
    assert len({kid_of(visitor) for visitor in visitors}) > 1


def test_a_rotation_without_lead_signs_at_once(sqlite_url, clock):
    """Also when several fall into one second, in which keys cannot be told apart by their beginning."""
    app, auth = protected(sqlite_url, clock=clock)
    with TestClient(app) as client:
        for _ in range(6):
            kid = client.portal.call(lambda: auth.rotate_signing_key(lead=0))
            assert kid_of(sign_in(auth, client)) == kid


@pytest.mark.req("N8")
def test_a_revoked_key_is_refused_in_every_instance(database_url):
    """Tokens it signed stop counting at once on SQLite, soon on PostgreSQL; those of its successor are good."""
    here, first = protected(database_url)
    there, _ = protected(database_url)
    with TestClient(here) as one, TestClient(there) as two:
        old = sign_in(first, one)
        assert [status(client, old) for client in (one, two, two)] == [200] * 3
        one.portal.call(lambda: first.rotate_signing_key(lead=0))
        new = eventually_new(first, one, kid_of(old))
        change(first, one, lambda tx: keyring.revoke(tx, kid_of(old), now=first.context.now()))
        patience = 0.0 if first.database.dialect == "sqlite" else 2.0
        assert eventually(lambda: status(two, old), 401, patience) == 401
        assert eventually(lambda: status(one, old), 401, patience) == 401
        assert eventually(lambda: status(two, new), 200, patience) == 200
        assert status(one, new) == 200


def eventually_new(auth, client, old):
    """Sign in until the next key signs: on PostgreSQL it is read behind the answer."""
    visitor = eventually(lambda: kid_of(sign_in(auth, client)) != old, wanted=True)
    assert visitor
    return sign_in(auth, client)


def test_a_wrong_root_secret_refuses_to_start(database_url):
    """With a sentence that says which setting to mend; nothing is overwritten, and the right secret starts again."""
    app, auth = protected(database_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
    wrong, _ = protected(database_url, secrets=[OTHER])
    with pytest.raises(SealBroken, match="put the secret they were sealed under back into RIMLOCK_SECRETS"):
        TestClient(wrong).__enter__()
    again, _ = protected(database_url)
    with TestClient(again) as client:
        assert status(client, ann) == 200


def test_a_root_secret_is_exchanged_without_turning_anybody_away(sqlite_url):
    """The new one first, the old one behind it: keys open, access and refresh tokens of before are good."""
    app, auth = protected(sqlite_url, features=[SessionsFeature()])
    with TestClient(app) as client:
        ann = sign_in(auth, client)
    app, auth = protected(sqlite_url, features=[SessionsFeature()], secrets=[OTHER, SECRET])
    with TestClient(app) as client:
        assert status(client, ann) == 200
        renewed = client.post("/auth/refresh", json={"refresh_token": ann.refresh_token})
        assert renewed.status_code == 200
        assert client.get("/who", headers=bearer(renewed.json()["access_token"])).status_code == 200


def test_a_shared_secret_cannot_be_rotated_here(sqlite_url):
    """The HS256 key is a setting, and the sentence says so."""
    app, auth = protected(sqlite_url, algorithm="HS256", jwt_secret=OTHER)
    with TestClient(app) as client, pytest.raises(ConfigurationError, match="change it there"):
        client.portal.call(auth.rotate_signing_key)


@pytest.mark.parametrize("weak", ["short", "a" * 40, "changeme-changeme-changeme-changeme"])
def test_a_weak_shared_secret_refuses_to_start(sqlite_url, weak):
    """JWT_SECRET is named in the sentence."""
    with pytest.raises(ConfigurationError, match="JWT_SECRET"):  # noqa: PT012 - at construction or at the start
        app, _ = protected(sqlite_url, algorithm="HS256", jwt_secret=weak)
        TestClient(app).__enter__()


@pytest.mark.req("L5")
def test_the_first_strategy_refresh_tokens_in_the_database(sqlite_url):
    """An ended session cannot be refreshed, whoever asks."""
    app, auth = protected(sqlite_url, features=[SessionsFeature()])
    with TestClient(app) as client:
        ann, other = sign_in(auth, client), sign_in(auth, client)
        refresh = lambda visitor: (
            client.post("/auth/refresh", json={"refresh_token": visitor.refresh_token}).status_code
        )
        assert refresh(ann) == 200
        end_session(auth, client, ann)
        assert [refresh(one) for one in (ann, other)] == [401, 200]


@pytest.mark.req("L5")
def test_the_second_strategy_a_shared_list_of_ended_sessions(postgres_url, redis_url):
    """Through Valkey or Redis alone, with polling turned off for the length of the test: another instance hears."""
    from datetime import timedelta

    hour = timedelta(hours=1)
    shared = {"redis_url": redis_url, "listen": False, "poll_interval": hour, "max_staleness": hour}
    here, first = protected(postgres_url, **shared)
    there, _ = protected(postgres_url, **shared)
    with TestClient(here) as one, TestClient(there) as two:
        ann, other = sign_in(first, one), sign_in(first, one)
        assert [status(two, visitor) for visitor in (ann, other)] == [200, 200]
        end_session(first, one, ann)
        assert eventually(lambda: status(two, ann), 401, 3.0) == 401
        assert status(two, other) == 200


@pytest.mark.req("L5")
def test_the_third_strategy_a_version_per_user(sqlite_url):
    """A raised epoch ends every access token of the user at once, and of nobody else; sessions go on."""
    app, auth = protected(sqlite_url, features=[SessionsFeature()])
    with TestClient(app) as client:
        ann, again = sign_in(auth, client), sign_in(auth, client)
        bea = sign_in(auth, client, email="bea@example.com")
        change(auth, client, lambda tx: accounts.raise_epoch(tx, ann.user.id, now=auth.context.now()))
        assert [status(client, visitor) for visitor in (ann, again, bea)] == [401, 401, 200]
        renewed = client.post("/auth/refresh", json={"refresh_token": ann.refresh_token}).json()
        assert client.get("/who", headers=bearer(renewed["access_token"])).status_code == 200


@pytest.mark.req("L5")
def test_what_was_revoked_before_a_start_is_known_at_the_first_request(database_url):
    """An instance that starts later reads the journal before it lets anybody in."""
    here, first = protected(database_url)
    with TestClient(here) as client:
        ann, bea = sign_in(first, client), sign_in(first, client, email="bea@example.com")
        end_session(first, client, ann)
    there, _ = protected(database_url)
    with TestClient(there) as client:
        assert [status(client, visitor) for visitor in (ann, bea)] == [401, 200]
