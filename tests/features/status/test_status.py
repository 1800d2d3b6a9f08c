"""The published keys, and the health check."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Settings
from rimlock.feature import Feature
from rimlock.features.status import StatusFeature
from rimlock.testing import FrozenClock, sign_in

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"


class Ailing(Feature):
    """A feature of somebody else's, whose part says too much and then fails."""

    def __init__(self):
        self.well = True

    def probes(self, context):
        async def mail():
            if not self.well:
                raise RuntimeError("smtp://user:password@mail.example.com refused")
            return {"queued": 3, "host": "mail.example.com", "secret": b"x", "share": 0.5, "never": float("inf")}

        return {"mail": mail}


def fitted(database_url, *others, **settings):
    """Return an installation that says how it is, and a client of its application."""
    chosen = {"secrets": [SECRET], "database": database_url, "create_tables": True, **settings}
    auth = Rimlock(Settings(**chosen), features=[StatusFeature(), *others], clock=FrozenClock())
    app = FastAPI()
    auth.install(app)
    return auth, TestClient(app)


def test_the_published_keys_verify_our_tokens(database_url):
    """A service that knows only the key set accepts an access token of ours."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    auth, client = fitted(database_url, algorithm="ES256")
    with client:
        answer = client.get("/auth/jwks.json")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/jwk-set+json"
        keys = KeySet.import_key_set(answer.json())
        token = jwt.decode(sign_in(auth, client).access_token, keys, algorithms=["ES256"])
        assert token.claims["iss"] == "http://localhost:8000"
        assert all("d" not in key for key in answer.json()["keys"])


def test_the_published_keys_may_be_kept(database_url):
    """Five minutes, by anybody, and asked for again by their tag; a rotation changes the tag."""
    auth, client = fitted(database_url)
    with client:
        first = client.get("/auth/jwks.json")
        assert first.headers["cache-control"] == "public, max-age=300"
        assert "pragma" not in first.headers
        tag = first.headers["etag"]
        for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            same = client.get("/auth/jwks.json", headers={"If-None-Match": sent})
            assert (same.status_code, same.content) == (304, b"")
            assert same.headers["etag"] == tag
        client.portal.call(auth.rotate_signing_key)
        client.portal.call(auth.reload_keys)
        second = client.get("/auth/jwks.json", headers={"If-None-Match": tag})
        assert second.status_code == 200
        assert len(second.json()["keys"]) == 2


@pytest.mark.attack("a published symmetric key")
def test_a_shared_secret_is_never_published(sqlite_url):
    """With HS256 the set is empty."""
    _, client = fitted(sqlite_url, algorithm="HS256", jwt_secret="kP4wZ8sN2vX6bQ9rT3yL7mC1fD5gH0jA")
    with client:
        assert client.get("/auth/jwks.json").json() == {"keys": []}


@pytest.mark.req("N6")
def test_all_is_well(database_url):
    """Every part a decision needs, each with the word and perhaps a number; nobody has to sign in."""
    _, client = fitted(database_url)
    with client:
        answer = client.get("/auth/health")
        assert answer.status_code == 200
        body = answer.json()
        assert body["status"] == "ok"
        assert set(body["parts"]) == {"database", "migrations", "signing_key", "follower"}
        assert {part["status"] for part in body["parts"].values()} == {"ok"}
        assert body["parts"]["signing_key"]["keys"] == 1
        assert body["parts"]["follower"]["lag_seconds"] < 5
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.req("N6")
def test_every_feature_has_its_part_and_no_part_says_too_much(sqlite_url):
    """Numbers go out and words stay in; a part that fails is named, why is in the log alone."""
    ailing = Ailing()
    _, client = fitted(sqlite_url, ailing)
    with client:
        assert client.get("/auth/health").json()["parts"]["mail"] == {"status": "ok", "queued": 3, "share": 0.5}
        ailing.well = False
        answer = client.get("/auth/health")
        assert answer.status_code == 503
        assert answer.json()["status"] == "failed"
        assert answer.json()["parts"]["mail"] == {"status": "failed", "code": "failed"}
        assert "example.com" not in answer.text


@pytest.mark.req("N6")
def test_a_process_that_cannot_start_says_so(tmp_path, caplog):
    """Without a database the process lives, is not well, and refuses what it cannot decide."""
    _, client = fitted("postgresql://nobody:hidden@127.0.0.1:1/none", create_tables=False)
    assert client.get("/auth/health/live").json() == {"status": "ok"}
    answer = client.get("/auth/health")
    assert answer.status_code == 503
    parts = answer.json()["parts"]
    assert parts["database"] == {"status": "failed", "code": "unavailable"}
    assert parts["signing_key"] == {"status": "failed", "code": "unavailable"}
    assert "hidden" not in answer.text + caplog.text
    refused = client.get("/auth/jwks.json")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


@pytest.mark.req("N6")
def test_a_database_of_another_version_is_not_well(sqlite_url):
    """A schema that was changed behind a running process is told by a code."""
    import sqlite3

    _, client = fitted(sqlite_url)
    with client:
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE auth_schema_version SET version_num = 'from the future'")
        connection.close()
        answer = client.get("/auth/health")
        assert answer.status_code == 503
        assert answer.json()["parts"]["migrations"] == {"status": "failed", "code": "failed"}
        assert "future" not in json.dumps(answer.json())
