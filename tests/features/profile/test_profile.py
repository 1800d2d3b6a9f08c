"""What people see and change about themselves, what they leave behind, and what others see of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from threading import Event as Gate
from threading import Thread

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from features.password.office import ANN, GOOD, bearer, codes, installed, of_kind, visiting
from rimlock import CurrentUser
from rimlock.core import accounts, keys, sessions
from rimlock.core.login import Allow
from rimlock.core.proving import PasswordRecheckFailed
from rimlock.core.registering import UserDeleted
from rimlock.core.revocations import entries_after
from rimlock.core.schema import account, user
from rimlock.core.sessions import SessionEnded
from rimlock.features.profile.events import ProfileChanged
from rimlock.features.profile.logic import merged

EDITABLE = {"username", "display_name", "avatar_url", "profile"}
COLUMNS = sorted({column.name for table in (user, account) for column in table.columns} - EDITABLE - {"locale"})
BO = {"email": "bo@example.com", "username": "bo", "password": GOOD}


def signed_in(client, who):
    """Register somebody and return (their id, headers with their token)."""
    user_id = client.post("/auth/register", json=who).json()["id"]
    return user_id, bearer(client.post("/auth/login", json={"login": who["email"], "password": GOOD}))


@pytest.mark.req("L8", "L11")
def test_me_shows_the_user_and_what_they_may_do(database_url):
    """The user, verified or not, roles, what the roles allow, and the session one speaks through."""
    app, auth, _ = installed(database_url, roles={"editor": ["analyses:write", "analyses:read"]})
    with TestClient(app) as client:
        user_id, headers = signed_in(client, ANN)
        now = auth.context.now()
        client.portal.call(
            auth.database.write, lambda tx: accounts.set_roles(tx, user_id, ["editor", "auditor"], now=now)
        )
        assert client.get("/auth/me", headers=headers).status_code == 401
        tokens = client.post("/auth/login", json={"login": "ann", "password": GOOD})
        me = client.get("/auth/me", headers=bearer(tokens)).json()
    assert me["roles"] == ["auditor", "editor"]
    assert me["permissions"] == ["analyses:read", "analyses:write"]
    assert me["session_id"] == tokens.json()["refresh_token"].split(".")[1]
    assert (me["id"], me["email"], me["username"], me["verified"]) == (user_id, "ann@example.com", "Ann", False)
    assert not {"password_hash", "epoch", "email_key"} & set(me)


@pytest.mark.parametrize(("method", "path"), [("GET", "/me"), ("PATCH", "/me"), ("DELETE", "/me"), ("GET", "/users/x")])
def test_strangers_see_nothing(sqlite_url, method, path):
    """Without a credential every route answers 401, whether or not there is such a user."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        answer = client.request(method, f"/auth{path}", json={} if method == "PATCH" else None)
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")


def test_an_edit_is_a_merge_patch(database_url):
    """What is left out stays, null takes away, the free fields are merged member by member (RFC 7396)."""
    app, _, events = installed(database_url)
    with TestClient(app) as client:
        _, headers = signed_in(client, {**ANN, "profile": {"bench": 1, "tags": {"a": 1, "b": 2}}})

        def patch(body, kind="application/merge-patch+json"):
            more = {**headers, "Content-Type": kind}
            answer = client.patch("/auth/me", json=body, headers=more)
            assert answer.status_code == 200
            return answer.json()

        first = patch({"display_name": " Ann Lee ", "profile": {"tags": {"b": None, "c": [None]}, "room": "é"}})
        assert first["display_name"] == "Ann Lee"
        assert first["profile"] == {"bench": 1, "tags": {"a": 1, "c": [None]}, "room": "é"}
        assert (first["username"], first["email"]) == ("Ann", "ann@example.com")
        second = patch({"avatar_url": "https://pictures.example/a.png", "profile": {}}, "application/json")
        assert second["profile"] == first["profile"]
        last = patch({"username": None, "display_name": None, "avatar_url": None, "profile": None})
        assert (last["username"], last["display_name"], last["avatar_url"], last["profile"]) == (None, "", "", {})
        assert patch({}) == last
        assert client.get("/auth/me", headers=headers).json() == last
        assert client.post("/auth/login", json={"login": "ann", "password": GOOD}).status_code == 401
    assert [event.fields for event in of_kind(events, ProfileChanged)] == [
        ("display_name", "profile"),
        ("avatar_url", "profile"),
        ("avatar_url", "display_name", "profile", "username"),
    ]


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_standard_come_out(target, patch, result):
    """RFC 7396 appendix A, and nothing that was given is changed in place."""
    from copy import deepcopy

    before = deepcopy((target, patch))
    assert merged(target, patch) == result
    assert (target, patch) == before


@pytest.mark.attack("mass assignment")
@pytest.mark.parametrize("column", [*COLUMNS, "is_superuser", "permissions", "session_id", "model_fields"])
def test_every_field_that_is_not_offered_is_refused_by_name(sqlite_url, column):
    """Beside a good change too: nothing is changed, and each wrong field is named."""
    app, _, events = installed(sqlite_url)
    with TestClient(app) as client:
        _, headers = signed_in(client, ANN)
        before = client.get("/auth/me", headers=headers).json()
        for value in (True, "admin", ["admin"], None):
            sent = {column: value, "other_field": 1, "display_name": "Ann Lee"}
            answer = client.patch("/auth/me", json=sent, headers=headers)
            assert answer.status_code == 422
            assert [field["name"] for field in answer.json()["errors"]] == sorted([column, "other_field"])
            assert set(codes(answer)) == {"field_not_editable"}
        assert client.get("/auth/me", headers=headers).json() == before
    assert of_kind(events, ProfileChanged) == []


def test_a_field_name_that_is_none_is_not_repeated(sqlite_url):
    """What was sent where a name belongs is not sent back, and a thousand wrong names make no long answer."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        _, headers = signed_in(client, ANN)
        answer = client.patch("/auth/me", json={"<script>my secret</script>": 1}, headers=headers)
        assert (answer.status_code, answer.json()["errors"][0]["name"]) == (422, "body")
        assert "secret" not in answer.text
        many = client.patch("/auth/me", json={f"f{count}": 1 for count in range(1000)}, headers=headers)
        assert len(many.json()["errors"]) == 20


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"username": "b o"}, "username_invalid"),
        ({"username": "bо"}, "username_mixed_scripts"),
        ({"username": 7}, "string_type"),
        ({"display_name": "x" * 201}, "string_too_long"),
        ({"display_name": "a\u2066b"}, "display_name_invalid"),
        ({"avatar_url": "javascript:alert(1)"}, "avatar_url_invalid"),
        ({"profile": [1]}, "dict_type"),
        ({"profile": {"a": "x" * 9000}}, "profile_invalid"),
        ({"profile": {str(count): None for count in range(65)}}, "profile_invalid"),
    ],
)
def test_a_value_that_cannot_be_is_refused(sqlite_url, body, code):
    """The same rules as at registration; the user stays as they were."""
    app, _, _ = installed(sqlite_url)
    with TestClient(app) as client:
        _, headers = signed_in(client, ANN)
        before = client.get("/auth/me", headers=headers).json()
        answer = client.patch("/auth/me", json=body, headers=headers)
        assert (answer.status_code, codes(answer)) == (422, [code])
        assert client.get("/auth/me", headers=headers).json() == before


def test_free_fields_cannot_grow_beyond_their_bound_by_merging(database_url):
    """Patch by patch the whole is judged, not the part that was sent."""
    app, _, _ = installed(database_url)
    with TestClient(app) as client:
        _, headers = signed_in(client, ANN)
        statuses = [
            client.patch("/auth/me", json={"profile": {f"part{count}": "x" * 3000}}, headers=headers).status_code
            for count in range(4)
        ]
        kept = client.get("/auth/me", headers=headers).json()["profile"]
    assert statuses == [200, 200, 422, 422]
    assert set(kept) == {"part0", "part1"}


def test_a_taken_username_is_refused(database_url):
    """In any spelling; one's own may be spelled anew."""
    app, _, _ = installed(database_url)
    with TestClient(app) as client:
        signed_in(client, BO)
        _, headers = signed_in(client, ANN)
        answer = client.patch("/auth/me", json={"username": "BO"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (409, "registration_conflict")
        assert client.patch("/auth/me", json={"username": "aNN"}, headers=headers).json()["username"] == "aNN"


@pytest.mark.anyio
async def test_simultaneous_edits_lose_nothing(database_url):
    """Twenty patches of twenty members arrive at once: all twenty members are there."""
    app, auth, _ = installed(database_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        headers = bearer(await client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        patches = [{"profile": {f"member{count}": count}} for count in range(20)]
        await asyncio.gather(*(client.patch("/auth/me", json=patch, headers=headers) for patch in patches))
        found = (await client.get("/auth/me", headers=headers)).json()["profile"]
    assert found == {f"member{count}": count for count in range(20)}


@pytest.mark.anyio
async def test_of_twenty_people_who_want_one_name_one_gets_it(database_url):
    """The unique key decides, whoever looked first."""
    app, auth, _ = installed(database_url)
    async with visiting(app, auth) as client:
        headers = []
        for count in range(20):
            email = f"p{count}@example.com"
            await client.post("/auth/register", json={"email": email, "password": GOOD})
            headers.append(bearer(await client.post("/auth/login", json={"login": email, "password": GOOD})))
        wanted = [client.patch("/auth/me", json={"username": "Prize"}, headers=one) for one in headers]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*wanted))
    assert statuses == [200] + [409] * 19


@pytest.mark.req("L11")
def test_others_see_a_name_and_a_picture_and_no_address(database_url):
    """Any signed-in principal, user or not, sees four fields; no such user is 404."""
    app, _, _ = installed(database_url)
    with TestClient(app) as client:
        bo_id, _ = signed_in(client, {**BO, "display_name": "Bo", "profile": {"phone": "1"}})
        _, headers = signed_in(client, ANN)
        card = client.get(f"/auth/users/{bo_id}", headers=headers)
        assert card.json() == {"id": bo_id, "username": "bo", "display_name": "Bo", "avatar_url": ""}
        assert "bo@example.com" not in card.text
        for unknown in ("0" * 32, "x", "%00", "bo@example.com", "%ED%A0%80"):
            answer = client.get(f"/auth/users/{unknown}", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def host(app):
    """Give an application a route that shows the current user."""

    @app.get("/who")
    async def who(current: CurrentUser):
        return current.display_name

    return app


def test_an_edit_reaches_what_other_routes_remember(database_url):
    """A route of the host that had read the user sees the new name at the next request, in this process at once."""
    app, auth, _ = installed(database_url)
    host(app)
    with TestClient(app) as client:
        user_id, headers = signed_in(client, {**ANN, "display_name": "Before"})
        assert client.get("/who", headers=headers).json() == "Before"
        last = client.portal.call(auth.database.read, lambda tx: entries_after(tx, 0))
        client.patch("/auth/me", json={"display_name": "After"}, headers=headers)
        told = client.portal.call(auth.database.read, lambda tx: entries_after(tx, last[-1].id if last else 0))
        assert [(entry.kind, entry.subject, entry.value) for entry in told] == [("user", user_id, 0)]
        assert client.get("/who", headers=headers).json() == "After"
        assert client.get("/auth/me", headers=headers).status_code == 200


@pytest.mark.req("L5")
def test_deleting_oneself_leaves_no_way_in(database_url):
    """Token, second device, key and login are worth nothing; the name is free again; one event says so."""
    app, auth, events = installed(database_url)
    with TestClient(app) as client:
        user_id, headers = signed_in(client, ANN)
        there = bearer(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        new = keys.NewKey(name="script", user_id=user_id)
        client.portal.call(auth.database.write, lambda tx: keys.issue(tx, new, prefix="rl", now=auth.context.now()))
        answer = client.delete("/auth/me", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        for old in (headers, there):
            assert client.get("/auth/me", headers=old).status_code == 401
        assert client.post("/auth/login", json={"login": "ann", "password": GOOD}).status_code == 401

        def left(tx):
            now = auth.context.now()
            return (
                auth.context.users.get(tx, user_id),
                accounts.standing(tx, user_id),
                sessions.living(tx, user_id, now=now),
                keys.living(tx, user_id, now=now),
            )

        assert client.portal.call(auth.database.read, left) == (None, None, [], 0)
        assert client.post("/auth/register", json=ANN).status_code == 201
    assert [event.user_id for event in of_kind(events, UserDeleted)] == [user_id]
    assert {event.reason for event in of_kind(events, SessionEnded)} == {"deleted"}
    assert not [event for event in events if "ann@example.com" in repr(event)]


def test_deleting_needs_a_fresh_sign_in(sqlite_url, clock):
    """Ten minutes are fresh, a second more is not, with the right password or without."""
    app, _, _ = installed(sqlite_url, clock=clock)
    with TestClient(app) as client:
        _, headers = signed_in(client, ANN)
        clock.advance(timedelta(minutes=10, seconds=1))
        for body in (None, {"password": GOOD}):
            answer = client.request("DELETE", "/auth/me", json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "fresh_login_required")
        again = bearer(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        clock.advance(timedelta(minutes=10))
        assert client.request("DELETE", "/auth/me", json={"password": GOOD}, headers=again).status_code == 204


def test_a_password_that_is_sent_has_to_be_right(database_url):
    """A client that asks for the password is not told yes for a wrong one; nothing is deleted."""
    app, _, events = installed(database_url)
    with TestClient(app) as client:
        user_id, headers = signed_in(client, ANN)
        for body, status in (({"password": "wrong"}, 403), ({"password": GOOD, "user_id": "x"}, 422)):
            answer = client.request("DELETE", "/auth/me", json=body, headers=headers)
            assert answer.status_code == status
        assert client.get("/auth/me", headers=headers).json()["id"] == user_id
    assert [event.user_id for event in of_kind(events, PasswordRecheckFailed)] == [user_id]
    assert of_kind(events, UserDeleted) == []


@pytest.mark.anyio
@pytest.mark.attack("deletion race")
async def test_deletion_and_everything_else_at_once_leave_nobody_half_there(database_url):
    """Sign-ins and edits that arrive with a deletion come before it or fail; no session of nobody is left."""
    app, auth, events = installed(database_url, login_rate=100, lockout_after=100)
    async with visiting(app, auth) as client:
        user_id = (await client.post("/auth/register", json=ANN)).json()["id"]
        login = {"login": "ann", "password": GOOD}
        headers = bearer(await client.post("/auth/login", json=login))
        work = [client.post("/auth/login", json=login) for _ in range(10)]
        work += [client.patch("/auth/me", json={"profile": {"a": n}}, headers=headers) for n in range(10)]
        work += [client.delete("/auth/me", headers=headers) for _ in range(5)]
        answers = await asyncio.gather(*work)
        assert {answer.status_code for answer in answers} <= {200, 204, 401}
        assert [answer.status_code for answer in answers[20:]].count(204) == 1
        now = auth.context.now()
        assert await auth.database.read(lambda tx: sessions.living(tx, user_id, now=now)) == []
        assert await auth.database.read(lambda tx: auth.context.users.get(tx, user_id)) is None
    assert len(of_kind(events, UserDeleted)) == 1


@pytest.mark.attack("deletion race")
def test_a_sign_in_that_is_being_written_is_ended_by_the_deletion(database_url):
    """The deletion waits for the sign-in it meets, and ends its session with the others."""
    armed, writing, deleted, answers = Gate(), Gate(), Gate(), []

    def slow(tx, login):
        if armed.is_set():
            writing.set()
            deleted.wait(1.0)
        return Allow()

    app, auth, _ = installed(database_url, policies=[slow])
    other_app, _, _ = installed(database_url)
    with TestClient(app) as client, TestClient(other_app) as other:
        user_id, headers = signed_in(other, ANN)
        armed.set()
        sent = {"login": "ann", "password": GOOD}
        signing_in = Thread(target=lambda: answers.append(client.post("/auth/login", json=sent)))
        signing_in.start()
        assert writing.wait(20)
        assert other.delete("/auth/me", headers=headers).status_code == 204
        deleted.set()
        signing_in.join(20)
        now = auth.context.now()
        left = client.portal.call(auth.database.read, lambda tx: sessions.living(tx, user_id, now=now))
        assert answers[0].status_code == 200
        assert left == []


def test_a_host_without_the_feature_has_no_such_routes(sqlite_url):
    """The feature is a folder one can leave out."""
    from features.password.office import SECRET
    from rimlock import Rimlock, Settings
    from rimlock.features.password import PasswordFeature

    app = FastAPI()
    Rimlock(Settings(secrets=[SECRET], database=sqlite_url), features=[PasswordFeature()]).install(app)
    with TestClient(app) as client:
        assert client.get("/auth/me").status_code == 404
        assert client.post("/auth/login", json={}).status_code == 422
