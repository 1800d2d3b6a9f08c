"""People of five systems, taken over with the passwords they have, on both databases."""

from __future__ import annotations

import pytest

from importers.sources import (
    PASSWORD,
    argon2,
    bcrypted,
    better_auth,
    better_auth_key,
    client_on,
    django,
    fastapi_users,
    insert,
    person,
    rows,
    sign_in,
    uuid,
    write,
)

pytestmark = pytest.mark.req("N1", "N2")


def test_people_of_fastapi_users_sign_in_with_their_old_passwords(rimlock):
    """Argon2 and bcrypt hashes count; the flags hold; a login elsewhere is unproven; no token comes along."""
    url = rimlock.url
    fastapi_users(url)
    insert(
        url,
        "user",
        person(1, "Ann@example.com", hashed_password=argon2(), is_superuser=True),
        person(2, "bob@example.com", hashed_password=bcrypted(), is_verified=False),
        person(3, "cy@example.com", hashed_password=argon2(), is_active=False),
    )
    account = {"id": uuid(9), "user_id": uuid(2), "oauth_name": "google", "access_token": "ya29.provider-token"}
    insert(url, "oauth_account", account | {"account_id": "people/1101", "account_email": "bob@example.com"})
    insert(url, "accesstoken", {"token": "t" * 43, "user_id": uuid(1)})
    before = rows(url, 'SELECT * FROM "user" ORDER BY id')
    options = ("import", "fastapi-users", url, "--keep-ids", "--role", "superuser=admin", "--json")
    looked = rimlock(*options)
    assert (looked.code, looked.json["new"], rows(url, "SELECT count(*) FROM auth_user")) == (0, 3, [(0,)])
    done = rimlock(*options, "--apply").json
    assert (done["read"], done["new"], done["refused"]) == (3, 3, 0)
    assert done["hashes"] == {"argon2": 2, "bcrypt": 1}
    assert done["invalidate"] == [
        {"what": "accesstoken: access tokens in clear", "rows": 1},
        {"what": "oauth_account: tokens of providers in clear", "rows": 1},
    ]
    assert rows(url, "SELECT issuer, subject, user_id, verified FROM auth_identity") == [
        ("https://accounts.google.com", "1101", uuid(2), False)
    ]
    with client_on(url) as client:
        ann = sign_in(client, "ann@EXAMPLE.com")
        assert ann.status_code == 200
        me = client.get("/auth/me", headers={"Authorization": f"Bearer {ann.json()['access_token']}"}).json()
        assert (me["id"], me["roles"]) == (uuid(1), ["admin"])
        assert sign_in(client, "bob@example.com").status_code == 200
        assert sign_in(client, "bob@example.com", "another").status_code == 401
        assert sign_in(client, "cy@example.com").status_code != 200
    kept = dict(rows(url, "SELECT user_id, password_hash FROM auth_account"))
    assert kept[uuid(1)].startswith("nfc1$argon2id")
    assert dict(rows(url, "SELECT user_id, verified FROM auth_account")) == {
        uuid(1): True,
        uuid(2): False,
        uuid(3): True,
    }
    assert rows(url, 'SELECT * FROM "user" ORDER BY id') == before
    assert all(word not in rimlock.said for word in ("$2b$", "$argon2", "ya29", "t" * 43, "@example.com"))


def test_the_template_keeps_names_and_proves_no_address(rimlock):
    """The full name is shown, ids without dashes are UUIDs, and nobody is verified unless the operator says so."""
    url = rimlock.url
    key = "CHAR(32)" if url.startswith("sqlite") else "UUID"
    write(
        url,
        f'CREATE TABLE "user" (id {key} PRIMARY KEY, email VARCHAR(255) UNIQUE, is_active BOOLEAN, '
        "is_superuser BOOLEAN, full_name VARCHAR(255), hashed_password VARCHAR, created_at TIMESTAMP)",
    )
    row = {"id": uuid(1).replace("-", ""), "email": "ann@example.com", "is_active": True, "is_superuser": False}
    row |= {"full_name": "Ann Arbor", "hashed_password": argon2(), "created_at": "2024-05-01 10:00:00"}
    insert(
        url,
        "user",
        row,
        row | {"id": uuid(2).replace("-", ""), "email": "bob@example.com", "hashed_password": bcrypted()},
    )
    done = rimlock("import", "full-stack-template", url, "--keep-ids", "--apply", "--json")
    assert (done.code, done.json["new"]) == (0, 2)
    found = rows(
        url, "SELECT u.id, display_name, u.created_at, verified FROM auth_user u JOIN auth_account ON user_id = u.id"
    )
    assert min(found) == (uuid(1), "Ann Arbor", 1_714_557_600, False)
    with client_on(url) as client:
        assert sign_in(client, "ann@example.com").status_code == 200
        assert sign_in(client, "bob@example.com").status_code == 200
    assert (
        rimlock("import", "full-stack-template", url, "--as", "other", "--assume-verified", "--json").json["refused"]
        == 2
    )


@pytest.mark.req("F4")
def test_fastlaunch_brings_usernames_subscriptions_and_google(rimlock):
    """Every column of the subscription survives; a Google login is unproven; tokens in the table stay behind."""
    url = rimlock.url
    serial = "INTEGER PRIMARY KEY" if url.startswith("sqlite") else "SERIAL PRIMARY KEY"
    write(
        url,
        f"CREATE TABLE users (id {serial}, username VARCHAR UNIQUE, email VARCHAR UNIQUE, hashed_password VARCHAR, "
        "is_verified BOOLEAN, is_oauth BOOLEAN, google_sub VARCHAR(100) UNIQUE, verification_token VARCHAR, "
        "reset_token VARCHAR, customer_id VARCHAR(255), plan_id INTEGER, subscription_id VARCHAR(255), "
        "subscription_status VARCHAR(64), subscription_last_renew VARCHAR, subscription_next_renew VARCHAR)",
    )
    billing = {"customer_id": "cus_1", "plan_id": 7, "subscription_id": "sub_1", "subscription_status": "active"}
    billing |= {"subscription_last_renew": "2026-01-02T03:04:05+00:00", "subscription_next_renew": "soon"}
    flags = {"is_verified": True, "is_oauth": False}
    ann = {
        "id": 1,
        "username": "Ann",
        "email": "ann@example.com",
        "hashed_password": bcrypted(),
        "reset_token": "rst-1",
    }
    insert(url, "users", ann | flags | billing)
    insert(
        url,
        "users",
        {"id": 2, "username": "bob", "email": "bob@example.com", "google_sub": "1102"} | flags | {"is_oauth": True},
    )
    done = rimlock("import", "fastlaunch", url, "--keep-ids", "--apply", "--json").json
    assert (done["new"], done["refused"], done["noted"]) == (2, 0, {"renewal_unreadable": 1, "identity_unproven": 1})
    assert {"what": "users.reset_token: in clear", "rows": 1} in done["invalidate"]
    columns = "user_id, customer_id, plan_id, subscription_id, status, last_renewal, next_renewal"
    assert rows(url, f"SELECT {columns} FROM auth_subscription") == [
        ("1", "cus_1", "7", "sub_1", "active", 1_767_323_045, None)
    ]
    assert rows(url, "SELECT subject, user_id, verified FROM auth_identity") == [("1102", "2", False)]
    with client_on(url) as client:
        assert sign_in(client, "ANN").status_code == 200
        assert sign_in(client, "bob").status_code == 401
    assert "rst-1" not in rimlock.said


def better_auth_tables(url: str, issuer: str = "") -> None:
    """The tables of Better Auth with its admin, username, two-factor and API key plugins."""
    write(
        url,
        'CREATE TABLE "user" (id TEXT PRIMARY KEY, name TEXT, email TEXT UNIQUE, "emailVerified" BOOLEAN, image TEXT, '
        '"createdAt" TIMESTAMP, "updatedAt" TIMESTAMP, role TEXT, banned BOOLEAN, "banExpires" TIMESTAMP, '
        'username TEXT, "displayUsername" TEXT, "twoFactorEnabled" BOOLEAN)',
        f'CREATE TABLE account (id TEXT PRIMARY KEY, "accountId" TEXT, "providerId" TEXT, "userId" TEXT, '
        f'"accessToken" TEXT, password TEXT{issuer})',
        'CREATE TABLE session (id TEXT PRIMARY KEY, token TEXT UNIQUE, "userId" TEXT)',
        'CREATE TABLE apikey (id TEXT PRIMARY KEY, name TEXT, "key" TEXT, "referenceId" TEXT, enabled BOOLEAN, '
        'remaining INTEGER, "expiresAt" TIMESTAMP, permissions TEXT)',
    )


def better(name: str, **more) -> dict:
    row = {"id": name, "name": name.title(), "email": f"{name}@example.com", "emailVerified": True}
    return row | {"createdAt": "2025-01-01 00:00:00", "twoFactorEnabled": False} | more


@pytest.mark.req("L12")
def test_better_auth_brings_scrypt_hashes_api_keys_and_bans(rimlock):
    """Passwords in scrypt count, keys by digest go on, a ban holds, and a second factor is lost only when told so."""
    url = rimlock.url
    better_auth_tables(url)
    insert(url, "user", better("ann", username="ann", displayUsername="Ann", role="admin,user"))
    insert(url, "user", better("bob", banned=True), better("cy", twoFactorEnabled=True), better("dee"))
    for name in ("ann", "bob", "cy"):
        insert(
            url,
            "account",
            {"id": name, "accountId": name, "providerId": "credential", "userId": name, "password": better_auth()},
        )
    insert(
        url,
        "account",
        {"id": "g", "accountId": "gh-7", "providerId": "github", "userId": "dee", "accessToken": "gho_x"},
    )
    insert(url, "account", {"id": "h", "accountId": "x", "providerId": "corp", "userId": "dee"})
    insert(url, "session", {"id": "s", "token": "tok-in-clear", "userId": "ann"})
    key = "k" * 20 + "Zq81mX" * 7
    held = {"name": "ci", "referenceId": "ann", "enabled": True, "permissions": '{"files": ["read"]}'}
    insert(url, "apikey", held | {"id": "1", "key": better_auth_key(key)})
    insert(url, "apikey", held | {"id": "2", "key": better_auth_key("limited"), "remaining": 5})
    insert(url, "apikey", held | {"id": "3", "key": better_auth_key("off"), "enabled": False})
    done = rimlock("import", "better-auth", url, "--apply", "--json", "--role", "admin=admin")
    assert (done.code, done.json["new"]) == (1, 3)
    assert done.json["refusals"] == [{"row": "cy", "reason": "second_factor", "others": []}]
    assert done.json["noted"] == {"key_with_quota": 1, "key_disabled": 1, "provider_unknown": 1}
    assert done.json["belongings"] == {"identities": 1, "keys": 1}
    assert {"what": "session: in clear", "rows": 1} in done.json["invalidate"]
    assert rows(url, "SELECT issuer, subject, verified FROM auth_identity") == [("https://github.com", "gh-7", True)]
    with client_on(url) as client:
        assert sign_in(client, "ANN").status_code == 200
        assert sign_in(client, "bob@example.com").status_code != 200
        assert sign_in(client, "cy@example.com").status_code == 401
        assert client.get("/me", headers={"X-API-Key": key}).json()["username"] == "Ann"
        assert client.get("/me", headers={"X-API-Key": "limited"}).status_code == 401
    assert rows(url, "SELECT source, name FROM auth_api_key") == [("imported:better-auth", "ci")]
    again = rimlock("import", "better-auth", url, "--apply", "--json", "--without-second-factor").json
    assert (again["known"], again["new"], again["noted"]) == (3, 1, {"second_factor_left_out": 1})


def test_columns_and_tables_of_better_auth_are_looked_for(rimlock):
    """An `issuer` column is used where it is; renamed tables are named; what is missing is one sentence."""
    url = rimlock.url
    better_auth_tables(url, issuer=", issuer TEXT NOT NULL")
    insert(url, "user", better("ann"))
    row = {"id": "o", "accountId": "00u1", "providerId": "okta", "userId": "ann", "issuer": "https://example.okta.com"}
    insert(url, "account", row)
    rimlock("import", "better-auth", url, "--apply")
    assert rows(url, "SELECT issuer, subject FROM auth_identity") == [("https://example.okta.com", "00u1")]
    write(url, 'ALTER TABLE "user" RENAME TO members', 'ALTER TABLE members RENAME COLUMN "email" TO mail')
    for arguments, sentence in (
        ((), "the source has no table 'user' or 'users'; name the one it has with --table user=NAME"),
        (("--table", "user=nobody"), "the source has no table 'nobody'; look at --table user=nobody"),
        (
            ("--table", "user=members"),
            "the table 'members' of the source has no column 'email'; name the one it has with ",
        ),
        (("--table", "human=members"), "'human' is no part of this source; its parts are account, apikey, "),
        (("--table", "members"), "--table is written --table there=here, like user=members"),
    ):
        failed = rimlock("import", "better-auth", url, *arguments)
        assert (failed.code, failed.out) == (1, "")
        assert failed.err.startswith(f"rimlock: {sentence}")
    renamed = ("--table", "user=members", "--column", "user.email=mail", "--json")
    assert rimlock("import", "better-auth", url, *renamed).json["known"] == 1


def test_django_brings_every_hash_groups_and_allauth(rimlock, tmp_path):
    """Four hashers count; groups and flags give the roles that were mapped; an unusable password is none.

    Its table is called like ours, so ours are in a database of their own.
    """
    url, ours = rimlock.url, f"sqlite:///{tmp_path / 'ours.db'}"
    rimlock.url = ours
    write(
        url,
        "CREATE TABLE auth_user (id INTEGER PRIMARY KEY, password VARCHAR(128), is_superuser BOOLEAN, "
        "username VARCHAR(150), first_name VARCHAR(150), last_name VARCHAR(150), email VARCHAR(254), "
        "is_staff BOOLEAN, is_active BOOLEAN, date_joined TIMESTAMP)",
        "CREATE TABLE auth_group (id INTEGER PRIMARY KEY, name VARCHAR(150))",
        "CREATE TABLE auth_user_groups (id INTEGER PRIMARY KEY, user_id INTEGER, group_id INTEGER)",
        "CREATE TABLE account_emailaddress (id INTEGER PRIMARY KEY, user_id INTEGER, email VARCHAR, verified BOOLEAN)",
        "CREATE TABLE socialaccount_socialaccount (id INTEGER PRIMARY KEY, user_id INTEGER, provider VARCHAR, "
        "uid VARCHAR, extra_data TEXT)",
        "CREATE TABLE authtoken_token (key VARCHAR(40) PRIMARY KEY, user_id INTEGER)",
    )
    kinds = ("pbkdf2_sha256", "scrypt", "bcrypt_sha256", "argon2")
    for number, kind in enumerate(kinds, 1):
        insert(url, "auth_user", djangoer(number, f"{kind}@example.com", password=django(kind), username=kind))
    insert(url, "auth_user", djangoer(5, "eve@example.com", password="!unusable", username="eve+x", is_superuser=True))
    insert(url, "auth_user", djangoer(6, "", username="nomail"), djangoer(7, "fay@example.com", password="md5$a$b"))
    insert(url, "auth_group", {"id": 1, "name": "Editors"}, {"id": 2, "name": "superuser"})
    insert(url, "auth_user_groups", {"id": 1, "user_id": 1, "group_id": 1}, {"id": 2, "user_id": 2, "group_id": 2})
    insert(url, "account_emailaddress", {"id": 1, "user_id": 1, "email": "PBKDF2_sha256@example.com", "verified": True})
    facts = {"email": "eve@example.com", "email_verified": True}
    insert(
        url,
        "socialaccount_socialaccount",
        {"id": 1, "user_id": 5, "provider": "google", "uid": "110", "extra_data": facts},
    )
    insert(url, "authtoken_token", {"key": "a" * 40, "user_id": 1})
    options = ("--role", "superuser=admin", "--role", "group:Editors=editor", "--apply", "--json", "--keep-ids")
    done = rimlock("import", "django", url, *options).json
    assert (done["new"], done["why"]) == (6, {"email_missing": 1})
    assert done["roles_not_given"] == {"group:superuser": 1}
    assert done["hashes"] == {
        "django-pbkdf2": 1, "django-scrypt": 1, "django-bcrypt-sha256": 1, "argon2": 1, "none": 1, "unknown": 1,
    }  # fmt: skip
    assert done["noted"] == {"hash_unknown": 1, "username_left_out": 1}
    assert rows(ours, "SELECT subject, user_id, verified FROM auth_identity") == [("110", "5", True)]
    found = {user: (roles if isinstance(roles, str) else str(roles), verified) for user, roles, verified in rows(
        ours, "SELECT user_id, CAST(roles AS TEXT), verified FROM auth_account")}  # fmt: skip
    assert found["1"] == ('["editor"]', True)
    assert found["2"] == ("[]", False)
    assert found["5"] == ('["admin"]', False)
    with client_on(ours) as client:
        for kind in kinds:
            assert sign_in(client, kind).status_code == 200, kind
            assert sign_in(client, kind, PASSWORD + "?").status_code == 401
        assert sign_in(client, "eve@example.com", "!unusable").status_code == 401


def djangoer(number: int, email: str, **more) -> dict:
    row = {
        "id": number,
        "password": "",
        "is_superuser": False,
        "username": f"d{number}",
        "first_name": "",
        "last_name": "",
    }
    return row | {"email": email, "is_staff": False, "is_active": True, "date_joined": "2020-01-01 00:00:00"} | more
