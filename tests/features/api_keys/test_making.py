"""Making, listing and revoking keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.api_keys.fitted import fitted, make, person, written
from rimlock.core import accounts, keys
from rimlock.core.keys import ApiKeyIssued, ApiKeyRevoked
from rimlock.crypto.opaque import looks_issued
from rimlock.features.api_keys import ApiKeys


@pytest.mark.req("L12")
def test_a_key_is_shown_once_and_works(database_url):
    """The answer to making a key holds the key; lists afterwards hold its hint, scopes, end and last use."""
    auth, app = fitted(database_url, ApiKeys(scopes={"analyses:read"}))
    with TestClient(app) as client:
        ann = person(client, auth)
        made = make(client, ann, name=" night run ", scopes=["analyses:read"], expires_in_days=30)
        me = client.get("/me", headers={"X-API-Key": made["key"]}).json()
        client.portal.call(auth.flush)
        listing = client.get("/auth/api-keys", headers=ann.token)
    (listed,) = listing.json()["items"]
    assert looks_issued(made["key"])
    assert me["subject"] == ann.id
    assert (me["kind"], me["label"], me["scopes"]) == ("key", "night run", ["analyses:read"])
    assert made["key"] not in listing.text
    assert listed == {**{name: made[name] for name in listed}, "last_used_at": listed["last_used_at"]}
    assert listed["last_used_at"].endswith("Z")
    assert made["last_used_at"] is None
    assert listed["hint"].endswith(made["key"][-4:])


def test_an_answer_with_a_key_is_not_stored(database_url):
    """No cache keeps the one answer that shows a key."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        answer = client.post("/auth/api-keys", json={"name": "a"}, headers=ann.token)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.attack("a key that makes keys")
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("DELETE", "/any")])
def test_a_key_cannot_deal_with_keys(sqlite_url, method, path):
    """A leaked key can neither list, make nor revoke keys, not even an administrator's."""
    auth, app = fitted(sqlite_url)
    with TestClient(app) as client:
        admin = person(client, auth, roles=("admin",))
        made = make(client, admin, roles=["admin"])
        answer = client.request(method, f"/auth/api-keys{path}", headers={"X-API-Key": made["key"]}, **_body(method))
    assert answer.status_code == 403
    assert answer.json()["code"] == "permission_missing"


def test_nobody_deals_with_keys_anonymously(sqlite_url):
    """Without a credential there is nothing to see."""
    _, app = fitted(sqlite_url)
    with TestClient(app) as client:
        assert client.get("/auth/api-keys").status_code == 401
        assert client.post("/auth/api-keys", json={"name": "a"}).status_code == 401


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"name": ""},
        {"name": "  "},
        {"name": "a\nb"},
        {"name": "a" * 101},
        {"name": "a", "scopes": ["two words"]},
        {"name": "a", "scopes": "read"},
        {"name": "a", "scopes": ["x"] * 51},
        {"name": "a", "expires_in_days": 0},
        {"name": "a", "expires_in_days": 3651},
        {"name": "a", "user_id": "somebody"},
        {"name": "a", "source": "imported:env"},
    ],
)
def test_a_form_that_is_not_as_documented_is_refused(sqlite_url, form):
    """Names, scopes and ends have bounds, and nothing else can be set."""
    auth, app = fitted(sqlite_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        answer = client.post("/auth/api-keys", json=form, headers=ann.token)
        kept = client.get("/auth/api-keys", headers=ann.token).json()["items"]
    assert answer.status_code == 422
    assert kept == []


@pytest.mark.attack("a key that may do more than its owner")
def test_a_user_cannot_give_what_they_do_not_have(database_url):
    """Roles of others, scopes nobody granted, and service keys are refused to a user."""
    auth, app = fitted(database_url, ApiKeys(scopes={"export"}))
    with TestClient(app) as client:
        ann = person(client, auth, roles=("chemist",))
        wishes = [{"roles": ["admin"]}, {"scopes": ["payments:send"]}, {"service": True}]
        answers = [client.post("/auth/api-keys", json={"name": "a", **wish}, headers=ann.token) for wish in wishes]
        theirs = make(client, ann, scopes=["analyses:read", "export"], roles=["chemist"])
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert {answer.json()["code"] for answer in answers} == {"permission_missing"}
    assert theirs["scopes"] == ["analyses:read", "export"]


def test_an_administrator_makes_service_keys(database_url):
    """A service key has roles of its own, no owner, and is listed apart from people's keys."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        admin, ann = person(client, auth, "root", roles=("admin",)), person(client, auth)
        made = make(client, admin, name="robot", service=True, roles=["chemist"], scopes=["anything"])
        me = client.get("/me", headers={"X-API-Key": made["key"]}).json()
        services = client.get("/auth/api-keys?service=true", headers=admin.token).json()["items"]
        own = client.get("/auth/api-keys", headers=admin.token).json()["items"]
        refused = client.get("/auth/api-keys?service=true", headers=ann.token)
    assert me == {
        "subject": f"key:{made['id']}",
        "kind": "key",
        "label": "robot",
        "roles": ["chemist"],
        "permissions": ["analyses:read", "analyses:write"],
        "scopes": ["anything"],
    }
    assert [one["id"] for one in services] == [made["id"]]
    assert own == []
    assert refused.status_code == 403


def test_keys_are_listed_page_by_page(database_url):
    """Every key is on exactly one page, and the last page says that it is the last."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann, bob = person(client, auth), person(client, auth, "bob")
        made = {make(client, ann)["id"] for _ in range(5)}
        make(client, bob)
        seen, cursor, pages = [], "", 0
        while cursor is not None:
            page = client.get(
                "/auth/api-keys", params={"limit": 2, **({"after": cursor} if cursor else {})}, headers=ann.token
            ).json()
            seen += [one["id"] for one in page["items"]]
            cursor, pages = page["next"], pages + 1
    assert (sorted(seen), pages) == (sorted(made), 3)


@pytest.mark.attack("another's key")
def test_a_key_is_revoked_by_its_owner_or_an_administrator(database_url):
    """To anybody else it does not exist; revoked twice it does not exist either."""
    auth, app = fitted(database_url)
    told = []
    auth.on(ApiKeyIssued, told.append)
    auth.on(ApiKeyRevoked, told.append)
    with TestClient(app) as client:
        ann, bob = person(client, auth), person(client, auth, "bob")
        admin = person(client, auth, "root", roles=("admin",))
        one, two = make(client, ann), make(client, ann)

        def revoke(key, somebody):
            return client.delete(f"/auth/api-keys/{key['id']}", headers=somebody.token).status_code

        answers = [revoke(one, bob), revoke(one, ann), revoke(one, ann), revoke(two, admin)]
        left = client.get("/auth/api-keys", headers=ann.token).json()["items"]
        refused = [client.get("/me", headers={"X-API-Key": key["key"]}).status_code for key in (one, two)]
    assert answers == [404, 204, 404, 204]
    assert left == []
    assert refused == [401, 401]
    assert [type(event).__name__ for event in told] == ["ApiKeyIssued"] * 2 + ["ApiKeyRevoked"] * 2
    assert all(key["key"] not in repr(told) for key in (one, two))


@pytest.mark.asvs("2.3.2")
@pytest.mark.attack("forty at once at the limit")
def test_the_limit_holds_when_many_ask_at_once(database_url):
    """Of forty simultaneous wishes at one below the limit, one is granted."""
    auth, app = fitted(database_url, ApiKeys(limit=3))
    with TestClient(app) as client:
        ann, bob = person(client, auth), person(client, auth, "bob")
        make(client, ann)
        make(client, ann)

        def wish(_):
            return client.post("/auth/api-keys", json={"name": "a"}, headers=ann.token)

        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(wish, range(40)))
        make(client, bob)
        kept = client.get("/auth/api-keys", headers=ann.token).json()["items"]
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 39
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"too_many_keys"}
    assert len(kept) == 3


def test_revoked_and_expired_keys_leave_room(database_url, clock):
    """Only keys that still work count towards the limit."""
    auth, app = fitted(database_url, ApiKeys(limit=2), clock=clock, access_lifetime=timedelta(hours=24))
    with TestClient(app) as client:
        ann = person(client, auth)
        revoked = make(client, ann)
        make(client, ann, expires_in_days=1)
        client.delete(f"/auth/api-keys/{revoked['id']}", headers=ann.token)
        make(client, ann)
        clock.advance(timedelta(days=1))
        living = written(client, auth, lambda tx: keys.living(tx, ann.id, now=auth.context.now()))
    assert living == 1


@pytest.mark.attack("a key made with a token that was just revoked")
def test_a_token_whose_standing_changed_makes_no_key(database_url):
    """The standing is read again in the transaction that makes the key."""
    from rimlock.core.errors import CredentialInvalid
    from rimlock.core.principal import Principal
    from rimlock.features.api_keys import logic

    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        before = Principal(subject=ann.id, kind="token", credential_id="0" * 32, user_id=ann.id, epoch=0)
        written(client, auth, lambda tx: accounts.raise_epoch(tx, ann.id, now=1))
        bounds = logic.Bounds(auth.context.permissions, frozenset())
        with pytest.raises(CredentialInvalid):
            client.portal.call(logic.issue, auth.context, before, logic.Wanted(name="a"), bounds, 50)
        kept = client.portal.call(lambda: logic.page(auth.context, ann.id, after=None, limit=10))
    assert kept == []


def test_all_keys_of_a_user_are_revoked_at_once(database_url):
    """After a takeover is undone, none of the keys made meanwhile works, and nobody else's is touched."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann, bob = person(client, auth), person(client, auth, "bob")
        texts = [make(client, ann)["key"], make(client, ann)["key"], make(client, bob)["key"]]
        before = [client.get("/me", headers={"X-API-Key": text}).status_code for text in texts]
        count = written(client, auth, lambda tx: keys.revoke_all(tx, ann.id, now=auth.context.now()))
        after = [client.get("/me", headers={"X-API-Key": text}).status_code for text in texts]
    assert (before, count, after) == ([200, 200, 200], 2, [401, 401, 200])


def _body(method):
    return {"json": {"name": "a"}} if method == "POST" else {}
