"""Signing in through a provider: out and back, a code for the page, tokens for the code."""

from __future__ import annotations

import json
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

import pytest

from features.social.office import (
    API,
    APP,
    at,
    attempt,
    bearer,
    browser,
    come_back,
    fetch,
    installed,
    leave,
    of_kind,
    signed_in,
    stub,
    told,
    whose,
)
from features.social.stub import CLIENT, EC, RSA, SECRET, unpadded
from rimlock.core.identities import IdentityLinked
from rimlock.core.registering import UserRegistered
from rimlock.core.sessions import SessionStarted

__all__ = ["stub"]
pytestmark = pytest.mark.req("L10", "F2")
PAGE = {"X-Rimlock": "1", "Origin": APP}


def test_the_browser_is_sent_off_with_all_that_binds_the_answer(sqlite_url, clock, stub):
    """State, nonce and an S256 challenge; the way back is made of settings, whatever the request's headers say."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        answer = client.get("/auth/oauth/stub", headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
    assert answer.headers["location"].startswith(f"{stub.url}/authorize?")
    assert asked["redirect_uri"] == f"{API}/auth/oauth/callback/stub"
    assert (asked["response_type"], asked["client_id"], asked["scope"]) == ("code", CLIENT, "openid email profile")
    assert asked["code_challenge_method"] == "S256"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) == 43
    (cookie,) = answer.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-rimlock-oauth-")
    assert {"Path=/", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=600"} <= set(cookie.split("; "))
    assert len(cookie) < 4096
    assert not [text for text in (asked["state"], asked["nonce"]) if text in cookie]


def test_a_new_person_gets_an_account_and_tokens(database_url, clock, stub):
    """The page is told a code and nothing else; for it there are the tokens of any sign-in, once."""
    app, auth, events = installed(database_url, clock, at(stub))
    with browser(app) as client:
        back = come_back(client, stub.authorize(leave(client, next="/notebooks?tab=2#end")))
        where = back.headers["location"]
        assert where.startswith(f"{APP}/notebooks?tab=2&code=")
        assert where.endswith("#end")
        assert back.headers["referrer-policy"] == "no-referrer"
        assert back.headers["cache-control"] == "no-store"
        code = told(back)["code"]
        answer = fetch(client, code)
        assert answer.status_code == 200, answer.text
        assert {"access_token", "refresh_token", "token_type"} <= set(answer.json())
        me = client.get("/auth/me", headers=bearer(answer)).json()
        assert (me["email"], me["verified"], me["display_name"]) == ("ann@example.com", True, "Ann")
        assert fetch(client, code).json()["code"] == "challenge_refused"
        identity = whose(client, auth, stub)
    assert (identity.user_id, identity.verified, identity.used_at) == (me["id"], True, int(clock()))
    assert [event.by for event in of_kind(events, UserRegistered)] == ["social"]
    assert len(of_kind(events, IdentityLinked)) == 1
    assert [event.methods for event in of_kind(events, SessionStarted)] == ["social"]


def test_whoever_comes_again_comes_to_the_same_account(database_url, clock, stub):
    """The issuer and the subject decide; another address there changes nothing here."""
    app, _, events = installed(database_url, clock, at(stub))
    with browser(app) as client:
        first = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()
        stub.person |= {"email": "eve@example.com", "name": "Eve"}
        again = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()
    assert {**again, "session_id": ""} == {**first, "session_id": ""}
    assert len(of_kind(events, UserRegistered)) == 1


def test_the_cookie_transport_keeps_the_refresh_token_from_the_page(sqlite_url, clock, stub):
    """As at any sign-in: it is in no body, and another site's page cannot ask for it."""
    app, _, _ = installed(sqlite_url, clock, at(stub), origins=[APP])
    with browser(app) as client:
        code = attempt(client, stub)["code"]
        body = {"code": code, "transport": "cookie"}
        strange = client.post("/auth/oauth/exchange", json=body, headers={**PAGE, "Origin": "https://evil.example"})
        assert strange.json()["code"] == "cross_site_request"
        answer = client.post("/auth/oauth/exchange", json=body, headers=PAGE)
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json()
    assert any(one.startswith("__Host-rimlock=") for one in answer.headers.get_list("set-cookie"))


def test_a_page_elsewhere_binds_the_code_by_a_verifier_of_its_own(sqlite_url, clock, stub):
    """Where cookies do not come along, the page's challenge does: only its verifier fetches the tokens."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    verifier = "v" * 43
    challenge = unpadded(sha256(verifier.encode()).digest())
    with browser(app) as client, browser(app) as desktop:
        code = attempt(client, stub, code_challenge=challenge)["code"]
        for wrong in ("", "w" * 43, challenge):
            assert fetch(client, code, code_verifier=wrong).json()["code"] == "challenge_refused"
        assert fetch(desktop, code, code_verifier=verifier).status_code == 200


@pytest.mark.parametrize("way", ["basic", "post", "none", None])
def test_we_say_who_we_are_in_the_way_the_provider_takes(sqlite_url, clock, stub, way):
    """By a header, in the form, or, without a secret, by the id alone; never in an address."""
    secret = "" if way == "none" else SECRET
    app, _, _ = installed(sqlite_url, clock, at(stub, client_auth=way, client_secret=secret))
    with browser(app) as client:
        assert signed_in(client, stub).status_code == 200
    ((form, header),) = stub.forms
    assert header.startswith("Basic ") is (way in {"basic", None})
    assert form.get("client_secret") == (SECRET if way == "post" else None)
    assert form.get("client_id") == (None if way in {"basic", None} else CLIENT)
    assert len(form["code_verifier"]) == 43


@pytest.mark.parametrize("signer, algorithm", [(EC, "ES256"), (RSA["r2"], "RS256")])
def test_every_signature_of_the_usual_kinds_is_taken(sqlite_url, clock, stub, signer, algorithm):
    """By whichever key of the set the token names."""
    stub.keys, stub.signer, stub.algorithm = [RSA["r1"], RSA["r2"], EC], signer, algorithm
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert signed_in(client, stub).status_code == 200


def test_what_the_id_token_leaves_out_is_asked_for(sqlite_url, clock, stub):
    """The address and the word on it come from the user's record, where the token has no word on it."""
    stub.without = ("email", "email_verified", "name")
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        me = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()
    assert (me["email"], me["verified"], me["display_name"]) == ("ann@example.com", True, "Ann")
    assert "/userinfo" in stub.asked


def test_the_word_on_one_address_is_not_taken_for_another(sqlite_url, clock, stub):
    """A token with an address and no word on it, a record with another address that is proven: only that one counts."""
    stub.claims, stub.without = {"email": "victim@example.com"}, ("email_verified",)
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        me = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()
    assert (me["email"], me["verified"]) == ("ann@example.com", True)


def test_the_services_on_offer_are_listed(sqlite_url, clock, stub):
    """Names for addresses, titles for buttons; nothing of a registration."""
    app, _, _ = installed(sqlite_url, clock, at(stub, title="The Stub"), at(stub, name="other"))
    with browser(app) as client:
        answer = client.get("/auth/oauth")
        assert client.get("/auth/oauth/unknown").json()["code"] == "not_found"
    assert answer.json() == {"providers": [{"name": "stub", "title": "The Stub"}, {"name": "other", "title": "Other"}]}
    assert SECRET not in answer.text


def test_a_form_of_the_provider_comes_back_as_an_address(sqlite_url, clock, stub):
    """Apple answers by a form that another site sends: no cookie comes along, and one redirect later it does."""
    app, _, _ = installed(sqlite_url, clock, at(stub, extra={"response_mode": "form_post"}))
    with browser(app) as client:
        location = leave(client)
        assert "response_mode=form_post" in location
        brought = {**stub.authorize(location), "user": json.dumps({"name": {"firstName": "Eve"}})}
        kept = dict(client.cookies)
        client.cookies.clear()
        answer = client.post("/auth/oauth/callback/stub", data=brought)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{API}/auth/oauth/callback/stub?code=")
        assert "Eve" not in answer.headers["location"]
        client.cookies.update(kept)
        assert "code" in told(client.get(answer.headers["location"]))


def test_nothing_secret_stands_in_what_is_shown(clock, stub):
    """Settings and providers show neither a secret nor a key, wherever they are printed."""
    shown = repr(at(stub))
    assert SECRET not in shown
