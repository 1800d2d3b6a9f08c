"""A certified OpenID provider that nobody here wrote, configured by the environment, signed in to by its own pages."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2
import pytest
from fastapi import FastAPI

from features.social.office import API, APP, ROOT, bearer, browser, come_back, fetch, leave, told
from parts.openid import CLIENT
from rimlock import Rimlock
from rimlock.core.events import Event
from rimlock.features.social.events import SocialLoginFailed

pytestmark = [pytest.mark.req("L10", "F2"), pytest.mark.part("openid")]
CALLBACK = f"{API}/auth/oauth/callback/"


@pytest.fixture
def openid(parts, request):
    """The address of the provider."""
    return parts.use("openid", request).url


def by_environment(sqlite_url, provider, **variables):
    """Return an application that is configured by variables alone, as a server is, and the list of its events."""
    name = provider.upper()
    auth = Rimlock.from_env(
        {
            "RIMLOCK_SECRETS": ROOT,
            "DATABASE_URL": sqlite_url,
            "BACKEND_URL": API,
            "FRONTEND_URL": APP,
            f"{name}_CLIENT_ID": CLIENT["client_id"],
            f"{name}_CLIENT_SECRET": CLIENT["client_secret"],
            **variables,
        }
    )
    app, events = FastAPI(), []
    auth.on(Event, events.append)
    auth.install(app)
    return app, events


def through_the_pages(location, login, *, deny=False):
    """Do in the provider's pages what a person does; return what the browser is sent back with."""
    with httpx2.Client() as there:
        answer = there.get(location)
        for _ in range(12):
            if answer.is_redirect:
                where = urljoin(str(answer.url), answer.headers["location"])
                if where.startswith(CALLBACK):
                    return dict(parse_qsl(urlsplit(where).query))
                answer = there.get(where)
                continue
            page = answer.text
            if deny:
                (link,) = re.findall(r'href="([^"]*/abort)"', page)
                answer = there.get(urljoin(str(answer.url), link))
                continue
            (action,) = re.findall(r'action="([^"]+)"', page)
            (prompt,) = re.findall(r'name="prompt" value="(\w+)"', page)
            form = {"prompt": prompt, **({"login": login, "password": "any"} if prompt == "login" else {})}
            answer = there.post(urljoin(str(answer.url), action), data=form)
    raise AssertionError("the provider never sent the browser back")


@pytest.mark.parametrize("provider", ["google", "keycloak"])
def test_somebody_signs_in_at_a_certified_provider(sqlite_url, openid, provider):
    """Out, through its pages, and back: an account with a proven address. The same issuer stands in for Google."""
    app, _ = by_environment(sqlite_url, provider, **{f"{provider.upper()}_ISSUER": openid})
    with browser(app) as client:
        brought = through_the_pages(leave(client, provider, next="/notebooks"), "ann@example.com")
        assert brought["iss"] == openid
        back = come_back(client, brought, provider)
        assert back.headers["location"].startswith(f"{APP}/notebooks?code=")
        answer = fetch(client, told(back)["code"])
        assert answer.status_code == 200, answer.text
        me = client.get("/auth/me", headers=bearer(answer)).json()
        assert (me["email"], me["verified"]) == ("ann@example.com", True)
        (identity,) = client.get("/auth/identities", headers=bearer(answer)).json()["identities"]
        assert (identity["issuer"], identity["provider"]) == (openid, provider)
        again = through_the_pages(leave(client, provider), "ann@example.com")
        second = fetch(client, told(come_back(client, again, provider))["code"])
        assert client.get("/auth/me", headers=bearer(second)).json()["id"] == me["id"]


def test_it_takes_the_verifier_of_this_sign_in_alone(sqlite_url, openid):
    """A code of another sign-in is refused by the provider itself, and nobody comes in."""
    app, events = by_environment(sqlite_url, "google", GOOGLE_ISSUER=openid)
    with browser(app) as client, browser(app) as attacker:
        stolen = through_the_pages(leave(attacker, "google"), "eve@example.com")["code"]
        brought = through_the_pages(leave(client, "google"), "ann@example.com")
        assert told(come_back(client, {**brought, "code": stolen}, "google")) == {"error": "social_provider_failed"}
    assert [event.reason for event in events if type(event) is SocialLoginFailed] == ["token_status"]


def test_an_address_it_did_not_prove_is_not_proven_here(sqlite_url, openid):
    """Its word is taken as it is given."""
    app, _ = by_environment(sqlite_url, "google", GOOGLE_ISSUER=openid)
    with browser(app) as client:
        brought = through_the_pages(leave(client, "google"), "unproven@example.com")
        answer = fetch(client, told(come_back(client, brought, "google"))["code"])
        me = client.get("/auth/me", headers=bearer(answer)).json()
    assert (me["email"], me["verified"]) == ("unproven@example.com", False)


def test_somebody_who_turns_back_there_is_told_so(sqlite_url, openid):
    """The provider says `access_denied`, with our state and its name."""
    app, _ = by_environment(sqlite_url, "google", GOOGLE_ISSUER=openid)
    with browser(app) as client:
        brought = through_the_pages(leave(client, "google"), "", deny=True)
        assert told(come_back(client, brought, "google")) == {"error": "social_denied"}


def test_a_wrong_secret_lets_nobody_in(sqlite_url, openid):
    """The provider refuses us, and the page learns no more than that it did."""
    app, events = by_environment(sqlite_url, "google", GOOGLE_ISSUER=openid, GOOGLE_CLIENT_SECRET="another one")
    with browser(app) as client:
        brought = through_the_pages(leave(client, "google"), "ann@example.com")
        assert told(come_back(client, brought, "google")) == {"error": "social_provider_failed"}
    assert [event.reason for event in events if type(event) is SocialLoginFailed] == ["token_status"]
