"""Who may make an account: anybody, who has a code, who is let in afterwards, or administrators only."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.admin.staff import (
    GENEROUS,
    GOOD,
    account,
    administrator,
    administrator_async,
    bearer,
    chosen,
    invitation,
    is_readable,
    names,
    outcome,
    pending,
    registered,
    rows,
    signed_in,
    staffed,
    user,
    visiting,
)
from rimlock.core.invitations import Invited
from rimlock.features.invitations import logic as inviting
from rimlock.features.password import logic

INVITATIONS = "/auth/admin/invitations"
USERS = "/auth/admin/users"
ANN = {"email": "ann@example.com", "password": GOOD}
MODES = ["open", "invitation", "approval", "closed"]
INVALID = (403, "invitation_invalid")


def invited(client, visitor, **wanted):
    """Make an invitation and return the answer's fields."""
    answer = client.post(INVITATIONS, json=wanted, headers=visitor.headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def register(client, **more):
    """Return the answer to a registration."""
    return client.post("/auth/register", json={**ANN, **more})


@pytest.mark.req("N7")
@pytest.mark.parametrize("mode", MODES)
def test_each_mode_says_what_it_is_and_does_it(database_url, mode):
    """The mode is told to everybody; without a code an account is made, waits, or is refused."""
    app, _, events = staffed(database_url, registration=mode)
    with TestClient(app) as client:
        assert client.get("/auth/registration").json() == {"mode": mode}
        expected = {
            "open": (201, None),
            "invitation": INVALID,
            "approval": (201, None),
            "closed": (403, "registration_closed"),
        }
        assert outcome(register(client)) == expected[mode]
        signs_in = {"open": (200, None), "approval": (403, "approval_waiting")}.get(mode, (401, "invalid_login"))
        assert outcome(signed_in(client)) == signs_in
    made = {"open": ["registration"], "approval": ["approval"]}.get(mode, [])
    assert [event.by for event in events if names([event]) == ["UserRegistered"]] == made


@pytest.mark.parametrize("mode", MODES)
def test_administrators_make_accounts_in_every_mode(database_url, mode):
    """The first one by the link, others with a temporary password; none of them waits."""
    app, auth, _ = staffed(database_url, registration=mode)
    with TestClient(app) as client:
        link = client.portal.call(logic.first_admin_link, auth.context)
        first = {"token": link, "email": "root@example.com", "password": GOOD}
        assert client.post("/auth/first-admin", json=first).status_code == 201
        root = bearer(signed_in(client, "root@example.com"))
        made = client.post(USERS, json={"email": "ann@example.com"}, headers=root)
        assert chosen(client, pending(client, made.json()["temporary_password"])).status_code == 200
        asked = client.post(USERS, json={"email": "bea@example.com", "by": "invitation"}, headers=root)
        if mode == "closed":
            assert outcome(asked) == (403, "registration_closed")
            assert outcome(client.post(INVITATIONS, json={}, headers=root)) == (403, "registration_closed")
        else:
            assert asked.json()["user"] is None
            bea = register(client, email="bea@example.com", invitation=asked.json()["invitation"])
            assert bea.status_code == 201
            assert signed_in(client, "bea@example.com").status_code == 200


@pytest.mark.asvs("6.4.1")
@pytest.mark.parametrize("mode", ["open", "invitation", "approval"])
def test_a_code_lets_one_in_with_its_roles(database_url, mode):
    """However its groups are typed; nobody waits who has one; the code is nowhere in the database."""
    app, auth, events = staffed(database_url, registration=mode)
    with TestClient(app) as client:
        root = administrator(auth, client)
        events.clear()
        made = invited(client, root, roles=["analyst", "lab"], note=" for the lab ")
        assert is_readable(made["code"])
        assert (made["note"], made["created_by"]) == ("for the lab", f"user:{root.user.id}")
        ann = register(client, invitation=made["code"].upper().replace("-", " "))
        assert ann.status_code == 201
        me = client.get("/auth/me", headers=bearer(signed_in(client)))
        assert me.json()["roles"] == ["analyst", "lab"]
        assert outcome(register(client, email="bob@example.com", invitation=made["code"])) == INVALID
        (kept,) = client.portal.call(auth.database.read, rows(invitation))
        assert (kept["used"], kept["seats"]) == (1, 1)
        assert made["code"] not in str(kept)
        listed = client.get(INVITATIONS, params={"all": True}, headers=root.headers)
        assert made["code"] not in listed.text
        assert [one["used"] for one in listed.json()["items"]] == [1]
        assert client.get(INVITATIONS, headers=root.headers).json() == {"items": [], "next": None}
    told = [event for event in events if names([event])[0] in {"InvitationMade", "UserRegistered"}]
    assert names(told) == ["InvitationMade", "UserRegistered"]
    assert (told[1].by, told[1].invitation_id) == ("invitation", made["id"])
    assert told[0].roles == told[1].roles == ("analyst", "lab")


@pytest.mark.attack("privilege escalation")
@pytest.mark.parametrize("stop", ["demote", "disable", "delete"])
def test_a_code_counts_while_its_maker_may_act(database_url, stop):
    """What an administrator gave out lets nobody in once they are none; one of a command has nobody to lose."""
    app, auth, _ = staffed(database_url, registration="invitation", **GENEROUS)
    with TestClient(app) as client:
        root, mal = administrator(auth, client), administrator(auth, client, "mal@example.com")
        made = invited(client, mal, roles=["admin"], seats=5)
        assert register(client, invitation=made["code"], email="first@example.com").status_code == 201
        path = f"{USERS}/{mal.user.id}"
        if stop == "demote":
            client.put(f"{path}/roles", json={"roles": ["Admin"]}, headers=root.headers)
        elif stop == "disable":
            client.post(f"{path}/disable", headers=root.headers)
        else:
            client.delete(path, headers=root.headers)
        assert outcome(register(client, invitation=made["code"])) == INVALID
        assert client.get(INVITATIONS, headers=root.headers).json()["items"] == []
        if stop == "disable":
            client.post(f"{path}/enable", headers=root.headers)
            assert register(client, invitation=made["code"]).status_code == 201
        wanted = Invited(expires_at=auth.context.now() + 60)
        code, _ = client.portal.call(invite, auth.context, wanted)
        assert register(client, invitation=code, email="last@example.com").status_code == 201


async def invite(context, wanted):
    """Make an invitation as a command does."""
    return await inviting.invite(context, wanted, by=None)


@pytest.mark.attack("enumeration")
def test_every_worthless_code_gets_one_answer(database_url, clock):
    """Unknown, used, expired, revoked, another's address, none at all: the same bytes, and nothing is hashed."""
    app, auth, _ = staffed(database_url, registration="invitation", clock=clock, **GENEROUS)
    with TestClient(app) as client:
        root = administrator(auth, client)
        used, over, revoked = invited(client, root), invited(client, root, days=1), invited(client, root)
        hers, good = invited(client, root, email="Ann@Example.com"), invited(client, root)
        registered(client, "first@example.com", invitation=used["code"])
        path = f"{INVITATIONS}/{revoked['id']}"
        assert client.delete(path, headers=root.headers).status_code == 204
        assert outcome(client.delete(path, headers=root.headers)) == (404, "not_found")
        clock.advance(timedelta(days=1))
        codes = [used["code"], over["code"], revoked["code"], hers["code"], "nothing", "", good["code"][:-1], None]
        answers = [register(client, email="eve@example.com", invitation=code) for code in codes]
        assert {outcome(answer) for answer in answers} == {INVALID}
        assert len({answer.content for answer in answers}) == 1
        assert register(client, invitation=hers["code"]).status_code == 201
        assert register(client, email="bob@example.com", invitation=good["code"]).status_code == 201


def test_a_registration_that_fails_gives_the_seat_back(database_url):
    """A taken address, a taken name and a weak password cost no seat."""
    app, auth, _ = staffed(database_url, registration="invitation", **GENEROUS)
    with TestClient(app) as client:
        root = administrator(auth, client)
        code = invited(client, root)["code"]
        for wrong, status in (({"email": "root@example.com"}, 409), ({"password": "short"}, 422)):
            assert register(client, invitation=code, **wrong).status_code == status
        (kept,) = client.portal.call(auth.database.read, rows(invitation))
        assert kept["used"] == 0
        assert register(client, invitation=code).status_code == 201


@pytest.mark.anyio
@pytest.mark.asvs("2.3.4")
@pytest.mark.attack("invitation race")
@pytest.mark.parametrize("seats", [1, 3])
async def test_of_forty_simultaneous_redeemers_as_many_as_there_are_seats_succeed(database_url, seats):
    """Forty people with one code at once: exactly so many accounts, and so many seats taken."""
    app, auth, _ = staffed(database_url, registration="invitation", **GENEROUS)
    async with visiting(app, auth) as client:
        root = await administrator_async(auth)
        made = await client.post(INVITATIONS, json={"seats": seats, "roles": ["lab"]}, headers=root.headers)
        code = made.json()["code"]
        people = [{"email": f"p{n}@example.com", "password": GOOD, "invitation": code} for n in range(40)]
        answers = await asyncio.gather(*(client.post("/auth/register", json=one) for one in people))
        assert Counter(answer.status_code for answer in answers) == {201: seats, 403: 40 - seats}
        assert len(await auth.database.read(rows(user))) == len(await auth.database.read(rows(account))) == seats + 1
        (kept,) = await auth.database.read(rows(invitation))
        assert (kept["used"], kept["seats"]) == (seats, seats)


@pytest.mark.anyio
@pytest.mark.attack("invitation race")
async def test_one_address_with_many_seats_takes_one(database_url):
    """Forty requests for one address and a code with forty seats: one account, one seat."""
    app, auth, _ = staffed(database_url, registration="invitation", **GENEROUS)
    async with visiting(app, auth) as client:
        root = await administrator_async(auth)
        made = await client.post(INVITATIONS, json={"seats": 40}, headers=root.headers)
        sent = {**ANN, "invitation": made.json()["code"]}
        answers = await asyncio.gather(*(client.post("/auth/register", json=sent) for _ in range(40)))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 39}
        (kept,) = await auth.database.read(rows(invitation))
        assert kept["used"] == 1


@pytest.mark.attack("enumeration")
def test_whoever_waits_is_told_so_for_the_right_password_alone(database_url):
    """A wrong one gets the usual answer; nothing that was made meanwhile works; once let in, everything does."""
    app, auth, events = staffed(database_url, registration="approval")
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        nobody = signed_in(client, "nobody@example.com", "wrong")
        assert signed_in(client, password="wrong").content == nobody.content
        waits = signed_in(client)
        assert outcome(waits) == (403, "approval_waiting")
        form = {"grant_type": "password", "username": "ann@example.com", "password": GOOD}
        assert outcome(client.post("/auth/token", data=form)) == (400, "approval_waiting")
        listed = client.get(USERS, params={"waiting": True}, headers=root.headers).json()["items"]
        assert [one["id"] for one in listed] == [ann]
        events.clear()
        assert client.post(f"{USERS}/{ann}/approve", headers=root.headers).json()["waiting"] is False
        assert [(names([event])[0], event.user_id) for event in events] == [("AccountApproved", ann)]
        assert outcome(client.post(f"{USERS}/{ann}/approve", headers=root.headers)) == (404, "not_found")
        assert outcome(client.post(f"{USERS}/{ann}/reject", headers=root.headers)) == (404, "not_found")
        assert signed_in(client).status_code == 200


def test_whoever_is_rejected_is_gone(database_url):
    """The account is deleted, and the address is free again; one event tells of it."""
    app, auth, events = staffed(database_url, registration="approval")
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        events.clear()
        assert client.post(f"{USERS}/{ann}/reject", headers=root.headers).status_code == 204
        assert [(names([event])[0], event.by) for event in events] == [("UserDeleted", "rejection")]
        assert outcome(signed_in(client)) == (401, "invalid_login")
        assert register(client).status_code == 201


@pytest.mark.anyio
async def test_letting_in_and_rejecting_at_once_do_one_of_the_two(database_url):
    """Twenty of each: the account is let in and stays, or is gone; exactly one act succeeded."""
    app, auth, _ = staffed(database_url, registration="approval", **GENEROUS)
    async with visiting(app, auth) as client:
        root = await administrator_async(auth)
        ann = (await client.post("/auth/register", json=ANN)).json()["id"]
        acts = ["approve", "reject"] * 20
        answers = await asyncio.gather(*(client.post(f"{USERS}/{ann}/{act}", headers=root.headers) for act in acts))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses[200] + statuses[204] == 1
        assert statuses[404] == 39
        left = [row for row in await auth.database.read(rows(account)) if row["user_id"] == ann]
        assert [row["waiting"] for row in left] == ([False] if statuses[200] else [])


def test_closed_stays_closed_for_codes_of_before(sqlite_url):
    """A code that was made while it was by invitation is worth nothing once registration is closed."""
    app, auth, _ = staffed(sqlite_url, registration="invitation")
    with TestClient(app) as client:
        code = invited(client, administrator(auth, client))["code"]
    app, auth, _ = staffed(sqlite_url, registration="closed")
    with TestClient(app) as client:
        assert outcome(register(client, invitation=code)) == (403, "registration_closed")
