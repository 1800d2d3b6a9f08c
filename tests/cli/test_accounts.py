"""Accounts, roles and API keys by hand, on both databases."""

from __future__ import annotations

import sqlite3

import pytest

PASSWORD = "an elephant walks across the quiet harbour"


def test_an_account_is_created_shown_listed_disabled_and_deleted(terminal):
    """The life of an account; each command finds it by address, username or id."""
    made = terminal("user", "create", "ann@example.com", "--username", "ann", "--role", "lab", "--json", typed=PASSWORD)
    assert made.code == 0
    assert made.json | {"id": "", "created_at": ""} == {
        "id": "",
        "email": "ann@example.com",
        "username": "ann",
        "name": "",
        "roles": ["lab"],
        "active": True,
        "verified": False,
        "waiting": False,
        "must_change_password": False,
        "created_at": "",
    }
    assert terminal("user", "disable", "ANN@example.com").code == 0
    assert terminal("user", "show", "ann", "--json").json["active"] is False
    assert terminal("user", "enable", made.json["id"]).code == 0
    assert terminal("user", "show", "ann", "--json").json["active"] is True
    assert terminal("role", "set", "ann", "admin", "lab", "--json").json["roles"] == ["admin", "lab"]
    assert terminal("user", "list", "--json").json["items"][0]["roles"] == ["admin", "lab"]
    assert terminal("role", "set", "ann").err == "rimlock: This is the last administrator.\n"
    terminal("user", "create", "root@example.com", "--role", "admin", typed=PASSWORD)
    assert terminal("role", "set", "ann").out == "ann: no roles\n"
    assert terminal("user", "delete", "root@example.com", "--yes").err == "rimlock: This is the last administrator.\n"
    assert terminal("user", "delete", "ann", "--yes").code == 0
    gone = terminal("user", "show", "ann")
    assert (gone.code, gone.out, gone.err) == (1, "", "rimlock: There is no account 'ann'.\n")
    assert terminal("user", "list", "--search", "ann").out == "there is no such account\n"
    assert PASSWORD not in terminal.shown


def test_a_generated_password_is_shown_once_and_a_typed_one_is_judged(lone_terminal):
    """`--generate` shows the password; a typed one has to meet the policy, and is repeated nowhere."""
    made = lone_terminal("user", "create", "bea@example.com", "--generate", "--json").json
    assert len(made["password"]) >= 20
    weak = lone_terminal("user", "create", "cy@example.com", typed="password123\n")
    assert (weak.code, weak.out) == (1, "")
    assert "at least 15 characters" in weak.err
    assert "password123" not in lone_terminal.shown
    twice = lone_terminal("user", "create", "BEA@example.com", typed=PASSWORD)
    assert (twice.code, twice.err) == (1, "rimlock: This email or username cannot be used.\n")
    assert [one["email"] for one in lone_terminal("user", "list", "--json").json["items"]] == ["bea@example.com"]


def test_the_list_is_paged_and_searched(lone_terminal):
    """`--limit` and `--after` walk through all accounts once; `--search` goes by how a name begins."""
    for name in ("ann", "andy", "bob"):
        lone_terminal("user", "create", f"{name}@example.com", typed=PASSWORD)
    first = lone_terminal("user", "list", "--limit", "2", "--json").json["items"]
    rest = lone_terminal("user", "list", "--after", first[-1]["id"], "--json").json["items"]
    assert sorted(one["email"][:3] for one in first + rest) == ["and", "ann", "bob"]
    found = lone_terminal("user", "list", "--search", "an", "--json").json["items"]
    assert len(found) == 2


def test_deleting_asks_first(lone_terminal):
    """Without `--yes` and without a yes nothing is deleted."""
    lone_terminal("user", "create", "ann@example.com", typed=PASSWORD)
    assert lone_terminal("user", "delete", "ann@example.com", typed="n\n").code == 1
    assert lone_terminal("user", "show", "ann@example.com").code == 0


def test_a_stored_name_cannot_write_to_the_terminal(lone_terminal, sqlite_url):
    """Control characters in what was stored are shown as replacement characters; JSON escapes them."""
    lone_terminal("key", "create", "robot")
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE auth_api_key SET name = ?", ("robot\x1b[2J",))
    assert "\x1b" not in lone_terminal("key", "list").out
    assert "\x1b" not in lone_terminal("key", "list", "--json").out
    assert lone_terminal("key", "list", "--json").json["items"][0]["name"] == "robot\x1b[2J"


def test_a_key_is_issued_listed_and_revoked(terminal):
    """The key's text is shown once; the list has its hint; a revoked key is gone, and cannot be revoked again."""
    made = terminal("key", "create", "robot", "--scope", "read", "--role", "lab", "--days", "7", "--json").json
    listed = terminal("key", "list", "--json")
    assert made["key"] not in listed.out
    assert made["key"].endswith(listed.json["items"][0]["hint"][-4:])
    assert listed.json["items"][0] | {"scopes": 0, "roles": 0} == {
        name: made[name] for name in listed.json["items"][0]
    } | {"scopes": 0, "roles": 0}
    assert terminal("key", "revoke", made["id"]).code == 0
    again = terminal("key", "revoke", made["id"])
    assert (again.code, again.out) == (1, "")
    assert terminal("key", "list").out == "there are no keys\n"


@pytest.mark.req("L1")
def test_a_key_that_callers_hold_is_taken_in_once_and_never_shown(terminal):
    """From standard input or a variable; the second time it is known. Its text appears nowhere."""
    held = "kX8-ours-since-2019-Zq4"
    first = terminal("key", "import", "legacy", "--scope", "read", "--json", typed=f"{held}\n").json
    assert (first["new"], first["source"], first["scopes"]) == (True, "imported:command", ["read"])
    again = terminal("key", "import", "legacy", "--env", "OLD_KEY", "--json", OLD_KEY=held).json
    assert (again["new"], again["id"]) == (False, first["id"])
    missing = terminal("key", "import", "legacy", "--env", "NO_SUCH")
    assert (missing.code, missing.err) == (1, "rimlock: NO_SUCH is not set\n")
    assert terminal("key", "import", "legacy").code == 1
    assert held not in terminal.shown


def test_a_key_may_belong_to_a_user_and_dies_with_the_account(terminal):
    """`--user` names the owner; deleting the account revokes the key."""
    user = terminal("user", "create", "ann@example.com", "--json", typed=PASSWORD).json
    made = terminal("key", "create", "mine", "--user", "ann@example.com", "--json").json
    assert made["user"] == user["id"]
    assert [one["id"] for one in terminal("key", "list", "--user", user["id"], "--json").json["items"]] == [made["id"]]
    assert terminal("key", "list", "--json").json["items"] == []
    terminal("user", "delete", "ann@example.com", "--yes")
    assert terminal("key", "revoke", made["id"]).code == 1
