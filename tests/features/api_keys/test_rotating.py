"""Replacing a key while both work for a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.api_keys.fitted import fitted, make, person, written
from rimlock import Rule, Stage
from rimlock.core import keys
from rimlock.core.retirements import Phase, Retirement
from rimlock.core.retiring import change
from rimlock.core.rotating import ApiKeyRotated
from rimlock.core.windows import Window
from rimlock.crypto.opaque import digest
from rimlock.features.api_keys import ApiKeys

pytestmark = pytest.mark.req("L12")
REQUIRED = [Rule(pattern="/items", stage=Stage.REQUIRED)]
OLD = "lab-000-9fX2mQ7vKz4tLw8r"


def rotate(client, somebody, key_id, **form):
    """Replace a key through the interface."""
    return client.post(f"/auth/api-keys/{key_id}/rotate", json=form or None, headers=somebody.token)


def status(client, key):
    """Ask with a key."""
    return client.get("/items", headers={"X-API-Key": key}).status_code


def test_both_work_until_the_overlap_ends(database_url, clock):
    """The new one may do the same; the old one is told when it ends, and then does; the owner sees both."""
    auth, app = fitted(database_url, ApiKeys(scopes={"analyses:read"}), rules=REQUIRED, clock=clock)
    heard = []
    auth.on(ApiKeyRotated, heard.append)
    with TestClient(app) as client:
        ann = person(client, auth)
        old = make(client, ann, scopes=["analyses:read"], expires_in_days=90)
        assert status(client, old["key"]) == 200
        answer = rotate(client, ann, old["id"], overlap_in_days=10)
        assert answer.status_code == 201, answer.text
        new = answer.json()
        assert (new["name"], new["scopes"], new["replaces"]) == (old["name"], old["scopes"], old["id"])
        assert (new["expires_at"], new["overlap_ends_at"]) == (old["expires_at"], "2027-01-25T08:00:00Z")
        told = client.get("/me", headers={"X-API-Key": old["key"]})
        for _ in range(100):
            if "sunset" in told.headers:
                break
            told = client.get("/me", headers={"X-API-Key": old["key"]})
        assert told.headers["sunset"] == "Mon, 25 Jan 2027 08:00:00 GMT"
        assert "sunset" not in client.get("/me", headers={"X-API-Key": new["key"]}).headers
        listed = {one["id"]: one for one in client.get("/auth/api-keys", headers=ann.token).json()["items"]}
        assert (listed[old["id"]]["replaced_by"], listed[old["id"]]["phase"]) == (new["id"], "deprecated")
        assert listed[old["id"]]["expires_at"] == listed[old["id"]]["sunset_at"] == new["overlap_ends_at"]
        assert listed[new["id"]]["phase"] == "accept"
        assert new["key"] not in str(listed)
        clock.advance(timedelta(days=10))
        gone = client.get("/items", headers={"X-API-Key": old["key"]})
        assert (gone.status_code, status(client, new["key"])) == (401, 200)
    assert [(one.key_id, one.successor) for one in heard] == [(old["id"], new["id"])]


def test_no_overlap_ends_the_old_one_at_once(database_url, clock):
    """For a key that leaked."""
    auth, app = fitted(database_url, rules=REQUIRED, clock=clock)
    with TestClient(app) as client:
        ann = person(client, auth)
        old = make(client, ann)
        assert status(client, old["key"]) == 200
        new = rotate(client, ann, old["id"], overlap_in_days=0).json()
        for _ in range(200):
            if status(client, old["key"]) == 401:
                break
        assert (status(client, old["key"]), status(client, new["key"])) == (401, 200)


@pytest.mark.attack("two successors of one key")
def test_of_many_at_once_one_makes_a_successor(database_url):
    """The others are told that there is one; there are two keys afterwards."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        old = make(client, ann)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: rotate(client, ann, old["id"]), range(8)))
        codes = sorted(one.status_code for one in answers)
        assert codes == [201] + [409] * 7
        assert {one.json()["code"] for one in answers if one.status_code == 409} == {"key_replaced"}
        assert len(client.get("/auth/api-keys", headers=ann.token).json()["items"]) == 2


@pytest.mark.attack("a key that makes keys")
def test_one_rotates_ones_own_with_a_token_and_an_administrator_any(sqlite_url):
    """Never with the key itself; somebody else's key, a revoked and a finished one are not found."""
    auth, app = fitted(sqlite_url)
    with TestClient(app) as client:
        ann, bob = person(client, auth), person(client, auth, "bob")
        root = person(client, auth, "root", roles=("admin",))
        old = make(client, ann)
        by_key = client.post(f"/auth/api-keys/{old['id']}/rotate", headers={"X-API-Key": old["key"]})
        assert (by_key.status_code, by_key.json()["code"]) == (403, "permission_missing")
        assert rotate(client, bob, old["id"]).status_code == 404
        done = rotate(client, root, old["id"])
        assert done.status_code == 201
        me = client.get("/me", headers={"X-API-Key": done.json()["key"]}).json()
        assert me["subject"] == ann.id
        client.delete(f"/auth/api-keys/{done.json()['id']}", headers=ann.token)
        assert rotate(client, ann, done.json()["id"]).status_code == 404
        assert rotate(client, ann, "0" * 32).status_code == 404
        assert rotate(client, ann, old["id"], overlap_in_days=366).status_code == 422


def test_an_imported_key_keeps_what_it_could_do(database_url):
    """Also scopes that its owner could not give to a key made here; and the next in its place keeps them too."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        wanted = keys.NewKey(name="lab", user_id=ann.id, scopes=frozenset({"analyses:read"}), source="imported:plain")
        old, _ = written(
            client, auth, lambda tx: keys.admit(tx, wanted, digest=digest(OLD), shown="lab…", now=auth.context.now())
        )
        first = rotate(client, ann, old.id).json()
        second = rotate(client, ann, first["id"]).json()
        for key in (OLD, first["key"], second["key"]):
            assert client.get("/scoped", headers={"X-API-Key": key}).status_code == 200
        assert second["source"] == "rotated:imported:plain"


def test_rotating_is_no_way_around_what_holds_for_all_keys(database_url):
    """Where every key is refused, a key that was rotated is refused as well, and so is its successor."""
    auth, app = fitted(database_url, rules=REQUIRED)
    with TestClient(app) as client:
        ann = person(client, auth)
        old = make(client, ann)
        said = Retirement(target="kind:key", phase=Phase.REFUSED, deprecated_at=0)
        written(client, auth, lambda tx: change(tx, "kind:key", lambda _: said, actor="t", now=auth.context.now()))
        new = rotate(client, ann, old["id"]).json()
        for _ in range(200):
            if status(client, old["key"]) == 401:
                break
        assert [status(client, key) for key in (old["key"], new["key"])] == [401, 401]


@pytest.mark.attack("a refused key made good again")
def test_a_refused_key_is_rotated_by_an_administrator_alone(sqlite_url):
    """Its holder gets no fresh one for it; in a brownout, which ends, they do."""
    auth, app = fitted(sqlite_url)
    with TestClient(app) as client:
        ann, root = person(client, auth), person(client, auth, "root", roles=("admin",))

        def said(key, phase):
            now, target = auth.context.now(), f"key:{key['id']}"
            windows = (Window(start=now - 1, end=now + 600),) if phase is Phase.BROWNOUT else ()
            made = Retirement(target=target, phase=phase, deprecated_at=0, windows=windows)
            written(client, auth, lambda tx: change(tx, target, lambda _: made, actor="t", now=now))
            return key["id"]

        refused = said(make(client, ann), Phase.REFUSED)
        assert rotate(client, ann, refused).status_code == 404
        assert rotate(client, root, refused).status_code == 201
        assert rotate(client, ann, said(make(client, ann), Phase.BROWNOUT)).status_code == 201


def test_keys_that_are_over_are_not_kept_in_mind(database_url):
    """Whoever rotates a key a thousand times leaves nothing that every process reads again at every change."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        last = make(client, ann)
        for _ in range(3):
            last = rotate(client, ann, last["id"], overlap_in_days=0).json()
        revoked = last["id"]
        last = rotate(client, ann, revoked).json()
        client.delete(f"/auth/api-keys/{revoked}", headers=ann.token)
        kept = rotate(client, ann, last["id"]).json()["replaces"]
        client.portal.call(auth.reload_retirements)
        assert set(auth.context.retirements.active) == {f"key:{kept}"}


def test_rotating_again_and_again_does_not_pile_up_keys(sqlite_url):
    """Twice the limit, the old ones of the overlap included, is the most."""
    auth, app = fitted(sqlite_url, ApiKeys(limit=2))
    with TestClient(app) as client:
        ann = person(client, auth)
        last = make(client, ann)
        answers = []
        for _ in range(4):
            answer = rotate(client, ann, last["id"])
            answers.append(answer.status_code)
            last = answer.json() if answer.status_code == 201 else last
        assert answers == [201, 201, 201, 409]
