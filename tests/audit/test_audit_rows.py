"""Each operation that matters leaves one row that says who, what, whom, when, from where, and how it ended."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import rimlock
from audit.office import ANN, BETTER, GOOD, bearer, fitted, rows
from rimlock.core import accounts, audit
from rimlock.core.acting import Acting
from rimlock.core.events import EVENTS, Event, Told, name_of
from rimlock.core.revocations import JournalWritten
from rimlock.core.users import NewUser
from rimlock.features.password import logic
from rimlock.testing import FrozenClock, sign_in

pytestmark = pytest.mark.req("T4")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPaid(Event):
    """Somebody paid. Its fields have names that mean something to other events."""

    told = Told(about="payer")
    payer: str
    amount: int
    items: tuple[object, ...]
    extra: dict[str, int]
    name: str = "n"
    outcome: str = "o"


AGENT = {"User-Agent": "Desk/2.1"}


def after(client, auth, seen):
    """Return the rows since the last look, which `seen` counts."""
    found = rows(client, auth)[len(seen) :]
    seen.extend(found)
    return found


def told(found):
    """Return what rows say in short: event, outcome, whether actor and subject are named."""
    return [(row.event, row.outcome, row.actor, row.subject) for row in found]


@pytest.mark.asvs("16.3.1")
def test_each_step_of_an_account_leaves_exactly_one_row(database_url):
    """Registering, signing in well and badly, changing, signing out, deleting: one row each, by whom and about whom."""
    app, auth, _ = fitted(database_url)
    seen = []
    with TestClient(app, headers=AGENT, client=("203.0.113.9", 5)) as client:
        assert told(after(client, auth, seen)) == [("SigningKeyMade", "ok", "", "")]
        user = client.post("/auth/register", json=ANN).json()["id"]
        me = f"user:{user}"
        assert told(after(client, auth, seen)) == [("UserRegistered", "ok", me, user)]
        client.post("/auth/login", json={"login": "ann", "password": "another word altogether"})
        client.post("/auth/login", json={"login": "nobody", "password": GOOD})
        assert told(after(client, auth, seen)) == [
            ("LoginFailed", "failed", "", user),
            ("LoginFailed", "failed", "", ""),
        ]
        headers = bearer(client.post("/auth/login", json={"login": "ann", "password": GOOD}))
        (started,) = after(client, auth, seen)
        assert told([started]) == [("SessionStarted", "ok", me, user)]
        assert (started.address, started.agent) == ("203.0.113.9", "Desk/2.1")
        assert started.facts["methods"] == "pwd"
        assert len(started.facts["session_id"]) == 32
        client.post("/auth/password", json={"current_password": BETTER, "new_password": BETTER}, headers=headers)
        assert told(after(client, auth, seen)) == [("PasswordRecheckFailed", "failed", me, user)]
        changed = client.post(
            "/auth/password", json={"current_password": GOOD, "new_password": BETTER}, headers=headers
        )
        headers = bearer(changed)
        assert told(after(client, auth, seen)) == [("PasswordChanged", "ok", me, user)]
        client.post("/auth/email", json={"new_email": "a@example.org", "password": BETTER}, headers=headers)
        assert told(after(client, auth, seen)) == [("EmailChanged", "ok", me, user)]
        client.patch("/auth/me", json={"display_name": "Ann B."}, headers=headers)
        (profile,) = after(client, auth, seen)
        assert told([profile]) == [("ProfileChanged", "ok", me, user)]
        assert profile.facts == {"fields": ["display_name"]}
        made = client.post("/auth/api-keys", json={"name": "robot"}, headers=headers).json()
        client.delete(f"/auth/api-keys/{made['id']}", headers=headers)
        issued, revoked = after(client, auth, seen)
        assert told([issued, revoked]) == [("ApiKeyIssued", "ok", me, user), ("ApiKeyRevoked", "ok", me, user)]
        assert issued.facts == {"key_id": made["id"], "key_name": "robot"}
        client.post("/auth/logout", headers=headers)
        (out,) = after(client, auth, seen)
        assert (told([out]), out.facts["reason"]) == ([("SessionEnded", "ok", me, user)], "logout")
        again = bearer(client.post("/auth/login", json={"login": "ann", "password": BETTER}))
        bearer(client.post("/auth/login", json={"login": "ann", "password": BETTER}))
        after(client, auth, seen)
        assert client.post("/auth/logout-all", json={}, headers=again).json() == {"ended": 2}
        assert told(after(client, auth, seen)) == [("SessionEnded", "ok", me, user)] * 2
        again = bearer(client.post("/auth/login", json={"login": "ann", "password": BETTER}))
        after(client, auth, seen)
        gone = client.request("DELETE", "/auth/me", json={"password": BETTER}, headers=again)
        assert gone.status_code in {200, 204}
        last = told(after(client, auth, seen))
        assert last == [("SessionEnded", "ok", me, user), ("UserDeleted", "ok", me, user)]


@pytest.mark.asvs("16.3.1", "16.3.3")
def test_administration_keys_and_theft_leave_their_rows(database_url):
    """Stages, roles, standings, signing keys, a stolen refresh token, the first administrator's link: by whom."""
    clock = FrozenClock()
    app, auth, _ = fitted(database_url, clock=clock)
    seen = []
    with TestClient(app) as client:
        client.portal.call(logic.first_admin_link, auth.context)
        assert told(after(client, auth, seen))[1:] == [("FirstAdminLinkIssued", "ok", "", "")]
        root = sign_in(auth, client, roles=["admin"], email="root@example.com")
        clock.advance(1)
        after(client, auth, seen)
        assert (
            client.put(
                "/auth/admin/rollout", json={"route": "GET /open", "stage": "observe"}, headers=root.headers
            ).status_code
            == 200
        )
        client.post("/auth/admin/rollout/back", json={}, headers=root.headers)
        me = f"user:{root.user.id}"
        assert told(after(client, auth, seen)) == [("StageChanged", "ok", me, "")] * 2
        ann = sign_in(auth, client, email="ann@example.com")
        after(client, auth, seen)

        def work(tx):
            now = auth.context.now()
            accounts.set_roles(tx, ann.user.id, ["editor"], now=now)
            accounts.set_active(tx, ann.user.id, active=False, now=now)
            accounts.set_active(tx, ann.user.id, active=True, now=now)

        client.portal.call(auth.database.write, work)
        names = [row.event for row in after(client, auth, seen)]
        assert names == ["RolesChanged", "AccountDisabledEvent", "AccountEnabled"]
        client.portal.call(auth.rotate_signing_key)
        assert [row.event for row in after(client, auth, seen)] == ["SigningKeyMade"]
        stolen = ann.refresh_token
        kept = client.post("/auth/refresh", json={"refresh_token": stolen}).json()["refresh_token"]
        client.post("/auth/refresh", json={"refresh_token": kept})
        assert after(client, auth, seen) == [], "a refresh is one statement and leaves no row"
        clock.advance(60)
        assert client.post("/auth/refresh", json={"refresh_token": stolen}).status_code == 401
        assert told(after(client, auth, seen)) == [
            ("SessionEnded", "ok", "", ann.user.id),
            ("RefreshReused", "refused", "", ann.user.id),
        ]


@pytest.mark.asvs("16.2.1", "16.4.1")
def test_what_callers_send_is_cut_and_made_harmless(database_url):
    """A user agent with ends of lines, colours and turned text, a thousand signs long, is one short plain text."""
    app, auth, _ = fitted(database_url)
    evil = "Mo\x1b[31mzilla\u202e/5 \x85" + "x" * 1_000
    with TestClient(app) as client:
        client.post("/auth/login", json={"login": "x", "password": "y"}, headers={"User-Agent": evil.encode()})
        (row,) = rows(client, auth, event="LoginFailed")
    assert row.agent.isprintable()
    assert len(row.agent) == 200
    assert row.agent.startswith("Mo\N{REPLACEMENT CHARACTER}[31mzilla")


def test_a_host_feature_is_audited_as_well(database_url):
    """An event of the host's own, emitted by its own work, becomes a row with the package before its name."""

    class Odd:
        def __str__(self):
            return "odd\r\nthing"

    app, auth, events = fitted(database_url)
    with TestClient(app) as client:
        items = ("a", Odd(), float("nan"), float("-inf"), 0.5, "\ud800\0")
        made = HostPaid(at=auth.context.now(), payer="u1", amount=12, items=items, extra={"k": 1})
        client.portal.call(auth.database.write, lambda tx: tx.emit(made))
        (row,) = rows(client, auth, event=name_of(HostPaid))
    assert row.event.endswith(".HostPaid")
    assert (row.subject, row.outcome) == ("u1", "ok")
    odd = "\N{REPLACEMENT CHARACTER}" * 2
    assert row.facts.pop("items") == ["a", f"odd{odd}thing", "nan", "-inf", 0.5, odd]
    assert row.facts == {"amount": 12, "extra": "{'k': 1}", "name": "n", "outcome": "o"}
    assert made in events


def test_a_row_says_who_acted_even_where_nobody_signed_in(sqlite_url):
    """The actor is the one whom the transaction knows; an observer reads the same from the event."""
    app, auth, events = fitted(sqlite_url)
    from rimlock.core import acting

    with TestClient(app) as client:

        async def as_operator():
            acting.begin(Acting(actor="cli:olga", address="", agent=""))
            now = auth.context.now()

            def work(tx):
                user = auth.context.users.create(tx, NewUser(email="a@example.com"), now)
                accounts.open_account(tx, user.id, now=now)
                accounts.set_roles(tx, user.id, ["x"], now=now)

            await auth.database.write(work)

        client.portal.call(as_operator)
        (row,) = rows(client, auth, event="RolesChanged")
    assert row.actor == "cli:olga"
    assert [event.acting.actor for event in events if type(event) is accounts.RolesChanged] == ["cli:olga"]


@pytest.mark.asvs("16.1.1", "16.3.1")
def test_every_event_is_described_told_and_emitted_by_the_package():
    """Walk the events: each has a description, an outcome, a field it is about, and a place where it is made."""
    ours = {name: kind for name, kind in EVENTS.items() if kind.__module__.startswith("rimlock.")}
    assert len(ours) > 20
    made = {node.func.id for tree in _trees() for node in ast.walk(tree) if _is_call(node)}
    for name, kind in ours.items():
        assert (kind.__doc__ or "").strip(), name
        assert kind.told.outcome in {"ok", "refused", "failed"}, name
        assert name in made, f"{name} is emitted nowhere"
        assert len(name_of(kind)) <= 64
    silent = {name for name, kind in ours.items() if not kind.told.audited}
    assert silent == {
        "JournalWritten",
        "RequestRefused",
        "MessagePosted",
        "MessageSent",
        "MessageFailed",
        "SignedOutEverywhere",
    }
    assert not JournalWritten.told.logged


@pytest.mark.asvs("16.4.2")
def test_only_one_module_writes_the_audit_and_none_changes_it():
    """No module but the audit's own knows the table; there it is inserted into, read, and deleted from by age."""
    naming = []
    for path, tree in zip(_paths(), _trees(), strict=True):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "rimlock.core.schema":
                naming += [path.name for name in node.names if name.name == "audit"]
        if "auth_audit" in path.read_text(encoding="utf-8") and "versions" not in path.parts:
            naming.append(path.name)
    assert sorted(set(naming)) == ["audit.py", "schema.py"]
    source = Path(audit.__file__).read_text(encoding="utf-8")
    assert source.count("insert(table)") == 1
    assert source.count("delete(table)") == 1
    assert "update(" not in source


def _paths():
    return sorted(Path(rimlock.__file__).parent.rglob("*.py"))


def _trees():
    return [ast.parse(path.read_text(encoding="utf-8")) for path in _paths()]


def _is_call(node):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
