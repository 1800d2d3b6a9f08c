"""Logins elsewhere of somebody who is signed in: linked from a fresh session, unlinked while another way in is left."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx2
import pytest

from features.social.office import (
    API,
    APP,
    at,
    bearer,
    browser,
    by_password,
    come_back,
    installed,
    of_kind,
    registered,
    signed_in,
    stub,
    told,
    whose,
)
from features.social.stub import standing
from rimlock.core import accounts, identities, sessions
from rimlock.core.identities import IdentityLinked, IdentityUnlinked
from rimlock.testing import sign_in

__all__ = ["stub"]
pytestmark = [pytest.mark.req("L10", "F2"), pytest.mark.asvs("6.8.1", "7.5.1")]


def begin(client, headers, provider="stub", **form):
    """Begin to link; return where the browser is sent."""
    answer = client.post(f"/auth/identities/{provider}", json=form, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["authorization_url"]


def listed(client, headers):
    """Return the logins elsewhere of the account."""
    return client.get("/auth/identities", headers=headers).json()["identities"]


def test_a_login_is_linked_from_a_signed_in_account(database_url, clock, stub):
    """Whatever address it has there, and whether or not it is proven: the owner of both says so."""
    stub.person |= {"email": "other@example.com", "email_verified": False}
    app, auth, events = installed(database_url, clock, at(stub))
    with browser(app) as client:
        user_id = registered(client, auth)
        headers = bearer(by_password(client))
        back = come_back(client, stub.authorize(begin(client, headers, next="/settings")))
        assert back.headers["location"] == f"{APP}/settings?linked=stub"
        assert not [one for one in back.headers.get_list("set-cookie") if "-code-" in one]
        (found,) = listed(client, headers)
        assert (found["provider"], found["email"], found["verified"]) == ("stub", "other@example.com", False)
        assert "subject-1" not in str(found)
        me = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()
    assert (me["id"], me["email"]) == (user_id, "ann@example.com")
    assert [event.user_id for event in of_kind(events, IdentityLinked)] == [user_id]


def test_a_login_leads_to_one_account(database_url, clock, stub):
    """Somebody else's is not taken over; one's own can be linked again."""
    app, auth, _ = installed(database_url, clock, at(stub))
    with browser(app) as client:
        mine = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"]
        registered(client, auth, "eve@example.com")
        headers = bearer(by_password(client, "eve@example.com"))
        assert told(come_back(client, stub.authorize(begin(client, headers)))) == {"error": "identity_taken"}
        assert whose(client, auth, stub).user_id == mine
        again = bearer(signed_in(client, stub))
        assert told(come_back(client, stub.authorize(begin(client, again)))) == {"linked": "stub"}


@pytest.mark.attack("CSRF")
def test_linking_needs_a_token_and_not_a_cookie(sqlite_url, clock, stub):
    """Nothing that a browser sends by itself begins it."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        registered(client, auth)
        page = {"X-Rimlock": "1", "Origin": API}
        form = {"login": "ann@example.com", "password": "seven green ladders", "transport": "cookie"}
        client.post("/auth/login", json=form, headers=page)
        assert client.post("/auth/identities/stub", json={}, headers=page).json()["code"] == "credential_missing"
        assert client.get("/auth/identities", headers=page).status_code == 401


@pytest.mark.attack("login CSRF")
def test_an_answer_of_another_browser_is_linked_to_nobody(sqlite_url, clock, stub):
    """Neither the attacker's login to the victim's account, nor the victim's to the attacker's."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as attacker, browser(app) as victim:
        registered(attacker, auth, "eve@example.com")
        registered(victim, auth, "ann@example.com")
        theirs, mine = bearer(by_password(attacker, "eve@example.com")), bearer(by_password(victim))
        brought = stub.authorize(begin(attacker, theirs))
        begin(victim, mine)
        assert told(come_back(victim, brought)) == {"error": "social_state_refused"}
        assert listed(victim, mine) == listed(attacker, theirs) == []


def test_what_was_begun_as_a_sign_in_links_nothing_and_the_other_way_round(sqlite_url, clock, stub):
    """The purpose is sealed in: a link hands out no code."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        registered(client, auth, "eve@example.com")
        headers = bearer(by_password(client, "eve@example.com"))
        assert told(come_back(client, stub.authorize(begin(client, headers)))) == {"linked": "stub"}
        stub.person |= {"sub": "subject-2", "email": "ben@example.com"}
        signed_in(client, stub)
        assert len(listed(client, headers)) == 1


def test_linking_and_unlinking_need_a_fresh_sign_in(sqlite_url, clock, stub):
    """Of the last fifteen minutes: an unlocked screen is not enough."""
    app, auth, _ = installed(sqlite_url, clock, at(stub), access_lifetime=timedelta(hours=1))
    with browser(app) as client:
        registered(client, auth)
        headers = bearer(by_password(client))
        clock.advance(899)
        begin(client, headers)
        clock.advance(2)
        refused = [
            client.post("/auth/identities/stub", json={}, headers=headers),
            client.delete("/auth/identities/stub/" + "0" * 32, headers=headers),
        ]
    assert {answer.json()["code"] for answer in refused} == {"fresh_login_required"}


@pytest.mark.parametrize("how", ["session", "epoch", "disabled"])
def test_an_account_that_changed_meanwhile_is_linked_to_nothing(database_url, clock, stub, how):
    """Signed out, disabled, or with a new password while the browser was away: what was begun under the old is over."""
    app, auth, _ = installed(database_url, clock, at(stub))
    with browser(app) as client:
        user_id = registered(client, auth)
        brought = stub.authorize(begin(client, bearer(by_password(client))))
        now = auth.context.now()
        work = {
            "session": lambda tx: sessions.end_all(tx, user_id, reason="logout_all", now=now),
            "epoch": lambda tx: accounts.raise_epoch(tx, user_id, now=now),
            "disabled": lambda tx: accounts.set_active(tx, user_id, active=False, now=now),
        }[how]
        client.portal.call(auth.database.write, work)
        assert told(come_back(client, brought)) == {"error": "credential_invalid"}
        assert whose(client, auth, stub) is None


def test_a_login_is_unlinked_while_a_password_is_left(database_url, clock, stub):
    """It leads here no more: whoever comes by it is somebody new."""
    app, auth, events = installed(database_url, clock, at(stub))
    with browser(app) as client:
        registered(client, auth)
        headers = bearer(by_password(client))
        come_back(client, stub.authorize(begin(client, headers)))
        (found,) = listed(client, headers)
        path = f"/auth/identities/stub/{found['id']}"
        assert client.delete(path, headers=headers).status_code == 204
        assert listed(client, headers) == []
        assert client.delete(path, headers=headers).json()["code"] == "not_found"
        assert signed_in(client, stub).json()["code"] == "account_exists_unlinked"
    assert len(of_kind(events, IdentityUnlinked)) == 1


def test_the_only_way_in_stays(database_url, clock, stub):
    """Without a password, and without another login, nothing is unlinked."""
    app, auth, _ = installed(database_url, clock, at(stub))
    with browser(app) as client:
        headers = bearer(signed_in(client, stub))
        (found,) = listed(client, headers)
        answer = client.delete(f"/auth/identities/stub/{found['id']}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "last_way_in")
        assert whose(client, auth, stub) is not None
        assert signed_in(client, stub).status_code == 200


def test_a_login_at_a_provider_that_is_not_offered_is_no_way_in(sqlite_url, clock, stub):
    """Nobody could sign in by what is left."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        headers = bearer(signed_in(client, stub))
        user_id = whose(client, auth, stub).user_id
        client.portal.call(
            auth.database.write,
            lambda tx: identities.link(tx, user_id, "https://gone.example", "s", provider="gone", now=1),
        )
        by_name = {one["provider"]: one["id"] for one in listed(client, headers)}
        refused = client.delete(f"/auth/identities/stub/{by_name['stub']}", headers=headers)
        assert refused.json()["code"] == "last_way_in"
        assert client.delete(f"/auth/identities/gone/{by_name['gone']}", headers=headers).status_code == 204


@pytest.mark.attack("IDOR")
def test_nobody_unlinks_what_is_another_account_s(sqlite_url, clock, stub):
    """By its id, whoever learned it: there is no such thing."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        mine = bearer(signed_in(client, stub))
        (found,) = listed(client, mine)
        eve = sign_in(auth, client, email="eve@example.com").headers
        assert listed(client, eve) == []
        answer = client.delete(f"/auth/identities/stub/{found['id']}", headers=eve)
        assert answer.json()["code"] == "not_found"
        assert client.delete(f"/auth/identities/other/{found['id']}", headers=mine).json()["code"] == "not_found"
        assert whose(client, auth, stub) is not None


@pytest.mark.attack("race")
@pytest.mark.anyio
async def test_of_two_logins_unlinked_at_once_one_stays(database_url, clock, stub):
    """Each request sees the other's login as the way that is left: still only one of them is let through."""
    with standing(clock) as other:
        app, auth, events = installed(database_url, clock, at(stub), at(other, name="other"))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=API) as client:
            try:
                for one in range(4):
                    subject = {"sub": f"subject-{one}", "email": f"person{one}@example.com", "email_verified": True}
                    stub.person, other.person = subject, subject
                    answers = await both_unlinked(client, stub, other)
                    assert sorted(answer.status_code for answer in answers) == [204, 409]
            finally:
                await auth.stop()
    assert len(of_kind(events, IdentityUnlinked)) == 4


async def both_unlinked(client, stub, other):
    """Sign in by both, and unlink both at the same moment, many times over; return the two kinds of answer."""
    headers = {}
    for provider, where in (("stub", stub), ("other", other)):
        begun = await client.get(f"/auth/oauth/{provider}")
        back = await client.get(f"/auth/oauth/callback/{provider}", params=where.authorize(begun.headers["location"]))
        headers = bearer(await client.post("/auth/oauth/exchange", json={"code": told(back)["code"]}))
    found = (await client.get("/auth/identities", headers=headers)).json()["identities"]
    assert len(found) == 2
    paths = [f"/auth/identities/{one['provider']}/{one['id']}" for one in found]
    return await asyncio.gather(*(client.delete(path, headers=headers) for path in paths))
