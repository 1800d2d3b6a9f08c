"""People in a file, and people whom the real FastAPI Users wrote."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from importers.sources import PASSWORD, argon2, bcrypted, client_on, rows, sign_in, write
from profiles.fastapi_users.peers import python_of_theirs
from rimlock.features.social.logic.providers import PRESETS
from rimlock.importers.issuers import ISSUERS

pytestmark = pytest.mark.req("N1", "F4")


def file_of(tmp_path, *lines) -> str:
    """Write a file; a text stands as it is."""
    path = tmp_path / "people.jsonl"
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines), encoding="utf-8")
    return str(path)


def test_a_file_brings_everything_its_lines_say(rimlock, tmp_path):
    """Names, profile, hash, mapped roles, logins elsewhere and the subscription; a second run changes nothing."""
    ann = {"id": 1, "email": "ann@example.com", "username": "Ann", "display_name": "Ann A.", "locale": "de-AT"}
    ann |= {
        "password_hash": bcrypted(),
        "verified": True,
        "roles": ["boss", "guest"],
        "created_at": "2024-01-01T00:00:00Z",
    }
    ann |= {"profile": {"bio": "hello"}, "subscription": {"customer_id": "cus_1", "next_renewal": 1_800_000_000}}
    ann["identities"] = [{"provider": "google", "subject": "110", "email": "ann@example.com", "verified": True}]
    place = file_of(tmp_path, ann, "", {"id": "x-2", "email": "bob@example.com"})
    options = ("import", "jsonl", place, "--role", "boss=admin", "--apply", "--json", "--as", "crm")
    done = rimlock(*options).json
    assert (done["new"], done["hashes"], done["roles_not_given"]) == (2, {"bcrypt": 1, "none": 1}, {"guest": 1})
    assert done["belongings"] == {"identities": 1, "subscriptions": 1}
    assert rimlock(*options).json["known"] == 2
    user = "display_name, u.created_at, locale, verified"
    found = rows(
        rimlock.url, f"SELECT {user} FROM auth_user u JOIN auth_account ON user_id = u.id WHERE username = 'Ann'"
    )
    assert found == [("Ann A.", 1_704_067_200, "de-AT", True)]
    assert rows(rimlock.url, "SELECT customer_id, next_renewal FROM auth_subscription") == [("cus_1", 1_800_000_000)]
    with client_on(rimlock.url) as client:
        assert sign_in(client, "ann").status_code == 200
        assert sign_in(client, "bob@example.com").status_code == 401
    assert rimlock("audit", "list", "--event", "UserRegistered", "--json").json["items"][0]["facts"]["by"] == "import"


def test_a_line_that_is_none_is_refused_by_its_number(rimlock_on_sqlite, tmp_path):
    """What is misspelt, too long, twice or no JSON is not guessed at, and nothing of the line is repeated."""
    place = file_of(
        tmp_path,
        {"id": 1, "email": "ann@example.com"},
        "no json, s3cret",
        {"id": 2, "email": "bob@example.com", "passwort_hash": "s3cret"},
        {"id": 3, "email": "x@example.com", "display_name": "s3cret" * 20_000},
        {"email": "cy@example.com"},
        {"id": 1, "email": "ann@example.com"},
        {"id": 5, "email": "dee@example.com", "verified": "yes"},
        {"id": 6, "email": "eve@example.com", "created_at": "then"},
        {"id": 7, "email": "fay@example.com", "identities": [{"subject": "1"}]},
        {"id": 8, "email": "gus@example.com", "subscription": {"plan": "s3cret"}},
        "[" * 10_000,
    )
    done = rimlock_on_sqlite("import", "jsonl", place, "--apply", "--json")
    assert (done.code, done.json["new"], done.json["read"]) == (1, 0, 11)
    assert [(one["row"], one["reason"]) for one in done.json["refusals"]] == [
        ("1", "id_repeated"),
        ("line 2", "line_unreadable"),
        ("line 3", "member_unknown"),
        ("line 4", "line_too_long"),
        ("line 5", "id_missing"),
        ("1", "id_repeated"),
        ("line 7", "member_unreadable"),
        ("line 8", "time_unreadable"),
        ("line 9", "identity_unreadable"),
        ("line 10", "subscription_unreadable"),
        ("line 11", "line_unreadable"),
    ]
    assert "s3cret" not in rimlock_on_sqlite.said
    missing = rimlock_on_sqlite("import", "jsonl", "nowhere.jsonl")
    assert missing.err == "rimlock: there is no file 'nowhere.jsonl'\n"


PROGRAM = """
import asyncio, sys
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.password import PasswordHelper
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

class Base(DeclarativeBase): pass
class User(SQLAlchemyBaseUserTableUUID, Base): pass

async def main():
    engine = create_async_engine(sys.argv[1])
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        made = await SQLAlchemyUserDatabase(session, User).create(
            {"email": "ann@example.com", "hashed_password": PasswordHelper().hash(sys.argv[2]), "is_verified": True})
        print(made.id)
asyncio.run(main())
"""


def test_a_table_that_the_real_fastapi_users_made_is_read(rimlock_on_sqlite, tmp_path):
    """Its own models and its own hasher wrote the row; the id is the one its tokens name."""
    place = tmp_path / "theirs.db"
    command = [python_of_theirs(), "-c", PROGRAM, f"sqlite+aiosqlite:///{place}", PASSWORD]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": ""})
    report = rimlock_on_sqlite("import", "fastapi-users", f"sqlite:///{place}", "--keep-ids", "--apply", "--json").json
    assert (report["new"], report["hashes"]) == (1, {"argon2": 1})
    assert rows(rimlock_on_sqlite.url, "SELECT id FROM auth_user") == [(done.stdout.strip(),)]
    with client_on(rimlock_on_sqlite.url) as client:
        assert sign_in(client, "ann@example.com").status_code == 200


def test_identities_are_kept_under_the_issuers_that_social_sign_in_asks_for():
    """Otherwise nobody would be found by the login they came with."""
    assert {name: PRESETS[name].issuer for name in ISSUERS} == ISSUERS
    assert set(PRESETS) - set(ISSUERS) == {"microsoft"}


def test_a_hash_is_what_was_stored_there(rimlock_on_sqlite, tmp_path):
    """The string is taken over as it is, and replaced by one of ours at the first sign-in."""
    stored = argon2()
    place = file_of(tmp_path, {"id": 1, "email": "ann@example.com", "password_hash": stored})
    rimlock_on_sqlite("import", "jsonl", place, "--apply")
    assert rows(rimlock_on_sqlite.url, "SELECT password_hash FROM auth_account") == [(stored,)]
    with client_on(rimlock_on_sqlite.url) as client:
        assert sign_in(client, "ann@example.com").status_code == 200
    assert rows(rimlock_on_sqlite.url, "SELECT password_hash FROM auth_account")[0][0].startswith("nfc1$argon2id$")


def test_a_profile_the_application_refuses_is_left_out(rimlock_on_sqlite, tmp_path):
    """With --app the fields are those that the application defines; the person is taken over without them."""
    (tmp_path / "fitted_with_fields.py").write_text(
        "from fastapi import FastAPI\nfrom pydantic import BaseModel\n"
        "from rimlock import Rimlock\nfrom rimlock.features.profile import ProfileFeature\n"
        "class Fields(BaseModel):\n    bio: str = ''\n"
        "app = FastAPI()\n"
        "Rimlock.from_env(also=[ProfileFeature(fields=Fields)]).install(app)\n"
    )
    ann, bob = ({"id": number, "email": f"u{number}@example.com"} for number in (1, 2))
    place = file_of(tmp_path, ann | {"profile": {"bio": "hello"}}, bob | {"profile": {"shoe": 44}})
    done = rimlock_on_sqlite("import", "jsonl", place, "--app", "fitted_with_fields:app", "--apply", "--json").json
    assert (done["new"], done["notes"]) == (2, [{"row": "2", "note": "profile_left_out"}])
    found = rows(rimlock_on_sqlite.url, "SELECT email, profile FROM auth_user ORDER BY email")
    assert found == [("u1@example.com", '{"bio": "hello"}'), ("u2@example.com", "{}")]


def test_a_table_of_the_application_is_used_in_place_and_not_filled(rimlock_on_sqlite, tmp_path):
    """Where the users are mapped there is nothing to import into, and nothing to take back."""
    (tmp_path / "fitted_on_members.py").write_text(
        "from fastapi import FastAPI\nfrom sqlalchemy import Column, Integer, MetaData, String, Table\n"
        "from rimlock import MappedUsers, Rimlock\n"
        "members = Table('members', MetaData(), Column('id', Integer, primary_key=True), Column('email', String),\n"
        "    Column('hashed_password', String(200)))\n"
        "app = FastAPI()\n"
        "Rimlock.from_env(users=MappedUsers(members)).install(app)\n"
    )
    write(
        rimlock_on_sqlite.url, "CREATE TABLE members (id INTEGER PRIMARY KEY, email TEXT UNIQUE, hashed_password TEXT)"
    )
    place = file_of(tmp_path, {"id": 1, "email": "ann@example.com"})
    failed = rimlock_on_sqlite("import", "jsonl", place, "--app", "fitted_on_members:app", "--apply")
    assert (failed.code, failed.out) == (1, "")
    assert "keeps its users in a table of the application, which is used in place" in failed.err
    assert rows(rimlock_on_sqlite.url, "SELECT count(*) FROM members") == [(0,)]
