"""What the host says of its users counts: at every sign-in, and at once where we are told."""

from __future__ import annotations

import asyncio

import bcrypt
import pytest
from argon2 import PasswordHasher as PlainArgon2
from fastapi.testclient import TestClient
from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, delete, insert, update

from mapped_users.hosts import (
    BETTER,
    BORN,
    GOOD,
    argon2,
    bcrypted,
    bearer,
    blobs,
    fastapi_users,
    fitted,
    launch,
    made,
    row_of,
    signed_in,
    strings,
    template,
    visiting,
)
from migrations.neighbourhood import on
from rimlock import ConfigurationError
from rimlock.core import accounts
from rimlock.core.mapped_standing import StandingTakenOver
from rimlock.core.registering import UserDeleted
from rimlock.crypto.passwords import PasswordMismatch
from rimlock.retrofit.ownership.system_user import ensure_system

pytestmark = [pytest.mark.req("N1", "N2", "L2"), pytest.mark.anyio]
WITH_FLAGS = pytest.mark.parametrize("make", [fastapi_users, template], ids=lambda make: make.__name__)


async def set_host(url, host, number, **values):
    """Change a row as the application itself does it."""
    await on(
        url,
        lambda connection: connection.execute(update(host.table).where(host.table.c.id == host.key(number)), values),
    )


async def renewed(client, answer):
    """Refresh, and return the answer."""
    form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
    return await client.post("/auth/token", data=form)


@WITH_FLAGS
async def test_whom_the_host_disabled_comes_in_no_more(database_url, make):
    """The flag counts at the next sign-in, and a session that was open then ends; set back, the user comes in again."""
    host = make()
    await made(database_url, host, [host.row(1)])
    app, auth, events = fitted(database_url, host)
    async with visiting(app, auth) as client:
        before = await signed_in(client, "user1@example.com")
        await set_host(database_url, host, 1, is_active=False)
        assert (await signed_in(client, "user1@example.com")).status_code == 401
        await auth.user_changed(host.key(1))
        assert (await client.get("/auth/me", headers=bearer(before))).status_code == 401
        assert (await renewed(client, before)).status_code == 400
        await set_host(database_url, host, 1, is_active=True)
        assert (await signed_in(client, "user1@example.com")).status_code == 200
    told = [event.what for event in events if type(event) is StandingTakenOver]
    assert told == [("active",), ("active",)]


async def test_a_superuser_of_the_host_is_an_administrator_until_the_host_says_otherwise(database_url):
    """The role comes and goes with the column; the access token with the role dies as soon as we are told."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1, is_superuser=True), host.row(2)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        boss = bearer(await signed_in(client, "user1@example.com"))
        assert (await client.get("/auth/me", headers=boss)).json()["roles"] == ["admin"]
        assert (await client.get("/auth/admin/users", headers=boss)).status_code == 200
        user2 = host.text(host.key(2))
        given = await client.put(f"/auth/admin/users/{user2}/roles", json={"roles": ["admin", "x"]}, headers=boss)
        assert given.json()["roles"] == ["admin", "x"]
        assert (await row_of(database_url, host, host.key(2)))["is_superuser"] is True
        await set_host(database_url, host, 1, is_superuser=False)
        await auth.user_changed(host.text(host.key(1)))
        assert (await client.get("/auth/admin/users", headers=boss)).status_code == 401
        again = bearer(await signed_in(client, "user1@example.com"))
        assert (await client.get("/auth/admin/users", headers=again)).status_code == 403


async def test_the_last_superuser_of_the_host_stays_one(database_url):
    """Another counts although nobody knows them here yet; without another the change is refused."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1, is_superuser=True), host.row(2, is_superuser=True)])
    _, auth, _ = fitted(database_url, host)
    await auth.start()
    users, now = auth.context.users, auth.context.now()

    def demote(number):
        return lambda tx: accounts.set_roles(tx, host.text(host.key(number)), [], now=now)

    assert await auth.database.read(lambda tx: accounts.anyone_with(tx, "admin"))
    await auth.database.write(demote(1))
    with pytest.raises(accounts.LastAdmin):
        await auth.database.write(demote(2))
    await auth.stop()
    assert (await row_of(database_url, host, host.key(1)))["is_superuser"] is False
    assert (await row_of(database_url, host, host.key(2)))["is_superuser"] is True
    assert users.write_back


@WITH_FLAGS
async def test_a_new_password_is_the_hosts_as_well(database_url, make):
    """It stands in the host's column, in a form its own login reads; what the host sets next counts here, at once."""
    host = make()
    await made(database_url, host, [host.row(1, hashed_password=bcrypted(GOOD))])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        answer = await signed_in(client, "user1@example.com")
        old = (await row_of(database_url, host, host.key(1)))["hashed_password"]
        assert old.startswith("$2b$")
        form = {"current_password": GOOD, "new_password": BETTER}
        changed = await client.post("/auth/password", json=form, headers=bearer(answer))
        assert changed.status_code == 200
        new = (await row_of(database_url, host, host.key(1)))["hashed_password"]
        assert new.startswith("$argon2id$")
        assert PlainArgon2().verify(new, BETTER)
        assert (await signed_in(client, "user1@example.com", GOOD)).status_code == 401
        assert (await renewed(client, changed if "refresh_token" in changed.json() else answer)).status_code == 200
        await set_host(database_url, host, 1, hashed_password=argon2("what the host set"))
        latest = await signed_in(client, "user1@example.com", "what the host set")
        assert latest.status_code == 200
        assert (await signed_in(client, "user1@example.com", BETTER)).status_code == 401
        assert (await renewed(client, answer)).status_code == 400, "it rested on a password that the host replaced"


async def test_a_password_kept_beside_leaves_the_table_as_it_is(database_url):
    """With `write_back=False` no byte of the host's row changes, and the old password opens nothing here any more."""
    host = launch()
    await made(database_url, host, [host.row(1, hashed_password=bcrypted(GOOD))])
    before = await row_of(database_url, host, host.key(1))
    app, auth, _ = fitted(database_url, host, mapped={"write_back": False})
    async with visiting(app, auth) as client:
        answer = await signed_in(client, "USER_1")
        form = {"current_password": GOOD, "new_password": BETTER}
        assert (await client.post("/auth/password", json=form, headers=bearer(answer))).status_code == 200
        await set_host(database_url, host, 1, hashed_password=before["hashed_password"])
        assert (await signed_in(client, "user_1", GOOD)).status_code == 401
        assert (await signed_in(client, "user_1", BETTER)).status_code == 200
    assert await row_of(database_url, host, host.key(1)) == before


async def test_a_better_hash_stands_beside_the_hosts_and_falls_with_it(sqlite_url):
    """After a sign-in the same password is judged by our form; once the host sets another, ours is nothing."""
    host = fastapi_users()
    await made(sqlite_url, host, [host.row(1, hashed_password=bcrypted(GOOD))])
    app, auth, _ = fitted(sqlite_url, host)
    key = host.text(host.key(1))

    def stored(tx):
        return accounts.standing(tx, key).password_hash

    async with visiting(app, auth) as client:
        assert (await auth.database.read(stored)).startswith("$2b$")
        assert (await signed_in(client, "user1@example.com")).status_code == 200
        assert (await auth.database.read(stored)).startswith("nfc1$argon2id$")
        await set_host(sqlite_url, host, 1, hashed_password=bcrypted(BETTER))
        assert (await auth.database.read(stored)).startswith("$2b$")
        assert (await signed_in(client, "user1@example.com")).status_code == 401
        assert (await signed_in(client, "user1@example.com", BETTER)).status_code == 200


async def test_a_temporary_password_is_none_of_the_hosts(database_url):
    """The host's own login takes neither the temporary password nor the old one; the chosen one it takes."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1, is_superuser=True), host.row(2)])
    app, auth, _ = fitted(database_url, host)
    hasher = auth.context.passwords.hasher
    async with visiting(app, auth) as client:
        boss = bearer(await signed_in(client, "user1@example.com"))
        path = f"/auth/admin/users/{host.text(host.key(2))}/temporary-password"
        temporary = (await client.post(path, headers=boss)).json()["temporary_password"]
        kept = (await row_of(database_url, host, host.key(2)))["hashed_password"]
        for password in (temporary, GOOD):
            with pytest.raises(PasswordMismatch):
                hasher.verify(kept, password)
        assert (await signed_in(client, "user2@example.com")).status_code == 401
        await set_host(database_url, host, 2, hashed_password=bcrypted("what the host set"))
        assert (await signed_in(client, "user2@example.com", temporary)).status_code == 401
        assert (await signed_in(client, "user2@example.com", "what the host set")).status_code == 200
        temporary = (await client.post(path, headers=boss)).json()["temporary_password"]
        pending = await signed_in(client, "user2@example.com", temporary)
        assert pending.json()["code"] == "password_change_required"
        form = {"pending_token": pending.json()["pending_token"], "new_password": BETTER}
        assert (await client.post("/auth/password/forced", json=form)).status_code == 200
        assert hasher.verify((await row_of(database_url, host, host.key(2)))["hashed_password"], BETTER)


async def test_an_account_without_a_password_has_none_here(database_url):
    """A row that only a social login made opens to no password, nor to an empty one."""
    host = launch()
    await made(database_url, host, [host.row(1, hashed_password=None), host.row(2, hashed_password="")])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        for number in (1, 2):
            for password in (GOOD, "None"):
                assert (await signed_in(client, f"user{number}@example.com", password)).status_code == 401


@pytest.mark.attack("address in two spellings")
@pytest.mark.parametrize("letters", [("Ann@example.com", "ann@example.com"), ("ÉVA@example.com", "éva@example.com")])
async def test_of_two_that_only_case_tells_apart_neither_comes_in_by_it(database_url, letters):
    """Whoever of them it is, the address opens nothing, in any spelling; nobody can register a third."""
    host = fastapi_users()
    rows = [host.row(n, email=email, hashed_password=argon2(f"{GOOD} {n}")) for n, email in enumerate(letters)]
    await made(database_url, host, [*rows, host.row(7, email="Mixed@Example.COM")])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        for login in letters:
            for number in range(2):
                assert (await signed_in(client, login.swapcase(), f"{GOOD} {number}")).status_code == 401
        assert (await signed_in(client, "mixed@example.com")).status_code == 200
        for taken in ("mixed@example.com", letters[0].swapcase()):
            answer = await client.post("/auth/register", json={"email": taken, "password": GOOD})
            assert answer.json()["code"] == "registration_conflict"


@pytest.mark.parametrize("make", [strings, blobs], ids=lambda make: make.__name__)
async def test_whom_the_host_marks_as_deleted_is_nobody(database_url, make):
    """They cannot sign in and are in no list; our own deletion marks as well, and leaves the row."""
    host = make()
    gone = {"deleted_at": BORN} if make is strings else {"is_deleted": True}
    renamed = {host.table.c[name].name: name for name in host.table.c.keys()}  # noqa: SIM118 - a collection of columns
    await made(database_url, host, [host.row(1), host.row(2, **gone)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        assert (await signed_in(client, "user2@example.com")).status_code == 401
        listed = await auth.database.read(lambda tx: auth.context.users.page(tx, after=None, limit=10))
        assert [user.email for user in listed] == ["user1@example.com"]
        taken = await client.post("/auth/register", json={"email": "user2@example.com", "password": GOOD})
        assert taken.json()["code"] == "registration_conflict", "the host's own constraint decides"
        answer = await signed_in(client, "user1@example.com")
        assert (await client.delete("/auth/me", headers=bearer(answer))).status_code == 204
        left = await row_of(database_url, host, host.key(1))
        assert left is not None
        assert left[renamed[next(iter(gone))]] not in {None, False}
        assert (await signed_in(client, "user1@example.com")).status_code == 401


async def test_a_user_the_host_deleted_leaves_nothing_that_opens(database_url):
    """Told of it, sessions, tokens and the account end; nothing is left to inherit."""
    host = launch()
    await made(database_url, host, [host.row(1)])
    app, auth, events = fitted(database_url, host)
    async with visiting(app, auth) as client:
        answer = await signed_in(client, "user1@example.com")
        await on(database_url, lambda connection: connection.execute(delete(host.table)))
        await auth.user_changed(host.key(1))
        assert (await client.get("/auth/me", headers=bearer(answer))).status_code == 401
        assert (await renewed(client, answer)).status_code == 400
        assert [event.by for event in events if type(event) is UserDeleted] == ["application"]


@pytest.mark.attack("inherited account")
async def test_a_key_that_is_used_again_inherits_nothing(sqlite_url):
    """A database gives the number of a deleted user to the next one: no session, password or role goes with it."""
    host = launch()
    await made(sqlite_url, host, [host.row(0)])
    app, auth, _ = fitted(sqlite_url, host)
    async with visiting(app, auth) as client:
        old = await signed_in(client, "user0@example.com")
        key = host.text(host.key(0))
        await auth.database.write(lambda tx: accounts.set_roles(tx, key, ["editor"], now=auth.context.now()))
        old = await signed_in(client, "user0@example.com")
        await on(sqlite_url, lambda connection: connection.execute(delete(host.table)))
        new = await client.post("/auth/register", json={"email": "eve@example.com", "password": BETTER})
        assert new.json()["id"] == key
        assert (await renewed(client, old)).status_code == 400
        assert (await client.get("/auth/me", headers=bearer(old))).status_code == 401
        assert (await signed_in(client, "eve@example.com", GOOD)).status_code == 401
        eve = bearer(await signed_in(client, "eve@example.com", BETTER))
        me = await client.get("/auth/me", headers=eve)
        assert (me.json()["email"], me.json()["roles"]) == ("eve@example.com", [])


async def test_a_row_the_host_put_under_an_old_key_has_a_standing_of_its_own(sqlite_url):
    """The hash is another one than we saw: what rested on the old one ends when its owner signs in."""
    host = launch()
    await made(sqlite_url, host, [host.row(1)])
    app, auth, _ = fitted(sqlite_url, host)
    async with visiting(app, auth) as client:
        old = await signed_in(client, "user1@example.com")
        await on(sqlite_url, lambda connection: connection.execute(delete(host.table)))
        eve = host.row(1, email="eve@example.com", username="eve", hashed_password=argon2(BETTER))
        await on(sqlite_url, lambda connection: connection.execute(insert(host.table), eve))
        assert (await signed_in(client, "eve@example.com", GOOD)).status_code == 401
        assert (await signed_in(client, "eve@example.com", BETTER)).status_code == 200
        assert (await renewed(client, old)).status_code == 400


async def test_rows_that_refer_to_a_user_keep_them(database_url):
    """A reference without a cascade refuses the deletion as 409, and nothing of it is done."""
    host = launch()
    metadata = MetaData()
    host.table = Table(
        "users",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("username", String),
        Column("email", String, unique=True),
        Column("hashed_password", String),
    )
    host.beside = Table(
        "posts", metadata, Column("id", Integer, primary_key=True), Column("by", ForeignKey("users.id"))
    )
    host.more = {}
    await made(database_url, host, [host.row(1)])
    await on(database_url, lambda connection: connection.execute(insert(host.beside), {"id": 1, "by": host.key(1)}))
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        headers = bearer(await signed_in(client, "user1@example.com"))
        refused = await client.delete("/auth/me", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (409, "user_in_use")
        assert (await client.get("/auth/me", headers=headers)).status_code == 200


async def test_what_the_host_has_no_column_for_cannot_be_set(sqlite_url):
    """A username is refused where there is none; a name goes into the column it was mapped to."""
    host = template()
    await made(sqlite_url, host, [])
    app, auth, _ = fitted(sqlite_url, host)
    async with visiting(app, auth) as client:
        form = {"email": "ann@example.com", "password": GOOD, "username": "ann"}
        assert (await client.post("/auth/register", json=form)).json()["errors"][0]["code"] == "field_not_editable"
        del form["username"]
        made_one = await client.post("/auth/register", json={**form, "display_name": "Ann Lee"})
        assert made_one.json()["display_name"] == "Ann Lee"
        headers = bearer(await signed_in(client, "ann@example.com"))
        changed = await client.patch("/auth/me", json={"display_name": "Ann L."}, headers=headers)
        assert changed.json()["display_name"] == "Ann L."
        refused = await client.patch("/auth/me", json={"avatar_url": "https://a.example/x.png"}, headers=headers)
        assert refused.json()["errors"][0]["code"] == "field_not_editable"
        long = await client.patch("/auth/me", json={"display_name": "x" * 200}, headers=headers)
        assert long.status_code == 200


async def test_what_only_the_host_knows_how_to_fill_is_given(database_url):
    """`defaults` fills a column at registration, by a value or a function of the new user."""
    host = launch()
    metadata = MetaData()
    host.table = Table(
        "users",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("email", String, unique=True),
        Column("password_hash", String(255), nullable=False),
        Column("tenant", Integer, nullable=False),
        Column("slug", String(80), nullable=False),
    )
    host.beside, host.mapped = Table("posts", metadata, Column("id", Integer, primary_key=True)), {}
    with pytest.raises(ConfigurationError, match="hashed_password"):
        host.users()
    with pytest.raises(ConfigurationError, match="tenant, slug"):
        host.users(password="password_hash")
    host.mapped = {
        "password": "password_hash",
        "defaults": {"tenant": 7, "slug": lambda new: new.email.partition("@")[0]},
    }
    await made(database_url, host, [])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        made_one = await client.post("/auth/register", json={"email": "ann@example.com", "password": GOOD})
        assert made_one.status_code == 201, made_one.text
        assert (await signed_in(client, "ann@example.com")).status_code == 200
        row = await row_of(database_url, host, int(made_one.json()["id"]))
    assert (row["tenant"], row["slug"]) == (7, "ann")


async def test_an_address_we_would_not_register_signs_in(database_url):
    """Hosts hold addresses that are none to us; who has one comes in, changes the password, and stays who they are."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1, email="Admin@localhost"), host.row(2, email="bob@corp.local")])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        for login in ("admin@localhost", "BOB@corp.local"):
            answer = await signed_in(client, login)
            assert answer.status_code == 200
            form = {"current_password": GOOD, "new_password": BETTER}
            changed = await client.post("/auth/password", json=form, headers=bearer(answer))
            assert changed.status_code == 200, changed.text


async def test_two_registrations_at_once_that_only_case_tells_apart_make_one(database_url):
    """The host has no index over the folded address: our own registrations wait for each other."""
    host = fastapi_users()
    await made(database_url, host, [])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        spellings = ["ann@example.com", "Ann@example.com", "ANN@example.com", "aNN@example.com"]
        answers = await asyncio.gather(
            *(client.post("/auth/register", json={"email": one, "password": GOOD}) for one in spellings)
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 3


async def test_a_table_that_is_not_in_our_database_is_named(sqlite_url):
    """The application does not come up, and the sentence says which table is missed where."""
    app, _, _ = fitted(sqlite_url, fastapi_users())
    with pytest.raises(ConfigurationError, match=r"'user'.*DATABASE_URL"), TestClient(app):
        pass


@pytest.mark.attack("revocation")
@pytest.mark.parametrize("how", ["disabled", "deleted", "password", "demoted"])
async def test_a_refresh_asks_the_host_although_nobody_told_us(database_url, how):
    """Whoever the host shut out, or gave another password, is out with the next refresh; a lost role is lost by it."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1, is_superuser=True), host.row(2, is_superuser=True)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        answer = await signed_in(client, "user1@example.com")
        answer = await renewed(client, answer)
        assert (await client.get("/auth/me", headers=bearer(answer))).json()["roles"] == ["admin"]
        values = {"disabled": {"is_active": False}, "demoted": {"is_superuser": False}}
        if how == "deleted":
            gone = delete(host.table).where(host.table.c.id == host.key(1))
            await on(database_url, lambda connection: connection.execute(gone))
        else:
            await set_host(database_url, host, 1, **values.get(how, {"hashed_password": argon2(BETTER)}))
        after = await renewed(client, answer)
        if how == "demoted":
            assert (await client.get("/auth/me", headers=bearer(after))).json()["roles"] == []
            assert (await client.get("/auth/me", headers=bearer(answer))).status_code == 401
        else:
            assert after.status_code == 400
            assert (await renewed(client, answer)).status_code == 400


@pytest.mark.parametrize("make", [fastapi_users, launch], ids=lambda make: make.__name__)
async def test_a_user_made_without_a_password_has_none(database_url, make):
    """Where the host wants a hash, a well-formed one stands that opens nothing; with us the account has no password."""
    host = make()
    await made(database_url, host, [])
    _, auth, _ = fitted(database_url, host)
    await auth.start()
    now = auth.context.now()
    system = await auth.database.write(lambda tx: ensure_system(tx, auth.context.users, "host", now))
    again = await auth.database.write(lambda tx: ensure_system(tx, auth.context.users, "host", now))
    held = await auth.database.read(lambda tx: accounts.standing(tx, system))
    await auth.stop()
    assert system == again
    assert held.password_hash is None
    assert not held.active
    kept = (await row_of(database_url, host, auth.context.users.columns.key.value(system)))["hashed_password"]
    if kept is not None:
        assert not bcrypt.checkpw(GOOD.encode(), kept.encode())
