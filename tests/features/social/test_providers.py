"""What is particular about each provider, and how providers are found in the environment."""

from __future__ import annotations

import logging
from dataclasses import replace
from hashlib import sha256
from hmac import new as keyed
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey

from features.social.office import (
    ROOT,
    at,
    attempt,
    bearer,
    browser,
    installed,
    leave,
    of_kind,
    registered,
    signed_in,
    stub,
)
from features.social.stub import CLIENT, RSA, SECRET
from rimlock import ConfigurationError
from rimlock.features.social import Endpoints, Provider, SocialFeature
from rimlock.features.social.events import SocialLoginFailed
from rimlock.features.social.logic import PRESETS, incomplete, provider_of, providers_of
from rimlock.settings import from_environment

__all__ = ["stub"]
pytestmark = pytest.mark.req("L10", "F2")
TENANT = "9f3c1e0a-1111-4222-8333-944455556666"
OTHER_TENANT = "0a0a0a0a-1111-4222-8333-944455556666"


def preset(stub, name, **changes):
    """Return a preset with its own particulars, asked at the stub."""
    one = replace(PRESETS[name], client_id=CLIENT, client_secret=SECRET)
    if one.endpoints is not None:
        query = "?" + one.endpoints.user.partition("?")[2] if "?" in one.endpoints.user else ""
        places = Endpoints(
            authorization=f"{stub.url}/authorize",
            token=f"{stub.url}/token",
            user=f"{stub.url}/user{query}",
            emails=f"{stub.url}/emails" if one.endpoints.emails else "",
        )
        return replace(one, **{"issuer": stub.url, "endpoints": places, **changes})
    return replace(one, **{"issuer": stub.url, **changes})


def me(client, stub, provider):
    """Sign in, and return who one is."""
    return client.get("/auth/me", headers=bearer(signed_in(client, stub, provider))).json()


def found(**variables):
    """Return the providers that an environment makes."""
    return providers_of(from_environment({"RIMLOCK_SECRETS": ROOT, **variables}).social)


@pytest.mark.parametrize("name", ["google", "microsoft", "gitlab", "github", "facebook", "discord"])
def test_a_provider_is_found_by_its_client_id(name):
    """Two variables; everything else is known here."""
    known = found(**{f"{name.upper()}_CLIENT_ID": "id-1", f"{name.upper()}_CLIENT_SECRET": "s-1"})
    assert set(known) == {name}
    one = known[name]
    assert (one.client_id, one.client_secret, one.issuer) == ("id-1", "s-1", PRESETS[name].issuer)
    assert "s-1" not in repr(one)


def test_any_issuer_is_found_by_its_address():
    """A name of your own, its client id and its issuer; no secret stands for a public client."""
    known = found(
        OUR_LOGIN_CLIENT_ID="id-1",
        OUR_LOGIN_ISSUER="https://login.example.com/realms/lab",
        OUR_LOGIN_SCOPES="openid email, groups",
        OUR_LOGIN_TITLE="The Lab",
        OUR_LOGIN_TRUST_EMAIL="no",
    )
    one = known["our-login"]
    assert (one.shown, one.scopes, one.trusts_email) == ("The Lab", ("openid", "email", "groups"), False)
    assert one.client_secret == ""


def test_variables_of_other_programs_switch_nothing_on(sqlite_url, caplog):
    """A client id of some service without an issuer is none of ours; one without its secret is told, and left out."""
    assert found(PAYPAL_CLIENT_ID="x", PAYPAL_CLIENT_SECRET="y") == {}
    env = {"RIMLOCK_SECRETS": ROOT, "DATABASE_URL": sqlite_url, "GOOGLE_CLIENT_ID": "only-for-the-front-end"}
    settings = from_environment(env)
    assert providers_of(settings.social) == {}
    assert incomplete("google", settings.social["google"]) == "client_secret"
    from fastapi import FastAPI

    from rimlock import Rimlock

    app, auth = FastAPI(), Rimlock(settings, features=[SocialFeature()])
    auth.install(app)
    with caplog.at_level(logging.WARNING), browser(app) as client:
        assert client.get("/auth/oauth").json() == {"providers": []}
        assert client.get("/auth/oauth/google").json()["code"] == "not_found"
    assert "the provider google is not offered: client_secret is not set" in caplog.text
    assert "only-for-the-front-end" not in caplog.text


def test_settings_show_no_secret_of_a_provider():
    """Nor does the error about one."""
    settings = from_environment({"RIMLOCK_SECRETS": ROOT, "GITHUB_CLIENT_ID": "i", "GITHUB_CLIENT_SECRET": "s-e-c"})
    assert "s-e-c" not in repr(settings)
    with pytest.raises(ConfigurationError) as refused:
        provider_of("apple", {"client_id": "i", "key_id": "k", "private_key": "no key at all"})
    assert "no key at all" not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"issuer": "http://login.example.com"},
        {"issuer": "https://user@login.example.com"},
        {"issuer": "ftp://login.example.com"},
        {"issuer": "https://login.example.com#x"},
        {"issuer": ""},
        {"name": "Google"},
        {"name": "../x"},
        {"name": ""},
        {"client_id": ""},
        {"scopes": ("email",)},
        {"algorithms": frozenset({"HS256"})},
        {"algorithms": frozenset({"none"})},
    ],
)
def test_a_provider_that_cannot_be_safe_is_refused_where_it_is_written(given):
    """With the mend in the sentence, before anything starts."""
    plain = {"name": "lab", "client_id": "i", "issuer": "https://login.example.com"}
    with pytest.raises(ConfigurationError):
        Provider(**{**plain, **given})


def test_two_providers_of_one_name_are_refused():
    """The name stands in the address they come back to."""
    one = Provider(name="lab", client_id="i", issuer="https://login.example.com")
    with pytest.raises(ConfigurationError):
        SocialFeature([one, one])


def test_a_setting_nobody_knows_is_refused():
    """A misspelt one would change nothing, silently."""
    with pytest.raises(ConfigurationError):
        provider_of("google", {"client_id": "i", "client_secret": "s", "scope": "openid"})


@pytest.mark.parametrize("verified", [True, False])
def test_github_tells_the_proven_address_in_a_list_of_its_own(sqlite_url, clock, stub, verified):
    """The address of the profile is what somebody wrote there; the primary one counts, if it is verified."""
    stub.user = {"id": 4711, "login": "ann", "name": "Ann", "email": "written@example.com"}
    stub.emails = [
        {"email": "old@example.com", "primary": False, "verified": True},
        {"email": "ann@example.com", "primary": True, "verified": verified},
    ]
    app, _, _ = installed(sqlite_url, clock, preset(stub, "github"))
    with browser(app) as client:
        found = me(client, stub, "github")
    assert (found["email"], found["verified"], found["display_name"]) == ("ann@example.com", verified, "Ann")
    ((form, header),) = stub.forms
    assert (form["client_secret"], header) == (SECRET, "")


@pytest.mark.parametrize("emails", [[], {"message": "no"}, ["x"], [{"primary": False, "email": "a@b.example"}]])
def test_github_without_a_primary_address_tells_none(sqlite_url, clock, stub, emails):
    """Nothing is guessed from the rest."""
    stub.user, stub.emails = {"id": 4711, "email": "written@example.com"}, emails
    app, _, _ = installed(sqlite_url, clock, preset(stub, "github"))
    with browser(app) as client:
        assert signed_in(client, stub, "github").json()["code"] == "social_email_missing"


@pytest.mark.parametrize("identifier", [None, "", True, 1.5, [], "a\nb"])
def test_a_user_without_an_id_is_nobody(sqlite_url, clock, stub, identifier):
    """A name can be taken over by somebody else; only the id stays."""
    stub.user = {"id": identifier, "login": "ann"}
    app, _, events = installed(sqlite_url, clock, preset(stub, "github"))
    with browser(app) as client:
        assert attempt(client, stub, "github") == {"error": "social_provider_failed"}
    assert [event.reason for event in of_kind(events, SocialLoginFailed)] == ["subject"]


@pytest.mark.attack("pre-hijack 5: non-verifying provider")
def test_facebook_proves_no_address(sqlite_url, clock, stub):
    """It tells one without a word on it: an account of that address is not entered. The token is bound to us."""
    stub.user = {"id": "1000", "name": "Ann", "email": "ann@example.com", "verified": True, "email_verified": True}
    app, auth, _ = installed(sqlite_url, clock, preset(stub, "facebook"))
    with browser(app) as client:
        registered(client, auth, verified=True)
        assert signed_in(client, stub, "facebook").json()["code"] == "registration_conflict"
    expected = keyed(SECRET.encode(), b"an-access-token", sha256).hexdigest()
    assert f"appsecret_proof={expected}" in stub.queries[-1]


@pytest.mark.parametrize("verified", [True, False, None, "true"])
def test_discord_says_whether_an_address_is_proven(sqlite_url, clock, stub, verified):
    """By `verified`, and by nothing but true."""
    stub.user = {"id": "80351110224678912", "global_name": "Ann", "email": "ann@example.com", "verified": verified}
    app, _, _ = installed(sqlite_url, clock, preset(stub, "discord"))
    with browser(app) as client:
        found = me(client, stub, "discord")
    assert (found["verified"], found["display_name"]) == (verified is True, "Ann")


def test_providers_without_openid_are_sent_a_challenge_all_the_same(sqlite_url, clock, stub):
    """PKCE always; no nonce, which nobody would give back."""
    app, _, _ = installed(sqlite_url, clock, preset(stub, "github"))
    with browser(app) as client:
        asked = parse_qs(urlsplit(leave(client, "github")).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == ["read:user user:email"]
    assert "nonce" not in asked


def test_apple_is_shown_a_secret_that_is_signed_for_the_moment(sqlite_url, clock, stub):
    """ES256 with the key of the team, for five minutes; the word on the address may be a text."""
    pair = ec.generate_private_key(ec.SECP256R1())
    pem = pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    given = {
        "client_id": CLIENT,
        "team_id": "TEAM1",
        "key_id": "KEY1",
        "private_key": pem.replace("\n", "\\n"),
        "issuer": stub.url,
    }
    stub.person["email_verified"] = "true"
    app, _, _ = installed(sqlite_url, clock, provider_of("apple", given))
    with browser(app) as client:
        assert "response_mode=form_post" in leave(client, "apple")
        assert me(client, stub, "apple")["verified"] is True
    ((form, _),) = stub.forms
    token = jwt.decode(form["client_secret"], ECKey.import_key(pem), algorithms=["ES256"])
    assert token.header["kid"] == "KEY1"
    now = int(clock())
    assert token.claims == {"iss": "TEAM1", "sub": CLIENT, "aud": stub.url, "iat": now, "exp": now + 300}
    assert set(found(APPLE_CLIENT_ID="i")) == set()


def common(stub):
    """Make the stub an issuer of many tenants, as Microsoft's is."""
    stub.metadata = {
        "issuer": stub.url + "/{tenantid}/v2.0",
        "authorization_response_iss_parameter_supported": False,
    }
    return preset(stub, "microsoft", issuer=f"{stub.url}/common/v2.0")


def at_tenants(stub):
    """Answer for the addresses of the issuer of many tenants."""
    answers = {
        "/common/v2.0/.well-known/openid-configuration": lambda handler: handler.say(200, stub.discovery()),
    }
    stub.answers.update(answers)


@pytest.mark.parametrize(
    "issuer, tid, of_key, reason",
    [
        (TENANT, TENANT, None, None),
        (TENANT, TENANT, "{tenantid}", None),
        (TENANT, TENANT, TENANT, None),
        (TENANT, TENANT, OTHER_TENANT, "id_token_issuer"),
        (OTHER_TENANT, TENANT, None, "id_token_issuer"),
        ("{tenantid}", "{tenantid}", None, "id_token_issuer"),
        (TENANT, None, None, "id_token_issuer"),
        ("common", "common", None, "id_token_issuer"),
        (TENANT + "/../evil", TENANT + "/../evil", None, "id_token_issuer"),
    ],
)
def test_an_issuer_of_many_tenants_names_the_tenant_s_own(sqlite_url, clock, stub, issuer, tid, of_key, reason):
    """The token's tenant fills the template in, for the token and for the key it is signed with."""
    app, _, events = installed(sqlite_url, clock, common(stub))
    at_tenants(stub)
    stub.claims = {"iss": f"{stub.url}/{issuer}/v2.0", "tid": tid}
    if of_key is not None:
        stub.keys = [{**RSA["r1"].as_dict(private=False), "issuer": f"{stub.url}/{of_key}/v2.0"}]
    with browser(app) as client:
        brought = stub.authorize(leave(client, "microsoft"))
        del brought["iss"]
        answer = client.get("/auth/oauth/callback/microsoft", params=brought)
    assert ("code=" in answer.headers["location"]) is (reason is None)
    assert [event.reason for event in of_kind(events, SocialLoginFailed)] == ([reason] if reason else [])


@pytest.mark.attack("nOAuth")
def test_an_address_that_a_tenant_wrote_proves_nothing(sqlite_url, clock, stub):
    """Any administrator anywhere can write any address into an account: it leads to nobody's account here."""
    app, auth, _ = installed(sqlite_url, clock, common(stub))
    at_tenants(stub)
    stub.claims = {"iss": f"{stub.url}/{TENANT}/v2.0", "tid": TENANT, "email_verified": True}
    with browser(app) as client:
        registered(client, auth, verified=True)
        brought = stub.authorize(leave(client, "microsoft"))
        del brought["iss"]
        location = client.get("/auth/oauth/callback/microsoft", params=brought).headers["location"]
        code = parse_qs(urlsplit(location).query)["code"][0]
        answer = client.post("/auth/oauth/exchange", json={"code": code})
    assert answer.json()["code"] == "registration_conflict"


def test_one_tenant_of_microsoft_is_an_issuer_like_any_other():
    """Named by `MICROSOFT_TENANT`."""
    one = found(MICROSOFT_CLIENT_ID="i", MICROSOFT_CLIENT_SECRET="s", MICROSOFT_TENANT=TENANT)["microsoft"]
    assert one.issuer == f"https://login.microsoftonline.com/{TENANT}/v2.0"
    assert one.trusts_email is False


def test_providers_in_code_stand_beside_those_of_the_settings(sqlite_url, clock, stub):
    """And before them, where both have one name."""
    social = {"google": {"client_id": "i", "client_secret": "s"}, "stub": {"client_id": "i", "issuer": stub.url}}
    app, _, _ = installed(sqlite_url, clock, at(stub, title="In code"), social=social)
    with browser(app) as client:
        listed = client.get("/auth/oauth").json()["providers"]
        assert {"name": "stub", "title": "In code"} in listed
        assert {"name": "google", "title": "Google"} in listed
        assert signed_in(client, stub).status_code == 200
