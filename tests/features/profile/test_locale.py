"""The language that messages to somebody are written in."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Settings
from rimlock.core.languages import asked_for, lookup
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.password import PasswordFeature
from rimlock.features.profile import ProfileFeature

pytestmark = pytest.mark.req("F3")
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
ANN = {"email": "ann@example.com", "password": "seven green ladders"}


def fitted(url):
    """Return a client of an application with accounts."""
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True),
        features=[PasswordFeature(), ProfileFeature()],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
    )
    app = FastAPI()
    auth.install(app)
    return TestClient(app)


def signed_in(client, **headers):
    """Register Ann and return what a request of hers carries."""
    assert client.post("/auth/register", json=ANN, headers=headers).status_code == 201
    answer = client.post("/auth/login", json={"login": ANN["email"], "password": ANN["password"]})
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_the_language_of_the_browser_is_kept_at_registration(database_url):
    """Who registers with a browser in Austrian German is written to so."""
    with fitted(database_url) as client:
        bearer = signed_in(client, **{"Accept-Language": "en;q=0.5, de-at, fr;q=0.9"})
        assert client.get("/auth/me", headers=bearer).json()["locale"] == "de-AT"


def test_somebody_chooses_another_language_and_none(database_url):
    """PATCH takes a tag in any case, null goes back to the installation's, anything else is refused."""
    with fitted(database_url) as client:
        bearer = signed_in(client)
        assert client.get("/auth/me", headers=bearer).json()["locale"] is None
        changed = client.patch("/auth/me", headers=bearer, json={"locale": "JA", "display_name": "Ann"})
        assert (changed.json()["locale"], changed.json()["display_name"]) == ("ja", "Ann")
        assert client.patch("/auth/me", headers=bearer, json={"locale": None}).json()["locale"] is None
        for wrong in ("../../etc", "d", "de_AT", "de\r\nX: y", "x" * 36):
            refused = client.patch("/auth/me", headers=bearer, json={"locale": wrong})
            assert refused.status_code == 422
            assert len(wrong) < 5 or wrong not in refused.text
        assert client.get("/auth/me", headers=bearer).json()["locale"] is None


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("", None),
        ("*", None),
        ("de", "de"),
        ("DE-at, en", "de-AT"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("fr;q=0.2, es;q=0.7", "es"),
        ("fr;q=0", None),
        ("fr;q=9, es;q=x", None),
        ("../../secret", None),
        ("de;q=0.5,", "de"),
        ("x" * 5_000, None),
        (",".join(["a1"] * 5_000) + ",de", None),
    ],
)
def test_what_a_browser_likes_best(header, tag):
    """The heaviest well-formed tag, whatever else is sent."""
    assert asked_for(header) == tag


def test_a_language_falls_back_to_the_wider_one():
    """Each tag is tried, then shortened; what is no tag is passed over."""
    assert lookup(["de-AT", None, "../x", "pt-BR", "en"]) == ["de-AT", "de", "pt-BR", "pt", "en"]
