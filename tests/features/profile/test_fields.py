"""Profile fields of the application's own, and what it has against a user."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field, field_validator

from features.password.office import ANN, GOOD, bearer, codes, installed
from rimlock import ConfigurationError, Rimlock, Settings
from rimlock.core.users import NewUser
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.password import PasswordFeature
from rimlock.features.password.logic import create_user
from rimlock.features.profile import ProfileFeature

pytestmark = pytest.mark.req("F4", "F5")


class Shelf(BaseModel):
    """Something with a shape of its own."""

    books: list[Annotated[str, Field(max_length=40)]] = []


class Fields(BaseModel):
    """What this application wants to know."""

    niche: Literal["gardens", "boats"]
    bio: Annotated[str, Field(max_length=100)] = ""
    born: date | None = None
    shelf: Shelf = Shelf()

    @field_validator("bio")
    @classmethod
    def no_shouting(cls, text: str) -> str:
        """Keep it quiet."""
        if text.isupper():
            raise ValueError("Please do not shout.")
        return text


def fitted(url, fields=Fields, validate=None):
    """Return an application whose users have fields, its Rimlock and its events."""
    return installed(url, features=[PasswordFeature(), ProfileFeature(fields, validate=validate)])


def signed_in(client, profile):
    """Register Ann with a profile and return the headers with her token."""
    made = client.post("/auth/register", json={**ANN, "profile": profile})
    assert made.status_code == 201, made.text
    return bearer(client.post("/auth/login", json={"login": "ann", "password": GOOD}))


def test_what_the_model_takes_is_kept(database_url):
    """Fields of the model come back as they were sent, at registration and after a merge patch."""
    app, _, _ = fitted(database_url)
    with TestClient(app) as client:
        headers = signed_in(client, {"niche": "boats", "born": "1990-05-17"})
        patch = {"profile": {"bio": "Sails.", "shelf": {"books": ["Moby-Dick"]}, "born": None}}
        assert client.patch("/auth/me", json=patch, headers=headers).status_code == 200
        kept = client.get("/auth/me", headers=headers).json()["profile"]
        assert kept == {"niche": "boats", "bio": "Sails.", "shelf": {"books": ["Moby-Dick"]}}


@pytest.mark.asvs("2.2.1", "15.3.3")
@pytest.mark.parametrize(
    ("profile", "code"),
    [
        ({}, "missing"),
        ({"niche": "SECRET-VALUE"}, "literal_error"),
        ({"niche": "boats", "bio": "x" * 101}, "string_too_long"),
        ({"niche": "boats", "bio": 7}, "string_type"),
        ({"niche": "boats", "born": "SECRET-VALUE"}, "date_parsing"),
        ({"niche": "boats", "plan": "SECRET-VALUE"}, "extra_forbidden"),
        ({"niche": "boats", "shelf": {"books": ["x" * 41]}}, "string_too_long"),
    ],
)
def test_what_it_does_not_is_refused_and_not_repeated(sqlite_url, profile, code):
    """At registration and in a change: 422 with the field and the rule, and nothing is made or changed."""
    app, _, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        refused = client.post("/auth/register", json={**ANN, "profile": profile})
        assert refused.status_code == 422
        assert codes(refused) == [code]
        assert refused.json()["errors"][0]["name"].startswith("profile")
        assert "SECRET-VALUE" not in refused.text
        headers = signed_in(client, {"niche": "boats"})
        patch = {"profile": profile or {"niche": None}, "display_name": "Other"}
        again = client.patch("/auth/me", json=patch, headers=headers)
        assert (again.status_code, codes(again)) == (422, [code])
        me = client.get("/auth/me", headers=headers).json()
        assert (me["profile"], me["display_name"]) == ({"niche": "boats"}, "")


def test_a_validator_of_the_model_speaks_for_itself(sqlite_url):
    """The sentence of the application's own validator reaches the caller."""
    app, _, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        refused = client.post("/auth/register", json={**ANN, "profile": {"niche": "boats", "bio": "HELLO"}})
        assert refused.json()["errors"] == [
            {"name": "profile.bio", "code": "value_error", "detail": "Please do not shout."}
        ]


def test_the_document_shows_the_fields(sqlite_url):
    """OpenAPI has the model where a profile is sent or seen; in a merge patch nothing of it is required."""
    app, _, _ = fitted(sqlite_url)
    schemas = app.openapi()["components"]["schemas"]
    whole = schemas["RegistrationForm"]["properties"]["profile"]
    assert (whole["title"], whole["required"]) == ("Fields", ["niche"])
    (part,) = [one for one in schemas["PatchForm"]["properties"]["profile"]["anyOf"] if one.get("type") != "null"]
    assert "required" not in part
    assert set(part["properties"]) == {"niche", "bio", "born", "shelf"}
    assert part["properties"]["shelf"]["$ref"] == "#/components/schemas/Shelf"
    assert set(schemas["MyAnswer"]["properties"]["profile"]["properties"]) == set(part["properties"])


def test_without_a_model_any_object_will_do(sqlite_url):
    """As before: a JSON object of bounded size."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        headers = signed_in(client, {"anything": [1, {"deep": None}]})
        assert client.get("/auth/me", headers=headers).json()["profile"] == {"anything": [1, {"deep": None}]}
    with pytest.raises(ConfigurationError):
        ProfileFeature(fields=dict)


def of_the_house(_, user):
    """Take people of the house only, and nobody who calls themselves its voice."""
    if not user.email.endswith("@example.com"):
        raise ValueError("Register with your address of the house.")
    if user.display_name == "Support":
        raise ValueError("That name is taken by ourselves.")


def test_the_application_validates_every_account(database_url):
    """By registration, by a change, by a command: what the application's own check raises undoes it all."""
    app, auth, events = fitted(database_url, None, of_the_house)
    with TestClient(app) as client:
        refused = client.post("/auth/register", json={**ANN, "email": "ann@elsewhere.example"})
        assert (refused.status_code, refused.json()["code"]) == (422, "profile_refused")
        assert refused.json()["detail"] == "Register with your address of the house."
        assert not [one for one in events if type(one).__name__ == "UserRegistered"]
        headers = signed_in(client, {})
        changed = client.patch("/auth/me", json={"display_name": "Support"}, headers=headers)
        assert (changed.status_code, changed.json()["code"]) == (422, "profile_refused")
        assert client.get("/auth/me", headers=headers).json()["display_name"] == ""
        with pytest.raises(Exception, match="your address of the house"):
            client.portal.call(lambda: create_user(auth.context, NewUser(email="bo@elsewhere.example"), None))


@pytest.mark.asvs("6.3.1")
def test_a_refused_registration_counts(sqlite_url):
    """Refusals of the application come after the hashing, so they are limited as accounts are."""
    app, _, _ = installed(
        sqlite_url, features=[PasswordFeature(), ProfileFeature(validate=of_the_house)], registration_rate=3
    )
    with TestClient(app) as client:
        body = {**ANN, "email": "ann@elsewhere.example"}
        assert [client.post("/auth/register", json=body).status_code for _ in range(4)] == [422, 422, 422, 429]


def test_fields_are_given_beside_all_the_other_features(sqlite_url):
    """`also` puts a feature in the place of ours with the same name; everything else is there."""
    auth = Rimlock(
        Settings(secrets=["hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"], database=sqlite_url),
        also=[ProfileFeature(Fields)],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
    )
    app = FastAPI()
    auth.install(app)
    with TestClient(app) as client:
        assert client.post("/auth/register", json=ANN).status_code == 422
        assert client.get("/auth/health").status_code == 200
    assert [one.name for one in auth.features].count("profile") == 1
