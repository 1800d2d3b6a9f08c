"""Looking into tokens without showing them, and the keys that sign them, on both databases."""

from __future__ import annotations

import asyncio
import json

import pytest

from rimlock import Rimlock
from rimlock.core import accounts, sessions
from rimlock.core.login import Proof, complete
from rimlock.core.sessions import Device
from rimlock.core.users import NewUser


def signed_in(environment):
    """Make an account and sign it in; return (session id, access token)."""

    async def work():
        auth = Rimlock.from_env(environment)
        await auth.start()
        now = auth.context.now()

        def begin(tx):
            user = auth.context.users.create(tx, NewUser(email="ann@example.com"), now)
            accounts.open_account(tx, user.id, now=now)
            proof = Proof(user_id=user.id, method="test", at=now)
            return complete(tx, proof, device=Device(), lifetimes=auth.context.lifetimes, policies=(), now=now)

        made = await auth.database.write(begin)
        token = json.loads(auth.context.entrance.admit(made).body)["access_token"]
        await auth.stop()
        return made.session.id, token

    return asyncio.run(work())


def end(environment, session_id):
    """End a session, as another process would."""

    async def work():
        auth = Rimlock.from_env(environment)
        await auth.start()
        await auth.database.write(lambda tx: sessions.end(tx, session_id, reason="logout", now=auth.context.now()))
        await auth.stop()

    asyncio.run(work())


def broken(outcome):
    """Return the rules that an inspection says are broken."""
    return [one["rule"] for one in outcome.json["breaks"]]


def test_a_good_token_is_shown_by_what_it_says_and_never_itself(terminal):
    """Header and claims, the signature verified with the database's keys; no part of the token is repeated."""
    _, token = signed_in(terminal.environment)
    seen = terminal("token", "inspect", "--json", typed=f"Bearer {token}\n")
    assert (seen.code, seen.json["signature"], seen.json["breaks"]) == (0, "genuine", [])
    assert seen.json["claims"]["iss"] == "http://localhost:8000"
    assert seen.json["header"]["typ"] == "at+jwt"
    assert "this token would be let in" in terminal("token", "inspect", typed=token).out
    assert not [part for part in token.split(".") if part in terminal.shown]


def test_a_token_whose_session_has_ended_is_said_to_be_worthless(terminal):
    """Form and signature are right, and it would not be let in."""
    session_id, token = signed_in(terminal.environment)
    end(terminal.environment, session_id)
    seen = terminal("token", "inspect", "--json", typed=token)
    assert (seen.code, seen.json["signature"], broken(seen)) == (1, "genuine", ["credential_invalid"])


def test_each_broken_rule_is_named(lone_terminal):
    """Forged, foreign, malformed and misaddressed tokens are told apart, without a database where that is wanted."""
    _, token = signed_in(lone_terminal.environment)
    head, body, seal = token.split(".")
    forged = f"{head}.{body}.{'A' * (len(seal) - 1)}{seal[-1]}"
    assert broken(lone_terminal("token", "inspect", "--json", typed=forged)) == ["signature"]
    assert broken(lone_terminal("token", "inspect", "--json", "--offline", typed=forged)) == []
    elsewhere = lone_terminal("token", "inspect", "--json", typed=token, RIMLOCK_ISSUER="https://id.example.com")
    assert "issuer" in broken(elsewhere)
    assert broken(lone_terminal("token", "inspect", "--json", typed="no token")) == ["malformed"]
    none = "eyJhbGciOiJub25lIn0.e30."
    assert broken(lone_terminal("token", "inspect", "--json", typed=none)) == ["malformed", "missing"]
    unsigned = lone_terminal("token", "inspect", "--json", "--offline", typed="eyJhbGciOiJub25lIn0.e30.AAAA")
    assert broken(unsigned) == ["algorithm", "missing"]
    assert unsigned.json["header"] == {"alg": "none"}


def test_inspecting_makes_neither_a_database_nor_a_secret(lone_terminal, tmp_path):
    """Where there is no installation the signature is not checked, and nothing is left behind."""
    _, token = signed_in(lone_terminal.environment)
    seen = lone_terminal(
        "token", "inspect", "--json", typed=token, DATABASE_URL=f"sqlite:///{tmp_path / 'none.db'}", RIMLOCK_SECRETS=""
    )
    assert (seen.code, seen.json["breaks"]) == (0, [])
    assert seen.json["signature"] == "not checked: the database has no signing keys"
    assert not (tmp_path / "none.db").exists()
    assert not (tmp_path / "rimlock.secret").exists()


def test_keys_are_listed_rotated_and_revoked(terminal):
    """A new key is published before it signs; revoking the one that signs makes another, so that sign-in goes on."""
    (first,) = terminal("token", "keys", "--json").json["items"]
    assert (first["state"], first["verifies_until"]) == ("signs", None)
    assert terminal("token", "rotate", "--lead", "600").out.endswith("signs in 600 seconds\n")
    states = {one["kid"]: one["state"] for one in terminal("token", "keys", "--json").json["items"]}
    assert sorted(states.values()) == ["signs", "signs later"]
    assert states[first["kid"]] == "signs"
    _, token = signed_in(terminal.environment)
    assert terminal("token", "revoke-key", first["kid"]).out.endswith("signs from now on\n")
    assert broken(terminal("token", "inspect", "--json", typed=token)) == ["key_unknown"]
    states = [one["state"] for one in terminal("token", "keys", "--json").json["items"]]
    assert sorted(states) == ["signs", "signs later"]
    again = terminal("token", "revoke-key", first["kid"])
    assert (again.code, again.out) == (1, "")


@pytest.mark.parametrize("command", [("rotate",), ("revoke-key", "any")])
def test_a_shared_secret_is_changed_where_it_is_set(lone_terminal, command):
    """With HS256 there is no key in the database to rotate or revoke, and the sentence says where it is."""
    shared = {"RIMLOCK_ALGORITHM": "HS256", "JWT_SECRET": "qP3vX8nL2kR7mT5wZ9yB4cF6hJ1dG0sA"}
    refused = lone_terminal("token", *command, **shared)
    assert (refused.code, refused.err) == (1, "rimlock: the HS256 key is JWT_SECRET; change it there\n")
