"""Signing in elsewhere in the LAUNCH dialect: the documented refusals, the safe way back, and the documented one."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256

import pytest

from features.social.office import at
from features.social.stub import standing
from profiles.fastlaunch.launching import API, JOHN, PAGES, Launched, bearer, said
from rimlock.profiles.fastlaunch import FastLaunch

pytestmark = pytest.mark.req("F1", "F2")
JOHN_THERE = {"sub": "john-there", "email": JOHN["email"], "email_verified": True, "name": "John"}


@pytest.fixture
def stub(clock):
    """A provider that does as it is told."""
    with standing(clock) as one:
        one.person = dict(JOHN_THERE)
        yield one


def launched(url, clock, stub, **choices):
    """Return an application that people sign in to by the stub, which it calls Google."""
    return Launched(url, clock=clock, profile=FastLaunch(providers=[at(stub, "google")], **choices))


def back(launch, stub, **asked):
    """Go to the provider and come back; return our answer."""
    left = launch.get("/oauth/google", params=asked)
    assert left.status_code == 302, left.text
    return launch.get("/oauth/callback/google", params=stub.authorize(left.headers["location"]))


def test_providers_that_are_not_offered(sqlite_url):
    """404 for one nobody knows, 503 for one that is not set up, on both routes and in the documented words."""
    with Launched(sqlite_url, social={"keycloak": {"client_id": "x"}}) as launch:
        for path in ("/oauth/{}", "/oauth/callback/{}?code=x"):
            unknown = launch.get(path.format("nope"))
            assert (unknown.status_code, unknown.json()) == (404, {"detail": "OAuth provider 'nope' not supported"})
            for known in ("google", "keycloak"):
                answer = launch.get(path.format(known))
                assert answer.status_code == 503
                assert answer.json() == {"detail": f"OAuth provider '{known}' not configured"}


def test_a_provider_whose_answer_is_not_handled(sqlite_url, clock, stub):
    """501 in the documented words, whatever the answer is."""
    with launched(sqlite_url, clock, stub, handled=()) as launch:
        answer = launch.get("/oauth/callback/google", params={"code": "x"})
        assert answer.status_code == 501
        assert answer.json() == {"detail": "Handler for provider 'google' not implemented"}


@pytest.mark.attack("login CSRF by a foreign answer")
def test_an_answer_that_this_browser_never_asked_for(sqlite_url, clock, stub):
    """401 in the documented words: no state, another's state, an answer used twice, a refusal over there."""
    with launched(sqlite_url, clock, stub) as launch:
        location = launch.get("/oauth/google").headers["location"]
        brought = stub.authorize(location)
        assert launch.get("/oauth/callback/google", params={"code": "x"}).status_code == 401
        forged = launch.get("/oauth/callback/google", params={**brought, "state": "forged"})
        assert (forged.status_code, forged.json()) == (401, {"detail": "Could not validate credentials"})
        assert launch.get("/oauth/callback/google", params=brought).status_code == 307
        assert launch.get("/oauth/callback/google", params=brought).status_code == 401
        location = launch.get("/oauth/google").headers["location"]
        denied = {**stub.authorize(location), "error": "access_denied"}
        denied.pop("code")
        assert launch.get("/oauth/callback/google", params=denied).status_code == 401


def test_the_redirect_uri_is_built_from_the_backend_url(sqlite_url, clock, stub):
    """It is `{BACKEND_URL}/auth/oauth/callback/{provider}`, whatever the request says."""
    with launched(sqlite_url, clock, stub) as launch:
        left = launch.get("/oauth/google", headers={"Host": "evil.example"})
        assert said(left)[1]["redirect_uri"] == f"{API}/auth/oauth/callback/google"


@pytest.mark.asvs("10.2.1", "14.2.1")
def test_the_page_gets_a_code_and_fetches_the_tokens(database_url, clock, stub):
    """No token stands in an address: a code for one use does, good in this browser alone. The account is new."""
    with launched(database_url, clock, stub) as launch:
        answer = back(launch, stub)
        page, told = said(answer)
        assert (answer.status_code, page, set(told)) == (307, f"{PAGES}/auth", {"code"})
        with Launched(database_url, clock=clock, profile=FastLaunch(providers=[at(stub, "google")])) as elsewhere:
            assert elsewhere.post("/oauth/exchange", json=told).status_code == 400
        tokens = launch.post("/oauth/exchange", json=told)
        assert (tokens.status_code, tokens.json()["token_type"]) == (200, "bearer")
        assert launch.post("/oauth/exchange", json=told).status_code == 400
        me = launch.get("/get-user", headers=bearer(tokens.json())).json()
        assert (me["email"], me["is_verified"], me["is_oauth"]) == (JOHN["email"], True, True)


def test_a_page_on_another_site_shows_its_verifier(sqlite_url, clock, stub):
    """Where no cookie travels, the page that began with a challenge fetches the tokens by its verifier."""
    verifier = "a verifier of a page, at least forty-three signs long"
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    with launched(sqlite_url, clock, stub) as launch:
        _, told = said(back(launch, stub, code_challenge=challenge))
        assert launch.post("/oauth/exchange", json={**told, "code_verifier": "another"}).status_code == 400
        assert launch.post("/oauth/exchange", json={**told, "code_verifier": verifier}).status_code == 200


def test_tokens_in_the_address_only_on_request(sqlite_url, clock, stub):
    """With `insecure_tokens_in_redirect` the documented redirect comes back."""
    with launched(sqlite_url, clock, stub, insecure_tokens_in_redirect=True) as launch:
        page, told = said(back(launch, stub))
        assert (page, set(told)) == (f"{PAGES}/auth", {"access_token", "refresh_token"})
        assert launch.get("/get-user", headers=bearer(told)).status_code == 200
        assert launch.post("/refresh", json={"refresh_token": told["refresh_token"]}).status_code == 200


@pytest.mark.parametrize("proven", [True, False])
def test_an_account_of_the_same_address(sqlite_url, clock, stub, proven):
    """It is linked when both sides proved the address, and else refused; the password still works."""
    stub.person["email_verified"] = proven
    with launched(sqlite_url, clock, stub) as launch:
        launch.verified()
        _, told = said(back(launch, stub))
        answer = launch.post("/oauth/exchange", json=told)
        if proven:
            me = launch.get("/get-user", headers=bearer(answer.json())).json()
            assert (me["username"], me["is_oauth"]) == ("john_doe", False)
        else:
            assert answer.status_code == 409
        launch.signed_in()


@pytest.mark.attack("pre-hijacking: unverified address elsewhere")
def test_an_unproven_address_links_only_on_request(sqlite_url, clock, stub):
    """With `insecure_link_unverified` the documented linking comes back, without any proof."""
    stub.person["email_verified"] = False
    with launched(sqlite_url, clock, stub, insecure_link_unverified=True) as launch:
        launch.verified()
        _, told = said(back(launch, stub))
        me = launch.get("/get-user", headers=bearer(launch.post("/oauth/exchange", json=told).json())).json()
        assert me["username"] == "john_doe"


@pytest.mark.attack("pre-hijacking: classic-federated merge")
def test_an_account_that_somebody_prepared(sqlite_url, clock, stub):
    """An account made under somebody's address before they came is not linked: its maker would share it."""
    with launched(sqlite_url, clock, stub) as launch:
        launch.post("/create-user", json=JOHN)
        _, told = said(back(launch, stub))
        assert launch.post("/oauth/exchange", json=told).status_code == 409
