"""What a key is worth: where it is found, for whom it speaks, when it stops, and what it costs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from features.api_keys.fitted import fitted, make, person, written
from rimlock.core import accounts, keys
from rimlock.core.access import Rule, Stage
from rimlock.core.errors import ConfigurationError, CredentialExpired, CredentialInvalid
from rimlock.core.principal import Principal
from rimlock.crypto.opaque import new_api_key
from rimlock.features.api_keys import ApiKeys, logic

REQUIRED = [Rule(pattern="/**", stage=Stage.REQUIRED)]


@pytest.mark.req("L12")
def test_a_key_is_found_wherever_callers_put_it(database_url):
    """A header, `Authorization` in two schemes, the query and the path: the same key, the same principal."""
    auth, app = fitted(
        database_url,
        rules=REQUIRED,
        api_key_headers=("X-API-Key", "X-Lab-Key"),
        api_key_query=("api_key",),
        api_key_paths=("/t/{key}/**",),
    )
    with TestClient(app) as client:
        key = make(client, person(client, auth))["key"]
        answers = [
            client.get("/items", headers={"x-api-key": key}),
            client.get("/items", headers={"X-Lab-Key": key}),
            client.get("/items", headers={"Authorization": f"Bearer {key}"}),
            client.get("/items", headers={"Authorization": f"apikey {key}"}),
            client.get("/items", params={"api_key": key}),
            client.get(f"/t/{key}/items"),
        ]
        without = client.get("/items")
    assert [answer.status_code for answer in answers] == [200] * 6
    assert without.status_code == 401


def test_a_key_is_looked_for_only_where_configured(sqlite_url):
    """Without a word in the settings, keys in addresses are nothing."""
    auth, app = fitted(sqlite_url, rules=REQUIRED)
    with TestClient(app) as client:
        key = make(client, person(client, auth))["key"]
        answers = [
            client.get("/items", params={"api_key": key}),
            client.get("/items", headers={"X-Lab-Key": key}),
            client.get("/items", headers={"Authorization": f"Basic {key}"}),
            client.get(f"/t/{key}/items"),
        ]
    assert [answer.status_code for answer in answers] == [401] * 4


@pytest.mark.attack("a second copy of a credential")
def test_a_parameter_or_header_sent_twice_counts_as_not_sent(sqlite_url):
    """No two parties may read different halves."""
    auth, app = fitted(sqlite_url, rules=REQUIRED, api_key_query=("api_key",))
    with TestClient(app) as client:
        key = make(client, person(client, auth))["key"]
        twice = client.get("/items", params=[("api_key", key), ("api_key", "other")])
        headers = client.get("/items", headers=[("X-API-Key", key), ("X-API-Key", "other")])
    assert (twice.status_code, headers.status_code) == (401, 401)


@pytest.mark.parametrize("template", ["/t", "t/{key}", "/{key}/{key}", "/t/x{key}"])
def test_a_path_without_one_place_for_a_key_is_refused(sqlite_url, template):
    """A template that could find nothing is a mistake, said at construction."""
    with pytest.raises(ConfigurationError, match="names no place for a key"):
        fitted(sqlite_url, api_key_paths=(template,))


def test_a_key_of_the_hosts_own_hides_none_of_ours(sqlite_url):
    """A foreign text in the first place is passed over; the key in the next one counts."""
    auth, app = fitted(sqlite_url, rules=REQUIRED, api_key_query=("api_key",))
    with TestClient(app) as client:
        key = make(client, person(client, auth))["key"]
        for _ in range(2):
            answer = client.get("/items", headers={"X-API-Key": "the-hosts-own"}, params={"api_key": key})
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(new_api_key(), "invalid_token", id="issued by somebody else"),
        ("rl_" + "a" * 43 + "_aaaaaa", None),
        ("something else", None),
        ("x" * 512, None),
        ("x" * 513, None),
    ],
)
def test_only_a_text_that_looks_issued_is_called_bad(database_url, text, code):
    """An unknown key of our form is a bad credential; any other text may be the host's own and is none."""
    _, app = fitted(database_url, rules=REQUIRED)
    with TestClient(app) as client:
        answers = [client.get("/items", headers={"X-API-Key": text}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert all((code or "error=") in answer.headers["www-authenticate"] for answer in answers) is (code is not None)


def test_an_over_long_text_is_never_looked_up(sqlite_url):
    """More than 512 bytes cost no statement."""
    auth, app = fitted(sqlite_url, rules=REQUIRED)
    with TestClient(app) as client:
        before = auth.database.executed
        client.get("/items", headers={"X-API-Key": "x" * 513})
        long = auth.database.executed
        client.get("/items", headers={"X-API-Key": "x" * 512})
        assert (long - before, auth.database.executed - long) == (0, 1)


@pytest.mark.req("T5")
@pytest.mark.usefixtures("unhurried")
def test_a_known_key_costs_no_statement(database_url):
    """One statement the first time, none afterwards; the same for a text that is no key."""
    silent = {"listen": False, "poll_interval": timedelta(hours=1), "max_staleness": timedelta(hours=1)}
    auth, app = fitted(database_url, rules=REQUIRED, **silent)
    with TestClient(app) as client:
        key = make(client, person(client, auth))["key"]
        counts = []
        for text in (key, key, key, "no key at all", "no key at all"):
            before = auth.database.executed
            client.get("/items", headers={"X-API-Key": text})
            counts.append(auth.database.executed - before)
            client.portal.call(auth.flush)
    assert counts == [1, 0, 0, 1, 0]


def test_a_scope_that_is_missing_is_named(database_url):
    """403 with `insufficient_scope` for a key without the scope, 200 with it."""
    auth, app = fitted(database_url, ApiKeys(scopes={"analyses:read"}))
    with TestClient(app) as client:
        ann = person(client, auth)
        without = client.get("/scoped", headers={"X-API-Key": make(client, ann)["key"]})
        scoped = make(client, ann, scopes=["analyses:read"])["key"]
        having = client.get("/scoped", headers={"X-API-Key": scoped})
    assert without.status_code == 403
    assert 'error="insufficient_scope"' in without.headers["www-authenticate"]
    assert having.status_code == 200


@pytest.mark.attack("a key that may do more than its owner")
def test_a_key_loses_what_its_owner_loses(database_url):
    """Roles, permissions and scopes of a user's key end with the owner's role, at once and while it is known."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth, roles=("chemist",))
        plain = make(client, ann)["key"]
        full = make(client, ann, roles=["chemist"], scopes=["analyses:read"])["key"]
        paths = ("/ruled", "/permitted", "/scoped")

        def reach(key):
            return [client.get(path, headers={"X-API-Key": key}).status_code for path in paths]

        before = reach(plain), reach(full)
        written(client, auth, lambda tx: accounts.set_roles(tx, ann.id, [], now=auth.context.now()))
        after = reach(full), client.get("/me", headers={"X-API-Key": full}).json()
    assert before == ([403, 403, 403], [200, 200, 200])
    assert after[0] == [403, 403, 403]
    assert (after[1]["roles"], after[1]["permissions"], after[1]["scopes"]) == ([], [], [])


def test_a_disabled_owners_key_is_refused_until_they_are_back(database_url):
    """The key is bad while the account may not act, and good again afterwards, without waiting."""
    auth, app = fitted(database_url)
    with TestClient(app) as client:
        ann = person(client, auth)
        key = {"X-API-Key": make(client, ann)["key"]}
        seen = [client.get("/me", headers=key).status_code]
        for active in (False, True):
            written(
                client, auth, lambda tx, on=active: accounts.set_active(tx, ann.id, active=on, now=auth.context.now())
            )
            seen.append(client.get("/me", headers=key).status_code)
        written(client, auth, lambda tx: accounts.close(tx, ann.id, now=auth.context.now()))
        seen.append(client.get("/me", headers=key).status_code)
    assert seen == [200, 401, 200, 401]


def test_an_end_is_exact_also_for_a_known_key(database_url, clock):
    """A second before its end the key works, at its end it has expired, whatever was remembered."""
    auth, app = fitted(database_url, clock=clock)
    with TestClient(app) as client:
        key = {"X-API-Key": make(client, person(client, auth), expires_in_days=1)["key"]}
        clock.advance(timedelta(days=1, seconds=-1))
        client.portal.call(auth.context.follower.catch_up)
        last = client.get("/me", headers=key)
        clock.advance(1)
        ended = [client.get("/me", headers=key) for _ in range(2)]
    assert last.status_code == 200
    assert [answer.status_code for answer in ended] == [401, 401]
    assert all("expired" in answer.headers["www-authenticate"] for answer in ended)


def test_a_use_is_noted_once_a_minute(database_url, clock):
    """However often a key is used, its row is written once a minute (and the seconds it is recalled) and says when."""
    auth, app = fitted(database_url, clock=clock)
    with TestClient(app) as client:
        ann = person(client, auth)
        key = {"X-API-Key": make(client, ann)["key"]}
        noted = []
        for step in (0, 59, 6, 30):
            clock.advance(step)
            client.get("/me", headers=key)
            client.portal.call(auth.flush)
            noted.append(written(client, auth, lambda tx: keys.page(tx, ann.id, after=None, limit=1))[0].last_used_at)
    start = int(clock()) - 95
    assert noted == [start, start, start + 65, start + 65]


@pytest.mark.req("L12")
def test_a_key_revoked_in_one_process_is_refused_in_another(sqlite_url):
    """On SQLite the very next request elsewhere is refused, though the key was known there."""
    one, app_one = fitted(sqlite_url)
    _, app_two = fitted(sqlite_url)
    with TestClient(app_one) as first, TestClient(app_two) as second:
        ann = person(first, one)
        made = make(first, ann)
        key = {"X-API-Key": made["key"]}
        known = [client.get("/me", headers=key).status_code for client in (second, first, second)]
        assert first.delete(f"/auth/api-keys/{made['id']}", headers=ann.token).status_code == 204
        assert second.get("/me", headers=key).status_code == 401
    assert known == [200] * 3


@pytest.mark.req("L12")
def test_a_key_revoked_in_one_process_is_refused_in_another_within_a_second(postgres_url):
    """On PostgreSQL the other process hears of it within a second."""
    one, app_one = fitted(postgres_url)
    _, app_two = fitted(postgres_url)
    with TestClient(app_one) as first, TestClient(app_two) as second:
        ann = person(first, one)
        made = make(first, ann)
        key = {"X-API-Key": made["key"]}
        assert second.get("/me", headers=key).status_code == 200
        first.delete(f"/auth/api-keys/{made['id']}", headers=ann.token)
        assert second.portal.call(_later, second, key) == 401


def test_a_key_made_elsewhere_ends_a_remembered_refusal(sqlite_url):
    """A text refused a moment ago is looked up again once a key was made anywhere."""
    one, app_one = fitted(sqlite_url)
    _, app_two = fitted(sqlite_url)
    text = "a key that callers hold already"
    with TestClient(app_one) as first, TestClient(app_two) as second:
        before = second.get("/me", headers={"X-API-Key": text}).status_code
        written(first, one, lambda tx: _admit(tx, text))
        after = second.get("/me", headers={"X-API-Key": text}).status_code
    assert (before, after) == (401, 200)


@pytest.mark.attack("a look-up that began before the revocation")
@pytest.mark.anyio
async def test_what_was_read_before_a_revocation_is_not_remembered_after_it(database_url):
    """The row is read, then the key is revoked, then the answer arrives: it is not kept."""
    auth, _ = fitted(database_url)
    await auth.start()
    try:
        text, made = await auth.database.write(
            lambda tx: keys.issue(tx, keys.NewKey(name="robot"), prefix="rl", now=auth.context.now())
        )
        held = _Held(auth.context.database)
        known = logic.KnownKeys(_with_database(auth.context, held), logic.Bounds(auth.context.permissions, frozenset()))
        looking = asyncio.ensure_future(known.resolve(text.encode(), auth.context.now()))
        await held.read_once.wait()
        await auth.database.write(lambda tx: keys.revoke(tx, made.id, now=auth.context.now()))
        held.go_on.set()
        assert isinstance(await looking, Principal)
        again = known.resolve(text.encode(), auth.context.now())
        assert not isinstance(again, Principal)
        assert isinstance(await again, CredentialInvalid)
    finally:
        await auth.stop()


@pytest.mark.anyio
async def test_memory_of_keys_is_bounded_and_stays_right(sqlite_url, monkeypatch):
    """With room for two keys a third replaces the first, and revocation still finds each of them."""
    monkeypatch.setattr(logic, "MOST_GOOD", 2)
    monkeypatch.setattr(logic, "MOST_BAD", 2)
    auth, _ = fitted(sqlite_url)
    await auth.start()
    try:
        now = auth.context.now()
        known = logic.KnownKeys(auth.context, logic.Bounds(auth.context.permissions, frozenset()))
        made = [
            await auth.database.write(lambda tx: keys.issue(tx, keys.NewKey(name="robot"), prefix="rl", now=now))
            for _ in range(3)
        ]
        for text, _ in made:
            assert isinstance(await known.resolve(text.encode(), now), Principal)
        for number in range(3):
            assert await known.resolve(b"nothing %d" % number, now) is None
        assert isinstance(known.resolve(made[2][0].encode(), now), Principal)
        assert not isinstance(forgotten := known.resolve(made[0][0].encode(), now), Principal)
        assert isinstance(await forgotten, Principal)
        for text, one in made:
            await auth.database.write(lambda tx, key_id=one.id: keys.revoke(tx, key_id, now=now))
            assert isinstance(await known.resolve(text.encode(), now), CredentialInvalid)
    finally:
        await auth.stop()


def test_an_expired_key_is_named_so_by_its_code(sqlite_url, clock):
    """Programs can tell an end that was foreseen from a key that never was."""
    auth, app = fitted(sqlite_url, clock=clock)
    with TestClient(app) as client:
        key = make(client, person(client, auth), expires_in_days=1)["key"]
        clock.advance(timedelta(days=2))
        answer = client.get("/auth/api-keys", headers={"X-API-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (401, CredentialExpired.code)


class _Held:
    """A database whose reads wait, after they were made, until they may go on."""

    def __init__(self, database):
        self.database = database
        self.read_once, self.go_on = asyncio.Event(), asyncio.Event()

    async def read(self, work):
        found = await self.database.read(work)
        self.read_once.set()
        await self.go_on.wait()
        return found


def _with_database(context, database):
    from dataclasses import replace

    return replace(context, database=database)


def _admit(tx, text):
    from rimlock.crypto.opaque import digest

    return keys.admit(
        tx, keys.NewKey(name="old", source="imported:test"), digest=digest(text), shown="…", now=1_800_000_000
    )


async def _later(client, key):
    """Ask until refused, for at most a second."""
    from anyio import move_on_after, sleep, to_thread

    status = 0
    with move_on_after(1):
        while status != 401:
            status = (await to_thread.run_sync(lambda: client.get("/me", headers=key))).status_code
            await sleep(0.01)
    return status
