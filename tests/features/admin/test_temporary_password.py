"""A temporary password: made by nobody, shown once, and good for nothing but choosing another."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.admin.staff import (
    BETTER,
    GENEROUS,
    GOOD,
    ROOT,
    account,
    administrator,
    administrator_async,
    bearer,
    challenge,
    chosen,
    is_readable,
    names,
    outcome,
    pending,
    registered,
    rows,
    sessions,
    signed_in,
    staffed,
    temporary,
    visiting,
)
from rimlock.core.accounts import set_active
from rimlock.core.errors import AccountDisabled
from rimlock.core.login import Allow, Deny, LoginPending
from rimlock.features.admin.events import TemporaryPasswordSet

PAGE = {"X-Rimlock": "1", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}


def living(auth, client, user_id):
    """Return how many sessions of a user live."""
    now = auth.context.now()
    return len(client.portal.call(auth.database.read, lambda tx: sessions.living(tx, user_id, now=now)))


@pytest.mark.req("L9")
@pytest.mark.asvs("6.4.1", "6.4.6")
def test_a_temporary_password_lets_somebody_choose_another_and_nothing_else(database_url):
    """Shown once, in readable groups; the old password, the sessions and the tokens are worthless; then all is well."""
    app, auth, events = staffed(database_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        before = signed_in(client)
        events.clear()
        given = temporary(client, root, ann)
        assert is_readable(given)
        assert client.get("/who", headers=bearer(before)).status_code == 401
        refresh = {"refresh_token": before.json()["refresh_token"]}
        assert client.post("/auth/refresh", json=refresh).status_code == 401
        assert outcome(signed_in(client)) == (401, "invalid_login")
        refused = signed_in(client, password=given)
        assert outcome(refused) == (403, "password_change_required")
        assert refused.json()["expires_in"] == 600
        assert living(auth, client, ann) == 0
        answer = chosen(client, refused.json()["pending_token"])
        assert answer.status_code == 200
        assert client.get("/who", headers=bearer(answer)).json() == {"kind": "token", "user": ann}
        assert outcome(signed_in(client, password=given)) == (401, "invalid_login")
        assert signed_in(client, password=BETTER).status_code == 200
    acts = [event for event in events if isinstance(event, TemporaryPasswordSet)]
    assert [(act.user_id, act.sessions_ended, act.acting.actor) for act in acts] == [(ann, 1, f"user:{root.user.id}")]
    told = [name for name in names(events) if name not in {"LoginFailed", "RequestRefused"}]
    assert told[:5] == ["SessionEnded", "TemporaryPasswordSet", "LoginPending", "PasswordChanged", "SessionStarted"]


@pytest.mark.asvs("2.3.1")
def test_what_is_handed_out_for_the_change_opens_nothing_else(sqlite_url):
    """The secret of a pending login is no token, no refresh token and no link: each door refuses it."""
    app, auth, _ = staffed(sqlite_url, **GENEROUS)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        token = pending(client, temporary(client, root, ann))
        for method, path, sent in (
            ("GET", "/who", {"headers": {"Authorization": f"Bearer {token}"}}),
            ("GET", "/who", {"headers": {"X-API-Key": token}}),
            ("GET", "/auth/me", {"headers": {"Authorization": f"Bearer {token}"}}),
            ("POST", "/auth/refresh", {"json": {"refresh_token": token}}),
            ("POST", "/auth/first-admin", {"json": {"token": token, "email": "eve@example.com", "password": GOOD}}),
        ):
            assert client.request(method, path, **sent).status_code in {400, 401}
        assert chosen(client, token).status_code == 200


def test_the_password_grant_and_the_cookie_go_the_same_way(sqlite_url):
    """`/token` answers like `/login`; the change signs in by cookie only from a page of ours."""
    app, auth, _ = staffed(sqlite_url, insecure_cookies=True)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        given = temporary(client, root, ann)
        form = {"grant_type": "password", "username": "ann@example.com", "password": given}
        granted = client.post("/auth/token", data=form)
        assert outcome(granted) == (403, "password_change_required")
        token = granted.json()["pending_token"]
        assert outcome(chosen(client, token, transport="cookie")) == (403, "cross_site_request")
        sent = {"pending_token": token, "new_password": BETTER, "transport": "cookie", "remember": True}
        answer = client.post("/auth/password/forced", json=sent, headers=PAGE)
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()
        assert "Max-Age" in answer.headers["set-cookie"]


def test_a_temporary_password_is_good_for_a_day(sqlite_url, clock):
    """At its end it is as wrong as any other, and a change that was begun a minute before ends with it."""
    app, auth, events = staffed(sqlite_url, clock=clock)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        given = temporary(client, root, ann)
        clock.advance(timedelta(hours=23, minutes=59))
        late = signed_in(client, password=given)
        assert late.json()["expires_in"] == 60
        clock.advance(60)
        assert outcome(chosen(client, late.json()["pending_token"])) == (400, "challenge_refused")
        wrong, over = signed_in(client, password="wrong"), signed_in(client, password=given)
        assert (over.status_code, over.content) == (401, wrong.content)
        assert [event.reason for event in events if hasattr(event, "reason")][-2:] == ["password_expired"] * 2
        root = administrator(auth, client)
        assert chosen(client, pending(client, temporary(client, root, ann))).status_code == 200


def test_a_pending_login_waits_ten_minutes(sqlite_url, clock):
    """After that the temporary password has to be given again."""
    app, auth, _ = staffed(sqlite_url, clock=clock)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        given = temporary(client, root, ann)
        token = pending(client, given)
        clock.advance(600)
        assert outcome(chosen(client, token)) == (400, "challenge_refused")
        assert chosen(client, pending(client, given)).status_code == 200


def test_the_new_password_is_judged_and_is_another_one(sqlite_url):
    """A weak one, the temporary one and one's own address are refused; nothing is spent by that."""
    app, auth, _ = staffed(sqlite_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        given = temporary(client, root, ann)
        token = pending(client, given)
        for wrong, why in (("kurz", "too_short"), (given, "unchanged"), ("password password", "blocklisted")):
            answer = chosen(client, token, wrong)
            assert outcome(answer) == (422, "password_refused")
            assert [reason["name"] for reason in answer.json()["errors"]] == ["new_password"], why
            assert wrong not in answer.text
        assert chosen(client, token).status_code == 200


def test_an_older_temporary_password_is_worthless(database_url):
    """Of two, the newer counts; a change that was begun with the older cannot be ended."""
    app, auth, _ = staffed(database_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        older = temporary(client, root, ann)
        begun = pending(client, older)
        newer = temporary(client, root, ann)
        assert outcome(signed_in(client, password=older)) == (401, "invalid_login")
        assert outcome(chosen(client, begun)) == (400, "challenge_refused")
        assert chosen(client, pending(client, newer)).status_code == 200


def test_keys_rest_until_the_password_is_chosen(database_url):
    """A key of the user is refused while the password has to be changed, and works again afterwards."""
    app, auth, _ = staffed(database_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        made = client.post("/auth/api-keys", json={"name": "robot"}, headers=bearer(signed_in(client)))
        key = {"X-API-Key": made.json()["key"]}
        assert client.get("/who", headers=key).json() == {"kind": "key", "user": ann}
        given = temporary(client, root, ann)
        assert client.get("/who", headers=key).status_code == 401
        token = pending(client, given)
        assert client.get("/who", headers=key).status_code == 401
        assert chosen(client, token).status_code == 200
        assert client.get("/who", headers=key).json() == {"kind": "key", "user": ann}


def test_the_door_is_asked_again_after_the_change(database_url):
    """An account that is disabled in between changes nothing; a policy that says no by then lets nobody in."""
    verdicts = []

    def policy(tx, login):
        return verdicts.pop(0) if verdicts else Allow()

    app, auth, events = staffed(database_url, policies=[policy])
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        given = temporary(client, root, ann)
        token, now = pending(client, given), auth.context.now()
        for active in (False, True):
            client.portal.call(auth.database.write, lambda tx, on=active: set_active(tx, ann, active=on, now=now))
            assert outcome(chosen(client, token)) == (400, "challenge_refused")
        token = pending(client, given)
        verdicts.append(Deny(AccountDisabled()))
        assert outcome(chosen(client, token)) == (403, "account_disabled")
        assert living(auth, client, ann) == 0
        assert signed_in(client, password=BETTER).status_code == 200
        given = temporary(client, administrator(auth, client), ann)
        told = len([event for event in events if isinstance(event, LoginPending)])
        verdicts.append(Deny(AccountDisabled()))
        assert outcome(signed_in(client, password=given)) == (403, "account_disabled")
        assert len([event for event in events if isinstance(event, LoginPending)]) == told


@pytest.mark.asvs("6.4.6")
def test_nobody_chooses_the_password_and_nothing_readable_is_kept(sqlite_url):
    """A password in the body is refused; the database holds hashes and digests alone."""
    app, auth, _ = staffed(sqlite_url)
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        path = f"/auth/admin/users/{ann}"
        for sent in ({"password": GOOD}, {"temporary_password": GOOD}):
            client.post(f"{path}/temporary-password", json=sent, headers=root.headers)
            new = {"email": "bob@example.com", **sent}
            assert outcome(client.post("/auth/admin/users", json=new, headers=root.headers)) == (422, "invalid_request")
            assert outcome(signed_in(client)) == (401, "invalid_login")
        given = temporary(client, root, ann)
        token = pending(client, given)
        kept = str([client.portal.call(auth.database.read, rows(table)) for table in (account, challenge)])
        assert given not in kept
        assert token.partition(".")[2] not in kept
        assert client.get(path, headers=root.headers).json()["must_change_password"] is True
        assert given not in client.get("/auth/admin/users", headers=root.headers).text


def test_who_hands_out_passwords_signed_in_lately(sqlite_url, clock):
    """A quarter of an hour after the sign-in it is refused, as for others; and for one's own account always."""
    app, auth, _ = staffed(sqlite_url, clock=clock, access_lifetime=timedelta(hours=2))
    with TestClient(app) as client:
        root, ann = administrator(auth, client), registered(client)
        path = f"/auth/admin/users/{ann}/temporary-password"
        own = client.post(f"/auth/admin/users/{root.user.id}/temporary-password", headers=root.headers)
        assert outcome(own) == (409, "own_account")
        assert outcome(client.post(path, headers=bearer(signed_in(client)))) == (403, "permission_missing")
        assert outcome(client.post(path)) == (401, "credential_missing")
        clock.advance(15 * 60 + 1)
        assert outcome(client.post(path, headers=root.headers)) == (403, "fresh_login_required")
        nobody = f"/auth/admin/users/{'0' * 32}/temporary-password"
        root = administrator(auth, client)
        assert outcome(client.post(nobody, headers=root.headers)) == (404, "not_found")


@pytest.mark.anyio
@pytest.mark.asvs("2.3.4")
@pytest.mark.attack("one-time secret race")
async def test_of_forty_simultaneous_changes_one_succeeds(database_url):
    """Forty requests with one pending login, and with forty: one password counts, one session begins."""
    app, auth, _ = staffed(database_url, **GENEROUS)
    async with visiting(app, auth) as client:
        root = await administrator_async(auth)
        new = {"email": "ann@example.com"}
        made = (await client.post("/auth/admin/users", json=new, headers=root.headers)).json()
        sign = {"login": "ann@example.com", "password": made["temporary_password"]}
        begun = await asyncio.gather(*(client.post("/auth/login", json=sign) for _ in range(40)))
        assert {answer.status_code for answer in begun} == {403}
        tokens = [answer.json()["pending_token"] for answer in begun]
        assert len(set(tokens)) == 40
        tries = [{"pending_token": token, "new_password": f"{BETTER} {n}"} for n, token in enumerate(tokens)]
        tries += [{"pending_token": tokens[0], "new_password": f"{GOOD} {n}"} for n in range(40)]
        answers = await asyncio.gather(*(client.post("/auth/password/forced", json=sent) for sent in tries))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 79}
        (won,) = [sent for sent, answer in zip(tries, answers, strict=True) if answer.status_code == 200]
        sign = {"login": "ann@example.com", "password": won["new_password"]}
        assert (await client.post("/auth/login", json=sign)).status_code == 200
        now, user_id = auth.context.now(), made["user"]["id"]
        assert len(await auth.database.read(lambda tx: sessions.living(tx, user_id, now=now))) == 2


@pytest.mark.anyio
async def test_a_newer_password_in_the_middle_of_changes_leaves_one_way_in(database_url):
    """While twenty changes are under way, a new temporary password is made: it counts, or a change came first.

    Whatever the order, one password lets in at the end, and no session outlives the newest one.
    """
    app, auth, _ = staffed(database_url, **GENEROUS)
    async with visiting(app, auth) as client:
        root = await administrator_async(auth)
        made = (await client.post("/auth/admin/users", json={"email": "ann@example.com"}, headers=root.headers)).json()
        path, user_id = f"/auth/admin/users/{made['user']['id']}/temporary-password", made["user"]["id"]
        given = made["temporary_password"]
        for turn in range(5):
            sign = {"login": "ann@example.com", "password": given}
            token = (await client.post("/auth/login", json=sign)).json()["pending_token"]
            mine = f"{BETTER} {turn}"
            change = {"pending_token": token, "new_password": mine}
            work = [client.post("/auth/password/forced", json=change) for _ in range(10)]
            work[5:5] = [client.post(path, headers=root.headers)]
            answers = await asyncio.gather(*work)
            given = answers[5].json()["temporary_password"]
            assert Counter(answer.status_code for answer in answers)[200] <= 1
            statuses = {
                password: (await client.post("/auth/login", json={**sign, "password": password})).status_code
                for password in (mine, given)
            }
            assert statuses == {mine: 401, given: 403}
            assert await auth.database.read(lambda tx: sessions.living(tx, user_id, now=0)) == []


def test_an_account_made_with_a_temporary_password_begins_with_the_change(database_url):
    """Made by an administrator, with roles; one event; the first thing it does is to choose a password."""
    app, auth, events = staffed(database_url)
    with TestClient(app) as client:
        root = administrator(auth, client)
        events.clear()
        new = {"email": "bea@example.com", "username": "bea", "roles": ["analyst"]}
        made = client.post("/auth/admin/users", json=new, headers=root.headers)
        assert made.status_code == 201
        assert names(events) == ["UserRegistered"]
        assert (events[0].by, events[0].acting.actor) == ("admin", f"user:{root.user.id}")
        assert events[0].roles == ("analyst",)
        assert made.json()["user"] | {"id": "", "created_at": "", "password_expires_at": ""} == {
            "id": "",
            "email": "bea@example.com",
            "username": "bea",
            "display_name": "",
            "roles": ["analyst"],
            "active": True,
            "waiting": False,
            "verified": False,
            "must_change_password": True,
            "password_expires_at": "",
            "created_at": "",
        }
        answer = chosen(client, pending(client, made.json()["temporary_password"], "bea"))
        assert client.get("/auth/me", headers=bearer(answer)).json()["roles"] == ["analyst"]
        again = client.post("/auth/admin/users", json=new, headers=root.headers)
        assert outcome(again) == (409, "registration_conflict")
        assert root.user.email == ROOT
