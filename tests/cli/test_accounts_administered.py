"""What administrators do, from the command line: temporary passwords, letting in, invitations, finding people."""

from __future__ import annotations

import pytest

PASSWORD = "an elephant walks across the quiet harbour"


def shown(terminal, who):
    """Return an account as the command shows it."""
    return terminal("user", "show", who, "--json").json


@pytest.mark.req("L9")
def test_a_temporary_password_is_shown_once(terminal):
    """By command: a new one each time, shown this once; the account has to choose another."""
    terminal("user", "create", "ann@example.com", typed=PASSWORD)
    first = terminal("user", "temporary-password", "ann@example.com", "--json").json
    second = terminal("user", "temporary-password", "ann@example.com")
    password = second.out.splitlines()[0]
    assert len(password) == len(first["temporary_password"]) == 34
    assert password != first["temporary_password"]
    assert "shown this once" in second.out
    assert shown(terminal, "ann@example.com")["must_change_password"] is True
    told = terminal("audit", "list", "--json").json["items"]
    given = [one for one in told if one["event"] == "TemporaryPasswordSet"]
    assert len(given) == 2
    assert all(one["actor"].startswith("cli:") for one in given)
    assert password not in terminal("audit", "list", "--json").out
    made = terminal("user", "create", "bea@example.com", "--temporary", "--json").json
    assert len(made["temporary_password"]) == 34
    assert made["must_change_password"] is True
    both = terminal("user", "create", "cy@example.com", "--temporary", "--generate")
    assert (both.code, both.out) == (1, "")


def test_people_are_found_by_name_and_by_standing(lone_terminal):
    """`search`, and the filters of `list`."""
    for name in ("ann", "andy", "bob"):
        lone_terminal("user", "create", f"{name}@example.com", typed=PASSWORD)
    lone_terminal("user", "roles", "bob@example.com", "lab")
    lone_terminal("user", "disable", "andy@example.com")
    lone_terminal("user", "temporary-password", "ann@example.com")

    def found(*arguments):
        items = lone_terminal("user", *arguments, "--json").json["items"]
        return sorted(one["email"].partition("@")[0] for one in items)

    assert found("search", "AN") == ["andy", "ann"]
    assert found("list", "--role", "lab") == ["bob"]
    assert found("list", "--disabled") == ["andy"]
    assert found("list", "--active", "--search", "an") == ["ann"]
    assert found("list", "--must-change") == ["ann"]
    assert found("list", "--waiting") == []
    assert lone_terminal("user", "sessions", "ann@example.com").out == "ann@example.com is signed in nowhere\n"
    assert lone_terminal("user", "unlock", "ann@example.com").code == 0
    ended = lone_terminal("user", "end-sessions", "ann@example.com", "--session", "0" * 32)
    assert (ended.code, ended.err) == (1, "rimlock: There is no such thing.\n")
    refused = lone_terminal("user", "approve", "ann@example.com")
    assert (refused.code, refused.err) == (1, "rimlock: There is no such thing.\n")


@pytest.mark.asvs("2.3.4")
def test_the_last_administrator_stays(terminal):
    """Not disabled, not demoted, not deleted; with another one all of it goes."""
    terminal("user", "create", "root@example.com", "--role", "admin", typed=PASSWORD)
    acts = (("disable",), ("roles",), ("delete", "--yes"))
    for act, *more in acts:
        refused = terminal("user", act, "root@example.com", *more)
        assert (refused.code, refused.err) == (1, "rimlock: This is the last administrator.\n")
    terminal("user", "create", "other@example.com", "--role", "admin", typed=PASSWORD)
    for act, *more in acts:
        assert terminal("user", act, "root@example.com", *more).code == 0


@pytest.mark.req("N7")
def test_an_invitation_is_made_listed_and_revoked(terminal):
    """Its code is shown once; the list has what it is for; revoked it is gone, and cannot be revoked again."""
    arguments = ("--seats", "3", "--roles", "analyst,lab", "--email", "Ann@Example.com", "--expires", "7d")
    made = terminal("invitation", "create", *arguments, "--note", "the lab", "--json").json
    assert (made["seats"], made["roles"], made["email"]) == (3, ["analyst", "lab"], "ann@example.com")
    assert made["created_by"].startswith("cli:")
    listed = terminal("invitation", "list", "--json")
    assert made["code"] not in listed.out
    assert [one["id"] for one in listed.json["items"]] == [made["id"]]
    assert terminal("invitation", "revoke", made["id"]).code == 0
    assert terminal("invitation", "revoke", made["id"]).code == 1
    assert terminal("invitation", "list").out == "there are no invitations\n"
    assert len(terminal("invitation", "list", "--all", "--json").json["items"]) == 1
    assert terminal("invitation", "create").out.splitlines()[0].count("-") == 6


@pytest.mark.parametrize("wrong", ["7", "0d", "d", "-1d", "366d", "1y", "999999w", "7d7d"])
def test_a_time_that_is_none_is_refused(lone_terminal, wrong):
    """`--expires` is a number with a unit, and at most a year."""
    refused = lone_terminal("invitation", "create", f"--expires={wrong}")
    assert (refused.code, refused.out) == (1, "")
    assert "12h or 7d" in refused.err


def test_in_a_closed_house_nobody_is_invited(lone_terminal):
    """A code that lets nobody in is not made."""
    refused = lone_terminal("invitation", "create", RIMLOCK_REGISTRATION="closed")
    assert (refused.code, refused.err) == (1, "rimlock: Registration is closed.\n")
