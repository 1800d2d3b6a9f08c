"""Accounts in the hands of administrators: found, stopped, given roles, and never left without an administrator."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.admin.staff import (
    GENEROUS,
    GOOD,
    accounts,
    administrator,
    administrator_async,
    administrators,
    bearer,
    names,
    outcome,
    registered,
    signed_in,
    staffed,
    temporary,
    visiting,
)
from rimlock.testing import sign_in

USERS = "/auth/admin/users"


def found(client, visitor, **query):
    """Return the addresses of a list of accounts, page by page."""
    addresses, after = [], None
    while True:
        cursor = {"after": after} if after else {}
        answer = client.get(USERS, params={**query, **cursor}, headers=visitor.headers)
        assert answer.status_code == 200, answer.text
        addresses += [one["email"].partition("@")[0] for one in answer.json()["items"]]
        after = answer.json()["next"]
        if after is None:
            return addresses


def test_accounts_are_searched_filtered_and_paged(database_url):
    """By how a name begins, by role and by standing, in any combination; each account once, without a hash."""
    app, auth, _ = staffed(database_url, **GENEROUS)
    with TestClient(app) as client:
        root = administrator(auth, client)
        ids = {name: registered(client, f"{name}@example.com") for name in ("ann", "andy", "bob", "bea")}
        registered(client, "cy@example.com", username="Annika")
        client.put(f"{USERS}/{ids['bob']}/roles", json={"roles": ["lab", 'o"d\\d']}, headers=root.headers)
        client.post(f"{USERS}/{ids['bea']}/disable", headers=root.headers)
        temporary(client, root, ids["andy"])
        everybody = ["root", "ann", "andy", "bob", "bea", "cy"]
        for limit in (1, 2, 100):
            assert sorted(found(client, root, limit=limit)) == sorted(everybody)
            assert sorted(found(client, root, search="AN", limit=limit)) == ["andy", "ann", "cy"]
            assert found(client, root, role="lab", limit=limit) == ["bob"]
            assert sorted(found(client, root, disabled=False, limit=limit)) == sorted(set(everybody) - {"bea"})
        assert found(client, root, role='o"d\\d') == ["bob"]
        assert found(client, root, role="la") == []
        assert found(client, root, disabled=True) == ["bea"]
        assert found(client, root, must_change=True) == ["andy"]
        assert found(client, root, waiting=True) == []
        assert found(client, root, search="b", disabled=True) == ["bea"]
        assert found(client, root, search="a", must_change=True, role="lab") == []
        assert found(client, root, search="a%") == []
        assert "$argon2" not in client.get(USERS, headers=root.headers).text
        for query in ({"search": "a\0"}, {"limit": 0}, {"after": "\0"}, {"disabled": "perhaps"}):
            assert client.get(USERS, params=query, headers=root.headers).status_code == 422


def test_an_account_is_seen_with_what_hangs_on_it(sqlite_url, clock):
    """Its sessions, its keys, the last sign-in; sessions are listed and ended, one or all."""
    app, auth, events = staffed(sqlite_url, clock=clock)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        devices = [signed_in(client) for _ in range(3)]
        client.post("/auth/api-keys", json={"name": "robot"}, headers=bearer(devices[0]))
        seen = client.get(f"{USERS}/{ann}", headers=root.headers).json()
        assert (seen["sessions"], seen["api_keys"], seen["email"]) == (3, 1, "ann@example.com")
        assert seen["last_sign_in_at"] is not None
        path = f"{USERS}/{ann}/sessions"
        first = client.get(path, params={"limit": 2}, headers=root.headers).json()
        rest = client.get(path, params={"after": first["next"]}, headers=root.headers).json()
        ids = [one["id"] for one in first["items"] + rest["items"]]
        assert (len(ids), rest["next"]) == (3, None)
        events.clear()
        assert client.delete(f"{path}/{ids[0]}", headers=root.headers).status_code == 204
        assert outcome(client.delete(f"{path}/{ids[0]}", headers=root.headers)) == (404, "not_found")
        other = f"{USERS}/{root.user.id}/sessions/{ids[1]}"
        assert outcome(client.delete(other, headers=root.headers)) == (404, "not_found")
        assert client.delete(path, headers=root.headers).json() == {"ended": 2}
        assert client.get("/who", headers=bearer(devices[2])).status_code == 401
    ended = [event for event in events if names([event]) == ["SessionEnded"]]
    assert {(event.reason, event.acting.actor) for event in ended} == {("ended_by_admin", f"user:{root.user.id}")}
    assert len(ended) == 3


@pytest.mark.asvs("8.3.2")
def test_each_act_takes_effect_at_once_and_is_told_by_one_event(database_url):
    """Roles, disabling, enabling, unlocking and deleting: the token of a moment ago knows, and so does the audit."""
    app, auth, events = staffed(database_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        path, by = f"{USERS}/{ann}", f"user:{root.user.id}"

        def act(method, rest, **sent):
            events.clear()
            answer = client.request(method, path + rest, headers=root.headers, **sent)
            told = [event for event in events if names([event]) not in [["SessionEnded"], ["RequestRefused"]]]
            return answer, [(names([event])[0], event.user_id, event.acting.actor) for event in told]

        tokens = bearer(signed_in(client))
        answer, told = act("PUT", "/roles", json={"roles": ["lab"]})
        assert (answer.json()["roles"], told) == (["lab"], [("RolesChanged", ann, by)])
        assert client.get("/who", headers=tokens).status_code == 401
        tokens = bearer(signed_in(client))
        answer, told = act("POST", "/disable")
        assert (answer.json()["active"], told) == (False, [("AccountDisabledEvent", ann, by)])
        assert client.get("/who", headers=tokens).status_code == 401
        assert outcome(signed_in(client)) == (401, "invalid_login")
        answer, told = act("POST", "/enable")
        assert (answer.json()["active"], told) == (True, [("AccountEnabled", ann, by)])
        answer, told = act("POST", "/unlock")
        assert (answer.status_code, told) == (204, [("AccountUnlocked", ann, by)])
        tokens = bearer(signed_in(client))
        answer, told = act("DELETE", "")
        assert (answer.status_code, told) == (204, [("UserDeleted", ann, by)])
        assert client.get("/who", headers=tokens).status_code == 401
        assert outcome(client.get(path, headers=root.headers)) == (404, "not_found")


def test_unlocking_lets_somebody_in_again(sqlite_url):
    """After five failures the right password is not tried; once an administrator unlocks the account it is."""
    app, auth, _ = staffed(sqlite_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        for _ in range(5):
            signed_in(client, password="wrong")
        assert signed_in(client).status_code == 429
        assert client.post(f"{USERS}/{ann}/unlock", headers=root.headers).status_code == 204
        assert signed_in(client).status_code in {200, 429}  # the address itself may have to wait for its minute


@pytest.mark.asvs("15.3.3")
@pytest.mark.attack("mass assignment")
def test_only_what_is_offered_is_taken(sqlite_url):
    """Further fields, other types and roles of the wrong form are refused by every form, and change nothing."""
    app, auth, _ = staffed(sqlite_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        new = {"email": "eve@example.com"}
        for extra in ("password", "verified", "active", "waiting", "must_change_password", "id", "epoch"):
            answer = client.post(USERS, json={**new, extra: True}, headers=root.headers)
            assert outcome(answer) == (422, "invalid_request")
        for roles in (["admin\0"], [""], "admin", ["x" * 65], [7], ["a"] * 51):
            wrong = {**new, "roles": roles}
            assert outcome(client.post(USERS, json=wrong, headers=root.headers)) == (422, "invalid_request")
            put = client.put(f"{USERS}/{ann}/roles", json={"roles": roles}, headers=root.headers)
            assert outcome(put) == (422, "invalid_request")
        assert outcome(client.post(USERS, json={"email": "no"}, headers=root.headers)) == (422, "invalid_request")
        assert sorted(found(client, root)) == ["ann", "root"]
        made = {"email": "mal@example.com", "password": GOOD, "roles": ["admin"]}
        assert outcome(client.post("/auth/register", json=made)) == (422, "invalid_request")


@pytest.mark.attack("missing authorization")
def test_every_route_is_for_administrators(sqlite_url, clock):
    """Nobody, a user, a key of an administrator: refused everywhere; what hands out power needs a fresh sign-in."""
    app, auth, _ = staffed(sqlite_url, clock=clock, access_lifetime=timedelta(hours=2), registration="invitation")
    paths = {
        (method.upper(), path.removeprefix("/auth"))
        for path, item in app.openapi()["paths"].items()
        if path.startswith(("/auth/admin/users", "/auth/admin/invitations"))
        for method in item
    }
    assert len(paths) == 19
    with TestClient(app) as client:
        root = administrator(auth, client)
        ann, bob = (sign_in(auth, client, email=f"{name}@example.com") for name in ("ann", "bob"))
        key = client.post("/auth/api-keys", json={"name": "k", "roles": ["admin"]}, headers=root.headers).json()["key"]
        clock.advance(15 * 60 + 1)
        fresh = set()
        for method, path in sorted(paths):
            at = "/auth" + path.format(user_id=bob.user.id, session_id="0" * 32, invitation_id="0" * 32)
            body = {"json": {"roles": []} if path.endswith("roles") else {}} if method == "PUT" else {}
            body = {"json": {"email": "x@example.com"}} if (method, path) == ("POST", "/admin/users") else body
            body = {"json": {}} if (method, path) == ("POST", "/admin/invitations") else body
            assert client.request(method, at, **body).status_code == 401, path
            assert client.request(method, at, headers=ann.headers, **body).status_code == 403, path
            assert client.request(method, at, headers={"X-API-Key": key}, **body).status_code == 403, path
            if outcome(client.request(method, at, headers=root.headers, **body)) == (403, "fresh_login_required"):
                fresh.add((method, path.removeprefix("/admin/")))
        assert fresh == {
            ("POST", "users"),
            ("PUT", "users/{user_id}/roles"),
            ("POST", "users/{user_id}/temporary-password"),
            ("DELETE", "users/{user_id}"),
            ("PUT", "users/{user_id}/subscription"),
            ("POST", "invitations"),
        }


@pytest.mark.parametrize("user_id", ["0" * 32, "nobody", "a%00b", "%F0%9F%98%80"])
def test_accounts_that_do_not_exist_are_not_found(database_url, user_id):
    """Every act on them is answered 404, whatever the id looks like."""
    app, auth, events = staffed(database_url)
    with TestClient(app) as client:
        root = administrator(auth, client)
        events.clear()
        for method, rest in (
            ("GET", ""),
            ("GET", "/sessions"),
            ("PUT", "/roles"),
            *(
                ("POST", f"/{act}")
                for act in ("disable", "enable", "unlock", "approve", "reject", "temporary-password")
            ),
            ("DELETE", ""),
            ("DELETE", "/sessions"),
        ):
            sent = {"json": {"roles": ["lab"]}} if method == "PUT" else {}
            answer = client.request(method, f"{USERS}/{user_id}{rest}", headers=root.headers, **sent)
            assert outcome(answer) == (404, "not_found"), rest
        assert set(names(events)) <= {"RequestRefused"}


def test_administrators_do_not_stop_themselves_by_a_slip(database_url):
    """Disabling, deleting and demoting oneself is for another; the last one stays, whoever asks."""
    app, auth, _ = staffed(database_url)
    with TestClient(app) as client:
        root = administrator(auth, client)
        path = f"{USERS}/{root.user.id}"
        own = (409, "own_account")
        assert outcome(client.post(f"{path}/disable", headers=root.headers)) == own
        assert outcome(client.delete(path, headers=root.headers)) == own
        assert outcome(client.put(f"{path}/roles", json={"roles": ["lab"]}, headers=root.headers)) == own
        put = client.put(f"{path}/roles", json={"roles": ["admin", "lab"]}, headers=root.headers)
        assert put.json()["roles"] == ["admin", "lab"]
        root = sign_in(auth, client, email="root@example.com")
        assert outcome(client.delete("/auth/me", headers=root.headers)) == (409, "last_admin")
        other = administrator(auth, client, "other@example.com")
        assert client.put(f"{path}/roles", json={"roles": []}, headers=other.headers).status_code == 200
        assert outcome(client.delete("/auth/me", headers=other.headers)) == (409, "last_admin")
        assert client.portal.call(auth.database.read, administrators) == [other.user.id]


def test_who_can_no_longer_get_in_is_no_administrator_who_is_left(database_url, clock):
    """While a temporary password is good its account counts as one; when it is over, the other has to stay."""
    app, auth, _ = staffed(database_url, clock=clock)
    with TestClient(app) as client:
        root, other = administrator(auth, client), administrator(auth, client, "other@example.com")
        temporary(client, root, other.user.id)
        clock.advance(timedelta(days=1))
        root = sign_in(auth, client, email="root@example.com")
        assert outcome(client.delete("/auth/me", headers=root.headers)) == (409, "last_admin")
        temporary(client, root, other.user.id)
        assert client.delete("/auth/me", headers=root.headers).status_code == 204


@pytest.mark.parametrize("likeness", ["ADMIN", "Admin", "%", "_dmin", 'x", "admin'])
def test_a_role_that_resembles_another_is_another(database_url, likeness):
    """Whoever has a role in other letters is not found by it, and is no administrator who is left."""
    app, auth, _ = staffed(database_url)
    with TestClient(app) as client:
        root = administrator(auth, client)
        client.post(USERS, json={"email": "bob@example.com", "roles": [likeness]}, headers=root.headers)
        assert found(client, root, role="admin") == ["root"]
        assert found(client, root, role=likeness) == ["bob"]
        assert outcome(client.delete("/auth/me", headers=root.headers)) == (409, "last_admin")


@pytest.mark.anyio
@pytest.mark.asvs("2.3.4")
@pytest.mark.attack("last administrator race")
@pytest.mark.parametrize("act", ["disable", "demote", "delete"])
async def test_two_administrators_who_stop_each_other_leave_one(database_url, act):
    """At once, forty times each: one of them succeeds and the other is nobody any more."""
    app, auth, _ = staffed(database_url)
    async with visiting(app, auth) as client:
        one, two = (
            await administrator_async(auth, "one@example.com"),
            await administrator_async(auth, "two@example.com"),
        )

        def stop(by, whom):
            path = f"{USERS}/{whom.user.id}"
            if act == "demote":
                return client.put(f"{path}/roles", json={"roles": []}, headers=by.headers)
            if act == "delete":
                return client.delete(path, headers=by.headers)
            return client.post(f"{path}/disable", headers=by.headers)

        work = [stop(*pair) for _ in range(20) for pair in ((one, two), (two, one))]
        answers = await asyncio.gather(*work)
        assert len(await auth.database.read(administrators)) == 1
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses[200] + statuses[204] >= 1
        assert set(statuses) <= {200, 204, 401, 404}


@pytest.mark.anyio
@pytest.mark.attack("last administrator race")
async def test_the_last_administrator_is_spared_by_the_statement_itself(database_url):
    """Five administrators, each stopped by a transaction of its own at once, without anybody asking who asks."""
    app, auth, _ = staffed(database_url)
    async with visiting(app, auth):
        admins = [await administrator_async(auth, f"root{n}@example.com") for n in range(5)]
        changes = [
            lambda tx, who: accounts.set_active(tx, who, active=False, now=1),
            lambda tx, who: accounts.set_roles(tx, who, ["lab"], now=1),
            lambda tx, who: accounts.close(tx, who, now=1),
        ]
        work = [
            auth.database.write(lambda tx, who=one.user.id, change=changes[n % 3]: change(tx, who))
            for n, one in enumerate(admins)
        ]
        results = await asyncio.gather(*work, return_exceptions=True)
        assert [type(one) for one in results if one is not None] == [accounts.LastAdmin]
        assert len(await auth.database.read(administrators)) == 1


@pytest.mark.anyio
async def test_administrators_cannot_lock_each_other_out_with_temporary_passwords(database_url):
    """Both ask at once for the other: one of the two is nobody by then, and somebody can still get in."""
    app, auth, _ = staffed(database_url)
    async with visiting(app, auth) as client:
        one, two = (
            await administrator_async(auth, "one@example.com"),
            await administrator_async(auth, "two@example.com"),
        )
        answers = await asyncio.gather(
            *(
                client.post(f"{USERS}/{whom.user.id}/temporary-password", headers=by.headers)
                for by, whom in ((one, two), (two, one))
            )
        )
        assert sorted(answer.status_code for answer in answers) == [201, 401]
        won, lost = (one, two) if answers[0].status_code == 201 else (two, one)
        assert (await client.get("/who", headers=won.headers)).status_code == 200
        assert (await client.get("/who", headers=lost.headers)).status_code == 401
