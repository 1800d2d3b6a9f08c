"""Which account somebody comes to: never one that an unproven address would lead to, never one made ready for them."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from features.social.office import (
    API,
    at,
    attempt,
    bearer,
    browser,
    by_password,
    fetch,
    installed,
    of_kind,
    registered,
    signed_in,
    stub,
    told,
    whose,
)
from rimlock.core import accounts, identities, invitations
from rimlock.core.claiming import claim
from rimlock.core.errors import AccountDisabled
from rimlock.core.login import Deny, LoginRefused
from rimlock.core.registering import UserRegistered, remove_user

__all__ = ["stub"]
pytestmark = [pytest.mark.req("L10", "F2"), pytest.mark.asvs("6.8.1")]


def write(client, auth, work):
    """Run `work` in a transaction."""
    return client.portal.call(auth.database.write, work)


def invited(client, auth, **wanted):
    """Return the code of a new invitation."""
    plain = {"roles": frozenset({"analyst"}), "expires_at": auth.context.now() + 3600}
    made = invitations.Invited(**{**plain, **wanted})
    return write(client, auth, lambda tx: invitations.issue(tx, made, mode="invitation", now=auth.context.now()))[0]


def test_both_sides_proved_the_address(database_url, clock, stub):
    """Then, and only then, the login elsewhere leads to the account that is there; the password stays."""
    app, auth, events = installed(database_url, clock, at(stub))
    with browser(app) as client:
        user_id = registered(client, auth, verified=True)
        stub.person["email"] = "ANN@example.com"
        assert client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"] == user_id
        assert by_password(client).status_code == 200
    assert len(of_kind(events, UserRegistered)) == 1


@pytest.mark.attack("pre-hijack 1: classic-federated merge")
def test_an_account_that_was_prepared_for_its_victim_is_not_entered(database_url, clock, stub):
    """An attacker registers the victim's address; the victim comes by a provider and is told: nothing is merged."""
    app, auth, _ = installed(database_url, clock, at(stub))
    with browser(app) as attacker, browser(app) as victim:
        registered(attacker, auth)
        answer = signed_in(victim, stub)
        assert (answer.status_code, answer.json()["code"]) == (409, "account_exists_unlinked")
        assert whose(victim, auth, stub) is None
        assert by_password(attacker).status_code == 200


@pytest.mark.attack("pre-hijack 2: unexpired session")
def test_a_session_of_before_does_not_reach_what_the_owner_came_to(sqlite_url, clock, stub):
    """The account is claimed by its owner: sessions of before are over, and only then the provider leads to it."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as attacker, browser(app) as victim:
        user_id = registered(attacker, auth)
        stolen = bearer(by_password(attacker))
        assert signed_in(victim, stub).json()["code"] == "account_exists_unlinked"

        def recovered(tx):
            now = auth.context.now()
            claim(tx, user_id, "ann@example.com", now=now, everything=True, reason="claimed")
            accounts.set_password_hash(tx, user_id, "nfc1$none", now=now)
            accounts.set_verified(tx, user_id, verified=True, now=now)

        write(victim, auth, recovered)
        assert victim.get("/auth/me", headers=bearer(signed_in(victim, stub))).json()["id"] == user_id
        assert attacker.get("/auth/me", headers=stolen).status_code == 401
        assert by_password(attacker).status_code == 401


@pytest.mark.attack("pre-hijack 3: trojan identifier")
def test_a_login_that_a_stranger_linked_before_goes_when_the_owner_comes(sqlite_url, clock, stub):
    """The attacker registers the victim's address and links a login of their own: the owner's claim takes it out."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as attacker:
        user_id = registered(attacker, auth, "victim@example.com")
        headers = bearer(by_password(attacker, "victim@example.com"))
        url = attacker.post("/auth/identities/stub", json={}, headers=headers).json()["authorization_url"]
        back = attacker.get("/auth/oauth/callback/stub", params=stub.authorize(url))
        assert told(back) == {"linked": "stub"}
        now = auth.context.now()
        taken = write(
            attacker,
            auth,
            lambda tx: claim(tx, user_id, "victim@example.com", now=now, everything=True, reason="claimed"),
        )
        assert taken.identities == 1
        assert whose(attacker, auth, stub) is None


@pytest.mark.attack("pre-hijack 4: unexpired change of the address")
def test_a_change_of_the_address_takes_no_login_along(sqlite_url, clock, stub):
    """Who changes their address to the victim's has proven nothing: the victim's login does not lead there."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as attacker, browser(app) as victim:
        user_id = registered(attacker, auth, "eve@example.com", verified=True)
        now = auth.context.now()

        def changed(tx):
            auth.context.users.change(tx, user_id, {"email": "ann@example.com"}, now)
            accounts.set_verified(tx, user_id, verified=False, now=now)

        write(attacker, auth, changed)
        assert signed_in(victim, stub).json()["code"] == "account_exists_unlinked"


@pytest.mark.attack("pre-hijack 5: non-verifying provider")
@pytest.mark.parametrize("said", [False, None, "yes", 1, "false", "TRUE"])
def test_a_provider_that_did_not_prove_an_address_leads_to_nobody(database_url, clock, stub, said):
    """Whoever wrote the victim's address into a profile there learns what a registration would tell them."""
    stub.person["email_verified"] = said
    app, auth, _ = installed(database_url, clock, at(stub))
    with browser(app) as attacker:
        registered(attacker, auth, verified=True)
        answer = signed_in(attacker, stub)
        plain = attacker.post("/auth/register", json={"email": "ann@example.com", "password": "eleven quiet harbours"})
        assert answer.json()["code"] == plain.json()["code"] == "registration_conflict"
        assert whose(attacker, auth, stub) is None


@pytest.mark.attack("pre-hijack 5: non-verifying provider")
def test_a_provider_whose_word_does_not_count_leads_to_nobody(sqlite_url, clock, stub):
    """It says the address is proven, and the registration says that it cannot know."""
    app, auth, _ = installed(sqlite_url, clock, at(stub, trusts_email=False))
    with browser(app) as attacker, browser(app) as other:
        registered(attacker, auth, verified=True)
        assert signed_in(attacker, stub).json()["code"] == "registration_conflict"
        stub.person = {"sub": "subject-2", "email": "ben@example.com", "email_verified": True}
        assert other.get("/auth/me", headers=bearer(signed_in(other, stub))).json()["verified"] is False


def test_an_unproven_address_makes_an_unproven_account(sqlite_url, clock, stub):
    """As a registration does; its owner can claim it."""
    stub.person["email_verified"] = False
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["verified"] is False
        assert whose(client, auth, stub).verified is False


def test_where_addresses_have_to_be_proven_an_unproven_one_waits(sqlite_url, clock, stub):
    """`require_verified` holds for every way to sign in."""
    stub.person["email_verified"] = False
    app, _, _ = installed(sqlite_url, clock, at(stub), require_verified=True)
    with browser(app) as client:
        assert signed_in(client, stub).json()["code"] == "email_not_verified"
        stub.person |= {"sub": "subject-2", "email": "ben@example.com", "email_verified": True}
        assert signed_in(client, stub).status_code == 200


def test_the_same_subject_of_two_issuers_are_two_people(sqlite_url, clock, stub):
    """And two subjects of one issuer with one address are not one person."""
    app, auth, _ = installed(sqlite_url, clock, at(stub), at(stub, name="again", trusts_email=False))
    with browser(app) as client:
        first = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"]
        same = client.get("/auth/me", headers=bearer(signed_in(client, stub, "again"))).json()["id"]
        assert same == first  # one issuer under two names of ours
        assert write(client, auth, lambda tx: identities.find(tx, "https://other.example", "subject-1")) is None
        stub.person |= {"sub": "SUBJECT-1", "email": "ben@example.com"}
        assert client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"] != first


@pytest.mark.parametrize("email", [None, "", "not an address", "a@b@c", 7, "x" * 400 + "@example.com", "a\n@b.example"])
def test_without_an_address_there_is_no_account_to_make(sqlite_url, clock, stub, email):
    """Somebody who told none can register, and link."""
    stub.person["email"] = email
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert signed_in(client, stub).json()["code"] == "social_email_missing"
        assert whose(client, auth, stub) is None


@pytest.mark.parametrize("name", ["\u202eevil", "a" * 300, 7, {"x": 1}, "\x07"])
def test_a_name_that_cannot_be_shown_is_left_out(sqlite_url, clock, stub, name):
    """It keeps nobody from coming in."""
    stub.person["name"] = name
    app, _, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        assert client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["display_name"] == ""


def test_who_may_register_is_decided_as_for_everybody(database_url, clock, stub):
    """By nobody, by invitation, by approval: a provider opens no other door. Who has an account comes in."""
    app, auth, events = installed(database_url, clock, at(stub), registration="closed")
    with browser(app) as client:
        assert signed_in(client, stub).json()["code"] == "registration_closed"
        user = write(client, auth, lambda tx: auth.context.users.find(tx, "ann@example.com"))
        assert user is None
        assert whose(client, auth, stub) is None
    assert not of_kind(events, UserRegistered)


def test_by_invitation_a_code_makes_the_account(database_url, clock, stub):
    """It comes with the page's request; without one, or with a wrong one, the code of the sign-in stays good."""
    app, auth, events = installed(database_url, clock, at(stub), registration="invitation")
    with browser(app) as client:
        invitation = invited(client, auth)
        code = attempt(client, stub)["code"]
        assert fetch(client, code).json()["code"] == "invitation_invalid"
        assert fetch(client, code, invitation="made up").json()["code"] == "invitation_invalid"
        answer = fetch(client, code, invitation=invitation)
        assert answer.status_code == 200, answer.text
        assert client.get("/auth/me", headers=bearer(answer)).json()["roles"] == ["analyst"]
        stub.person |= {"sub": "subject-2", "email": "ben@example.com"}
        code = attempt(client, stub)["code"]
        assert fetch(client, code, invitation=invitation).json()["code"] == "invitation_invalid"
    assert [event.by for event in of_kind(events, UserRegistered)] == ["invitation"]


def test_by_approval_the_account_waits(sqlite_url, clock, stub):
    """It is made, and linked, and lets nobody in before an administrator does."""
    app, auth, events = installed(sqlite_url, clock, at(stub), registration="approval")
    with browser(app) as client:
        assert signed_in(client, stub).json()["code"] == "approval_waiting"
        assert signed_in(client, stub).json()["code"] == "approval_waiting"
        (made,) = of_kind(events, UserRegistered)
        write(client, auth, lambda tx: accounts.approve(tx, made.user_id, now=auth.context.now()))
        assert signed_in(client, stub).status_code == 200
    assert made.by == "approval"


def test_a_disabled_account_stays_shut(database_url, clock, stub):
    """Whatever the provider proves; and nothing is made beside it."""
    app, auth, events = installed(database_url, clock, at(stub))
    with browser(app) as client:
        user_id = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"]
        write(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=auth.context.now()))
        answer = signed_in(client, stub)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_login")
    assert len(of_kind(events, UserRegistered)) == 1
    assert [event.method for event in of_kind(events, LoginRefused)] == ["social"]


def test_an_account_that_is_disabled_between_the_code_and_the_tokens_stays_shut(sqlite_url, clock, stub):
    """The code is no session."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        user_id = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"]
        code = attempt(client, stub)["code"]
        write(client, auth, lambda tx: accounts.set_active(tx, user_id, active=False, now=auth.context.now()))
        assert fetch(client, code).json()["code"] == "invalid_login"


def test_a_deleted_account_is_not_brought_back(sqlite_url, clock, stub):
    """Its logins elsewhere went with it: whoever comes again is somebody new, where that is allowed."""
    app, auth, _ = installed(sqlite_url, clock, at(stub))
    with browser(app) as client:
        first = client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"]
        write(client, auth, lambda tx: remove_user(auth.context.users, tx, first, now=auth.context.now()))
        assert client.get("/auth/me", headers=bearer(signed_in(client, stub))).json()["id"] != first


def test_policies_decide_on_it_as_on_every_sign_in(sqlite_url, clock, stub):
    """They see that somebody else vouched for the user, and may refuse."""
    seen = []

    def policy(_, login):
        seen.append(login.proof.method)
        return Deny(AccountDisabled())

    app, _, _ = installed(sqlite_url, clock, at(stub), policies=[policy])
    with browser(app) as client:
        assert signed_in(client, stub).json()["code"] == "account_disabled"
    assert seen == ["social"]


@pytest.mark.attack("race")
@pytest.mark.anyio
async def test_two_tabs_of_somebody_new_make_one_account(database_url, clock, stub):
    """Ten sign-ins of one person who was never here, fetched at the same moment: one account, ten sessions."""
    app, auth, events = installed(database_url, clock, at(stub))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=API) as client:
        try:
            codes = []
            for _ in range(10):
                begun = await client.get("/auth/oauth/stub")
                back = await client.get("/auth/oauth/callback/stub", params=stub.authorize(begun.headers["location"]))
                codes.append(told(back)["code"])
            kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}
            answers = await asyncio.gather(
                *(client.post("/auth/oauth/exchange", json={"code": code}, headers=kept) for code in codes)
            )
        finally:
            await auth.stop()
    assert [answer.status_code for answer in answers] == [200] * 10
    assert len(of_kind(events, UserRegistered)) == 1


def test_accounts_are_made_at_the_rate_of_registrations(sqlite_url, clock, stub):
    """A provider with endless accounts does not make endless accounts here; who has one is not counted."""
    app, _, _ = installed(sqlite_url, clock, at(stub), registration_rate=2)
    with browser(app) as client:
        found = []
        for number in range(3):
            stub.person |= {"sub": f"subject-{number}", "email": f"person{number}@example.com"}
            found.append(signed_in(client, stub).status_code)
        stub.person |= {"sub": "subject-0", "email": "person0@example.com"}
        assert signed_in(client, stub).status_code == 200
    assert found == [200, 200, 429]
