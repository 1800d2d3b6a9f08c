"""The audit as administrators read it: by filters and cursors, by command, as a stream; and never by anybody else."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, text
from sqlalchemy.dialects import postgresql, sqlite

from audit.office import GOOD, admin, fitted, rows
from rimlock.core import audit
from rimlock.core.audit import Filter
from rimlock.features.audit import logic
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("T4")
ROUTE = "/auth/admin/audit"
KINDS = ("SessionStarted", "LoginFailed", "SessionEnded")


def entry(number, **more):
    """Return a made-up row."""
    known = {
        "at": 1_700_000_000 + number,
        "event": KINDS[number % 3] if number % 500 else "RolesChanged",
        "outcome": "ok",
        "actor": f"user:u{number % 1_000}",
        "subject": f"u{number % 1_000}",
        "address": f"192.0.2.{number % 200}",
        "agent": "desk",
        "facts": {"number": number},
    }
    return audit.written(audit.Entry(**known | more))


def fill(client, auth, count, **more):
    """Add rows as many transactions would have."""
    made = [entry(number, **more) for number in range(count)]
    client.portal.call(auth.database.write, lambda tx: tx.change(insert(audit.table), made))


@pytest.mark.asvs("8.2.1")
def test_only_administrators_with_a_token_read_it(database_url):
    """Nobody gets 401, a plain account and an administrator's key 403; their attempts are no reading."""
    app, auth, _ = fitted(database_url)
    with TestClient(app) as client:
        plain = sign_in(auth, client, email="ann@example.com").headers
        assert client.get(ROUTE).status_code == 401
        assert client.get(ROUTE, headers=plain).status_code == 403
        root = admin(client, auth)
        key = client.post("/auth/api-keys", json={"name": "k", "roles": ["admin"]}, headers=root).json()["key"]
        assert client.get(ROUTE, headers={"X-API-Key": key}).status_code in {401, 403}
        assert rows(client, auth, event="AuditRead") == []
        assert client.get(ROUTE, headers=root).status_code == 200
        assert len(rows(client, auth, event="AuditRead")) == 1


def test_a_reading_is_written_down_with_what_was_asked(database_url):
    """One row for each request, by whom and for what."""
    app, auth, _ = fitted(database_url)
    with TestClient(app) as client:
        root = sign_in(auth, client, roles=["admin"], email="root@example.com")
        asked = {"event": "LoginFailed", "since": "2026-01-01T00:00:00Z", "address": "192.0.2.1"}
        client.get(ROUTE, params=asked, headers=root.headers)
        (read,) = rows(client, auth, event="AuditRead")
    assert read.actor == f"user:{root.user.id}"
    assert read.facts == {"filters": ["event=LoginFailed", "address=192.0.2.1", "since=1767225600"]}


def test_filters_narrow_and_pages_neither_skip_nor_repeat(database_url):
    """Newest first; while rows are added the walk through the pages sees every older row once."""
    app, auth, _ = fitted(database_url)
    with TestClient(app) as client:
        root = admin(client, auth)
        fill(client, auth, 90, at=1_700_000_000)
        asked = {"until": "2024-01-01", "limit": 7}
        seen, after = [], None
        while True:
            answer = client.get(ROUTE, params=asked | ({"after": after} if after else {}), headers=root).json()
            seen += answer["items"]
            fill(client, auth, 3)  # at other moments, newer ones
            after = answer["next"]
            if after is None:
                break
        first = [row["facts"]["number"] for row in seen if row["at"] == "2023-11-14T22:13:20Z"]
        assert sorted(set(first)) == sorted(range(90))
        ids = [tuple(map(int, row["id"].split("-"))) for row in seen]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == len(ids)

        def found(**wanted):
            return client.get(ROUTE, params={"limit": 100, **wanted}, headers=root).json()["items"]

        assert {row["subject"] for row in found(user="u3")} == {"u3"}
        assert {row["actor"] for row in found(actor="user:u4")} == {"user:u4"}
        assert {row["event"] for row in found(event="LoginFailed")} == {"LoginFailed"}
        assert {row["address"] for row in found(address="192.0.2.2")} == {"192.0.2.2"}
        assert found(outcome="failed") == []
        assert found(since="2024-01-01T00:00:00+01:00", until="2024-01-02") == []


@pytest.mark.parametrize(
    "asked",
    [
        {"after": "12"},
        {"after": "1-x"},
        {"after": "-1-2"},
        {"after": f"{'9' * 40}-1"},
        {"after": "١-٢"},
        {"limit": "0"},
        {"limit": "101"},
        {"outcome": "maybe"},
        {"since": "yesterday"},
        {"after": f"{'0' * 20}12-1"},
        {"user": "x" * 65},
        *({name: "a\0"} for name in ("user", "actor", "event", "address")),
    ],
)
def test_what_is_no_question_is_refused(sqlite_url, asked):
    """A mistyped cursor, time or number gets 422 and not another page than was meant."""
    app, auth, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        assert client.get(ROUTE, params=asked, headers=admin(client, auth)).status_code == 422


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Filter(), "at"),
        (Filter(since=1_700_001_000, until=1_700_002_000), "at"),
        (Filter(subject="u3"), "subject_at"),
        (Filter(actor="user:u3"), "actor_at"),
        (Filter(event="RolesChanged", until=1_700_010_000), "event_at"),
    ],
)
def test_each_common_question_has_an_index(database_url, wanted, index):
    """In a table of twenty thousand rows no common question reads all of it, and none sorts it."""
    app, auth, _ = fitted(database_url)
    with TestClient(app) as client:
        fill(client, auth, 20_000)
        dialect = sqlite if auth.database.dialect == "sqlite" else postgresql

        def plan(tx):
            asked = []
            spied = _Spy(tx, asked)
            audit.newest(spied, wanted, after=(1_700_015_000, 15_000), limit=50)
            tx.change(text("ANALYZE auth_audit"))
            sql = str(asked[0].compile(dialect=dialect.dialect(), compile_kwargs={"literal_binds": True}))
            word = "EXPLAIN QUERY PLAN" if tx.dialect == "sqlite" else "EXPLAIN"
            return "\n".join(str(dict(row)) for row in tx.all(text(f"{word} {sql}")))

        shown = client.portal.call(auth.database.write, plan)
    assert f"ix_auth_audit_{index}" in shown
    assert "TEMP B-TREE" not in shown
    assert "Seq Scan" not in shown


class _Spy:
    """A transaction that notes what it is asked."""

    def __init__(self, tx, asked):
        self._tx, self._asked = tx, asked

    def all(self, statement):
        self._asked.append(statement)
        return self._tx.all(statement)


def test_an_export_holds_few_rows_at_once(sqlite_url):
    """Thirty thousand rows come through in order, each once, in the memory of a page."""
    app, auth, _ = fitted(sqlite_url)
    with TestClient(app) as client:
        fill(client, auth, 30_000)

        async def stream():
            count, last, peak = 0, (0, 0), 0
            tracemalloc.start()
            async for row in logic.export(auth.context, Filter(until=1_700_100_000)):
                assert row.cursor > last
                count, last = count + 1, row.cursor
                peak = max(peak, tracemalloc.get_traced_memory()[0]) if count % 1_000 == 0 else peak
            tracemalloc.stop()
            return count, peak

        count, peak = client.portal.call(stream)
    assert count == 30_000
    assert peak < 8_000_000


def test_commands_list_and_export(terminal):
    """`rimlock audit` shows what happened, by whom, also of commands; filters and cursors as in the API."""
    made = terminal("user", "create", "ann@example.com", "--json", typed=f"{GOOD}\n")
    assert made.code == 0, made.err
    terminal("role", "set", "ann@example.com", "editor")
    listed = terminal("audit", "list", "--user", "ann@example.com", "--json").json
    assert [(row["event"], row["subject"]) for row in listed["items"]] == [
        ("RolesChanged", made.json["id"]),
        ("UserRegistered", made.json["id"]),
    ]
    assert {row["actor"].partition(":")[0] for row in listed["items"]} == {"cli"}
    newest = listed["items"][0]
    assert terminal("audit", "list", "--after", newest["id"], "--user", made.json["id"], "--json").json["items"] == [
        listed["items"][1]
    ]
    first = terminal("audit", "list", "--user", made.json["id"], "--limit", "1")
    assert first.err == f"there is more: --after {newest['id']}\n"
    assert terminal("audit", "list", "--user", made.json["id"]).err == ""
    table = terminal("audit", "list", "--event", "RolesChanged", "--since", "1h").out
    assert "RolesChanged" in table
    assert "roles=editor" in table
    lines = terminal("audit", "export", "--since", "2020-01-01").out.splitlines()
    shown = [json.loads(line) for line in lines]
    assert [row["event"] for row in shown][:3] == ["SigningKeyMade", "UserRegistered", "RolesChanged"]
    assert shown[-1]["event"] == "AuditRead"
    rest = terminal("audit", "export", "--after", shown[2]["id"], "--event", "UserRegistered")
    assert rest.out == ""
    assert "knows no event" in terminal("audit", "list", "--event", "Nonsense").err
    assert terminal("audit", "list", "--since", "soon").code == 1
    assert terminal("audit", "list", "--outcome", "maybe").code == 2
