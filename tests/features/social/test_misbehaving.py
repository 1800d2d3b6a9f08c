"""A provider that misbehaves, in each way there is: nobody comes in, and nothing it said is repeated."""

from __future__ import annotations

import gzip
import json
import logging
from base64 import b64encode
from hashlib import sha256
from hmac import new as keyed
from threading import Event as Flag

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from features.social.office import (
    at,
    attempt,
    browser,
    come_back,
    fetch,
    installed,
    leave,
    of_kind,
    signed_in,
    stub,
    told,
)
from features.social.stub import CLIENT, EC, RSA, SECRET, unpadded
from rimlock.core.sessions import SessionStarted
from rimlock.features.social.events import SocialLoginFailed
from rimlock.web.outgoing import Sender

__all__ = ["stub"]
pytestmark = [pytest.mark.req("L10", "F2"), pytest.mark.asvs("10.5.1", "10.5.2", "10.5.4")]


def hashed_half(text):
    """Return what `at_hash` is for RS256."""
    return unpadded(sha256(text.encode()).digest()[:16])


CLAIMS = {
    "another issuer": ({"iss": "https://evil.example"}, "id_token_issuer"),
    "no issuer": ({"iss": None}, "id_token_issuer"),
    "an issuer with a slash more": ({"iss": lambda stub: stub.url + "/"}, "id_token_issuer"),
    "another application": ({"aud": "app-2"}, "id_token_audience"),
    "several applications and no party": ({"aud": [CLIENT, "app-2"]}, "id_token_audience"),
    "another party": ({"aud": [CLIENT, "app-2"], "azp": "app-2"}, "id_token_audience"),
    "another party for us": ({"azp": "app-2"}, "id_token_audience"),
    "nobody": ({"aud": []}, "id_token_audience"),
    "another nonce": ({"nonce": "n" * 43}, "id_token_nonce"),
    "a nonce of another type": ({"nonce": 5}, "id_token_nonce"),
    "over": ({"exp": lambda stub: int(stub.clock()) - 31}, "id_token_expired"),
    "over as a text": ({"exp": "never"}, "id_token_claim_type"),
    "not yet": ({"iat": lambda stub: int(stub.clock()) + 60}, "id_token_not_yet_valid"),
    "made long before": ({"iat": lambda stub: int(stub.clock()) - 301}, "id_token_old"),
    "good for years": ({"exp": lambda stub: int(stub.clock()) + 10**8}, "id_token_lifetime"),
    "nobody at all": ({"sub": ""}, "id_token_subject"),
    "a subject of another type": ({"sub": 7}, "id_token_claim_type"),
    "a subject that is too long": ({"sub": "s" * 256}, "id_token_subject"),
    "another access token": ({"at_hash": hashed_half("another")}, "id_token_at_hash"),
}


def filled(claims, stub):
    """Return the claims with what depends on the provider and the moment."""
    return {name: value(stub) if callable(value) else value for name, value in claims.items()}


def refused(client, events, found, reason):
    """Say whether a sign-in came to nothing, and for this reason; nobody but the log learns it."""
    return (
        found == {"error": "social_provider_failed"}
        and [event.reason for event in of_kind(events, SocialLoginFailed)] == [reason]
        and not of_kind(events, SessionStarted)
    )


@pytest.mark.parametrize("name", CLAIMS)
def test_an_id_token_that_says_something_else_proves_nothing(sqlite_url, clock, stub, name):
    """Issuer, audience, party, nonce, times, subject and the hash of the access token: each alone is enough."""
    claims, reason = CLAIMS[name]
    stub.claims = filled(claims, stub)
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert refused(client, events, attempt(client, stub), reason)


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "exp", "iat", "nonce"])
def test_an_id_token_says_all_it_has_to(sqlite_url, clock, stub, claim):
    """What is missing is never what was expected."""
    stub.without = (claim,)
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert attempt(client, stub) == {"error": "social_provider_failed"}
    assert not of_kind(events, SessionStarted)


def test_a_right_hash_and_a_right_party_are_taken(sqlite_url, clock, stub):
    """The checks above refuse what is wrong, not what is there."""
    stub.claims = {"at_hash": hashed_half("an-access-token"), "azp": CLIENT, "aud": [CLIENT, "app-2"]}
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert signed_in(client, stub).status_code == 200


def by_hand(header, key):
    """Return a maker of tokens that are signed with anything at all."""

    def make(claims):
        text = f"{unpadded(json.dumps(header).encode())}.{unpadded(json.dumps(claims).encode())}"
        return f"{text}.{unpadded(keyed(key, text.encode(), sha256).digest()) if key else ''}"

    return make


FORGERIES = {
    "no signature": (lambda: by_hand({"alg": "none", "kid": "r1"}, b""), "id_token_malformed"),
    "none with something after it": (lambda: by_hand({"alg": "none", "kid": "r1"}, b"x"), "id_token_algorithm"),
    "none in another case": (lambda: by_hand({"alg": "nOnE", "kid": "r1"}, b"x"), "id_token_algorithm"),
    "the client secret": (lambda: by_hand({"alg": "HS256", "kid": "r1"}, SECRET.encode()), "id_token_algorithm"),
    "the public key as a secret": (
        lambda: by_hand({"alg": "HS256", "kid": "r1"}, RSA["r1"].as_pem(private=False)),
        "id_token_algorithm",
    ),
    "another key under a good name": (
        lambda: lambda claims: jwt.encode({"alg": "RS256", "kid": "r1"}, claims, RSA["r2"]),
        "id_token_signature",
    ),
    "a key that is in no set": (
        lambda: lambda claims: jwt.encode({"alg": "RS256", "kid": "r2"}, claims, RSA["r2"]),
        "id_token_key_unknown",
    ),
    "a key brought along": (
        lambda: (
            lambda claims: jwt.encode(
                {"alg": "RS256", "kid": "r1", "jwk": RSA["r2"].as_dict(private=False)}, claims, RSA["r2"]
            )
        ),
        "id_token_embedded_key",
    ),
    "an access token of ours in its place": (
        lambda: lambda claims: jwt.encode({"alg": "RS256", "kid": "r1", "typ": "at+jwt"}, claims, RSA["r1"]),
        "id_token_type",
    ),
    "no token": (lambda: lambda _: "not a token", "id_token_malformed"),
    "letters of another alphabet": (lambda: lambda _: "ä.ö.ü", "id_token_malformed"),
    "a token of half a megabyte": (lambda: lambda _: "a." + "b" * 500_000 + ".c", "id_token_malformed"),
}


@pytest.mark.attack("algorithm confusion")
@pytest.mark.parametrize("name", FORGERIES)
def test_an_id_token_that_is_not_signed_by_the_provider_proves_nothing(sqlite_url, clock, stub, name):
    """No algorithm but the provider's, no key but those it publishes, no kind of token but this one."""
    make, reason = FORGERIES[name]
    stub.raw_token = make()
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        found = attempt(client, stub)
    assert found == {"error": "social_provider_failed"}
    (event,) = of_kind(events, SocialLoginFailed)
    assert event.reason == reason
    assert not of_kind(events, SessionStarted)


def test_an_algorithm_the_registration_does_not_allow_is_refused(sqlite_url, clock, stub):
    """Though the key is in the set, and the signature good."""
    stub.keys, stub.signer, stub.algorithm = [RSA["r1"], EC], EC, "ES256"
    app, _, events = installed(sqlite_url, clock, at(stub, algorithms=frozenset({"RS256"})))
    with browser(app) as client:
        assert refused(client, events, attempt(client, stub), "id_token_key_unknown")


def saying(status, body, **headers):
    """Return an answer to any request."""
    return lambda handler: handler.say(status, body, **headers)


ANSWERS = {
    "not at home": ("/token", saying(500, {}), "token_status"),
    "no such code": ("/token", saying(400, {"error": "invalid_grant"}), "token_status"),
    "an error that says all is well": ("/token", saying(200, {"error": "bad_verification_code"}), "token_error"),
    "elsewhere": ("/token", saying(302, {}, Location="https://evil.example/token"), "token_status"),
    "elsewhere, with the form": ("/token", saying(307, {}, Location="http://127.0.0.1:9/token"), "token_status"),
    "a page": ("/token", saying(200, b"<html>", Content_Type="text/html"), "not_json"),
    "a list": ("/token", saying(200, []), "not_json"),
    "one name twice": ("/token", saying(200, b'{"access_token":"a","access_token":"b"}'), "not_json"),
    "nested without end": ("/token", saying(200, b'{"a":' * 5000 + b"1" + b"}" * 5000), "not_json"),
    "two megabytes": ("/token", saying(200, b'{"a":"' + b"x" * 2_000_000 + b'"}'), "too_large"),
    "compressed": ("/token", saying(200, gzip.compress(b"{}"), Content_Encoding="gzip"), "encoded"),
    "nothing": ("/token", saying(200, {}), "token_answer"),
    "an access token of another type": ("/token", saying(200, {"access_token": ["a"]}), "token_answer"),
    "a token that is no bearer's": (
        "/token",
        saying(200, {"access_token": "a", "token_type": "mac", "id_token": "a.b.c"}),
        "token_answer",
    ),
    "an access token with a line break": (
        "/token",
        saying(200, {"access_token": "a\r\nX-Evil: 1", "token_type": "bearer", "id_token": "a.b.c"}),
        "token_answer",
    ),
    "no id token": ("/token", saying(200, {"access_token": "a", "token_type": "bearer"}), "id_token_missing"),
    "no keys": ("/jwks", saying(404, {}), "status"),
    "keys that are elsewhere": ("/jwks", saying(302, {}, Location="https://evil.example/jwks"), "status"),
    "a symmetric key in the set": (
        "/jwks",
        saying(200, {"keys": [OctKey.import_key(SECRET, {"kid": "r1", "alg": "HS256"}).as_dict()]}),
        "keys_refused",
    ),
    "two keys of one name": (
        "/jwks",
        saying(200, {"keys": [RSA["r1"].as_dict(private=False), {**RSA["r2"].as_dict(private=False), "kid": "r1"}]}),
        "keys_refused",
    ),
    "a private key in the set": ("/jwks", saying(200, {"keys": [RSA["r1"].as_dict(private=True)]}), "keys_refused"),
    "metadata that is none": ("/.well-known/openid-configuration", saying(200, b"hello"), "not_json"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_what_was_asked_for_proves_nothing(sqlite_url, clock, stub, name):
    """Failures, redirects, endless and ambiguous bodies, keys nobody should publish: one error for all of them."""
    path, answer, reason = ANSWERS[name]
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        if path.startswith("/.well-known"):
            stub.answers[path] = answer
            found = client.get("/auth/oauth/stub")
            assert (found.status_code, found.json()["code"]) == (502, "social_provider_failed")
        else:
            location = leave(client)
            stub.answers[path] = answer
            assert told(come_back(client, stub.authorize(location))) == {"error": "social_provider_failed"}
    (event,) = of_kind(events, SocialLoginFailed)
    assert event.reason == reason
    assert not of_kind(events, SessionStarted)


@pytest.mark.attack("reflected error")
def test_what_a_provider_says_of_an_error_is_repeated_nowhere(sqlite_url, clock, stub, caplog):
    """Neither to the page, nor in the log, nor in an event; and nor is what the browser brings."""
    caplog.set_level(logging.DEBUG)
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        brought = stub.authorize(leave(client), code="<b>made up</b>")
        first = come_back(client, brought)
        refusal = {"state": stub.authorize(leave(client))["state"], "iss": stub.url}
        text = "<script>alert('from the address')</script>"
        second = come_back(client, {**refusal, "error": "server_error" + text, "error_description": text})
    everything = "".join((first.text, second.text, str(first.headers), str(second.headers), repr(events)))
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("rimlock"))
    assert told(first) == told(second) == {"error": "social_provider_failed"}
    for said in ("alert", "made up", "invalid_grant", "script", SECRET):
        assert said not in everything
        assert said not in ours


def test_somebody_who_says_no_there_is_told_so(sqlite_url, clock, stub):
    """It is no failure of the provider's, and the page can offer another way."""
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        state = stub.authorize(leave(client))["state"]
        answer = come_back(client, {"state": state, "iss": stub.url, "error": "access_denied"})
    assert told(answer) == {"error": "social_denied"}
    assert [event.reason for event in of_kind(events, SocialLoginFailed)] == ["denied"]


def test_a_provider_that_does_not_answer_is_not_waited_for(sqlite_url, clock, stub):
    """The time a request may take is bounded, whatever trickles in."""
    over = Flag()
    app, _, events = installed(sqlite_url, clock, at(stub), send=Sender(seconds=0.3))
    with browser(app) as client:
        location = leave(client)
        stub.answers["/token"] = lambda _: over.wait(20)
        found = told(come_back(client, stub.authorize(location)))
        over.set()
    assert refused(client, events, found, "timeout")


def test_a_provider_that_is_gone_is_told_as_such(sqlite_url, clock, stub):
    """Nobody listens: an answer of ours, not a stack trace."""
    app, _, events = installed(sqlite_url, clock, at(stub, name="gone", issuer="http://127.0.0.1:9"))
    with browser(app) as client:
        answer = client.get("/auth/oauth/gone")
    assert (answer.status_code, answer.json()["code"]) == (502, "social_provider_failed")
    assert [event.reason for event in of_kind(events, SocialLoginFailed)] == ["unreachable"]


def test_strangers_do_not_fill_the_audit_while_a_provider_is_down(sqlite_url, clock, stub):
    """Each failure is a row; so they are counted, and the next one is told to come back later, in vain for the log."""
    stub.answers["/.well-known/openid-configuration"] = saying(500, {})
    app, _, events = installed(sqlite_url, clock, at(stub), login_rate=3)
    with browser(app) as client:
        found = [client.get("/auth/oauth/stub").json()["code"] for _ in range(6)]
    assert found == ["social_provider_failed"] * 3 + ["too_many_attempts"] * 3
    assert len(of_kind(events, SocialLoginFailed)) == 3
    assert stub.asked.count("/.well-known/openid-configuration") == 1


METADATA = {
    "another issuer": ({"issuer": "https://evil.example"}, "other_issuer"),
    "no issuer": ({"issuer": None}, "other_issuer"),
    "the issuer of a neighbour": ({"issuer": lambda stub: stub.url + "/realm"}, "other_issuer"),
    "an endpoint without TLS": ({"token_endpoint": "http://token.example"}, "endpoint_refused"),
    "an endpoint with a user in it": ({"token_endpoint": "https://us@evil.example"}, "endpoint_refused"),
    "an endpoint of another kind": ({"jwks_uri": "file:///etc/passwd"}, "endpoint_refused"),
    "an endpoint inside": ({"jwks_uri": "http://169.254.169.254/latest"}, "endpoint_refused"),
    "a script": ({"authorization_endpoint": "javascript:alert(1)"}, "endpoint_refused"),
    "no endpoint": ({"authorization_endpoint": None}, "endpoint_refused"),
    "a number": ({"token_endpoint": 7}, "endpoint_refused"),
}


@pytest.mark.attack("SSRF")
@pytest.mark.parametrize("name", METADATA)
def test_metadata_leads_nowhere_but_to_the_provider(sqlite_url, clock, stub, name):
    """It is of the issuer that was asked, and every address in it is one we may go to."""
    metadata, reason = METADATA[name]
    stub.metadata = filled(metadata, stub)
    app, _, events = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert client.get("/auth/oauth/stub").json()["code"] == "social_provider_failed"
    (event,) = of_kind(events, SocialLoginFailed)
    assert event.reason == reason


@pytest.mark.attack("token substitution")
@pytest.mark.parametrize("sub", ["subject-2", None, 7])
def test_a_record_of_somebody_else_is_refused(sqlite_url, clock, stub, sub):
    """What is asked for with the access token has to be about whom the id token is."""
    stub.without = ("email",)
    app, _, events = installed(sqlite_url, clock, at(stub))
    stub.answers["/userinfo"] = saying(200, {"sub": sub, "email": "victim@example.com", "email_verified": True})
    with browser(app) as client:
        assert refused(client, events, attempt(client, stub), "userinfo_sub")


def test_a_code_is_exchanged_with_the_verifier_of_its_own_sign_in(sqlite_url, clock, stub):
    """A code that was made for another sign-in does not fit, though the provider would know it."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as victim, browser(app) as attacker:
        stolen = stub.authorize(leave(attacker))["code"]
        brought = {**stub.authorize(leave(victim)), "code": stolen}
        assert told(come_back(victim, brought)) == {"error": "social_provider_failed"}


def test_keys_that_were_rotated_are_found(sqlite_url, clock, stub):
    """A token that names a key nobody knows yet has the set asked for again: once a minute, whoever comes."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert signed_in(client, stub).status_code == 200
        stub.keys, stub.signer = [RSA["r2"]], RSA["r2"]
        assert signed_in(client, stub).status_code == 200
        before = stub.asked.count("/jwks")
        stub.raw_token = lambda claims: jwt.encode({"alg": "RS256", "kid": "made-up"}, claims, RSA["r2"])
        for _ in range(3):
            assert attempt(client, stub) == {"error": "social_provider_failed"}
        assert stub.asked.count("/jwks") == before
        clock.advance(61)
        assert attempt(client, stub) == {"error": "social_provider_failed"}
        assert stub.asked.count("/jwks") == before + 1
        stub.raw_token = None
        assert signed_in(client, stub).status_code == 200


def test_a_provider_whose_keys_cannot_be_asked_for_is_believed_by_those_it_had(sqlite_url, clock, stub):
    """For a day. Metadata and keys are asked for again in the meantime, once a minute at most."""
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert signed_in(client, stub).status_code == 200
        for path in ("/jwks", "/.well-known/openid-configuration"):
            stub.answers[path] = saying(503, {})
        clock.advance(3601)
        before = stub.asked.count("/jwks")
        for _ in range(3):
            assert signed_in(client, stub).status_code == 200
        assert stub.asked.count("/jwks") == before + 1
        clock.advance(86_400)
        assert client.get("/auth/oauth/stub").json()["code"] == "social_provider_failed"
        stub.answers.clear()
        clock.advance(61)
        assert signed_in(client, stub).status_code == 200


def test_a_basic_header_carries_any_secret(sqlite_url, clock, stub):
    """A colon and a percent sign in it are written so that the provider reads them back (RFC 6749 section 2.3.1)."""
    app, _, _ = installed(sqlite_url, clock, at(stub, client_auth="basic"))
    with browser(app) as client:
        assert fetch(client, attempt(client, stub)["code"]).status_code == 200
    ((_, header),) = stub.forms
    quoted = "a+client+secret+with+a+%3A+and+a+%25+in+it"
    assert header == "Basic " + b64encode(f"{CLIENT}:{quoted}".encode()).decode()
