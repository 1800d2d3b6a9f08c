"""The whole life of a user in a host's own table, over HTTP, on every kind of table."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from mapped_users.hosts import (
    ALL,
    BETTER,
    GOOD,
    argon2,
    bcrypted,
    bearer,
    fastapi_users,
    fitted,
    made,
    pbkdf2,
    row_of,
    signed_in,
    visiting,
)
from migrations.neighbourhood import on
from rimlock import CurrentPrincipal
from rimlock.core import accounts
from rimlock.core.schema import account
from rimlock.testing import count_statements

pytestmark = [pytest.mark.req("N1", "N2"), pytest.mark.anyio]
each_host = pytest.mark.parametrize("make", ALL, ids=lambda make: make.__name__)


async def accounts_of(url):
    """How many accounts we keep."""
    return len(await on(url, lambda connection: connection.execute(select(account.c.user_id)).all()))


@each_host
@pytest.mark.parametrize("form", [argon2, bcrypted, pbkdf2], ids=lambda form: form.__name__)
async def test_somebody_the_host_knew_signs_in_with_the_password_they_have(sqlite_url, make, form):
    """The first sign-in makes the account beside the table; `/auth/me` shows the host's id, the row stays."""
    host = make()
    await made(sqlite_url, host, [host.row(3, hashed_password=form(GOOD))])
    before = await row_of(sqlite_url, host, host.key(3))
    app, auth, _ = fitted(sqlite_url, host)
    async with visiting(app, auth) as client:
        assert (await signed_in(client, "user3@example.com", BETTER)).status_code == 401
        assert await accounts_of(sqlite_url) == 0
        answer = await signed_in(client, "USER3@example.com")
        assert answer.status_code == 200
        me = await client.get("/auth/me", headers=bearer(answer))
        assert me.json()["id"] == host.text(host.key(3))
        assert me.json()["email"] == "user3@example.com"
        assert (await signed_in(client, "user3@example.com")).status_code == 200
    assert await accounts_of(sqlite_url) == 1
    assert await row_of(sqlite_url, host, host.key(3)) == before


@each_host
async def test_a_whole_life(database_url, make):
    """Register, refresh, change the password, be given a role, be found, be disabled, and be deleted."""
    host = make()
    await made(database_url, host, [host.row(n) for n in range(5)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        made_one = await client.post("/auth/register", json={"email": "Ann@Example.com", "password": GOOD})
        assert made_one.status_code == 201, made_one.text
        ann = made_one.json()["id"]
        again = await client.post("/auth/register", json={"email": "ANN@example.com", "password": GOOD})
        assert again.json()["code"] == "registration_conflict"

        first = await signed_in(client, "ann@example.com")
        assert (await client.get("/auth/me", headers=bearer(first))).json()["id"] == ann
        refreshed = await client.post(
            "/auth/token", data={"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
        )
        assert refreshed.status_code == 200, refreshed.text
        changed = await client.post(
            "/auth/password", json={"current_password": GOOD, "new_password": BETTER}, headers=bearer(refreshed)
        )
        assert changed.status_code == 200, changed.text
        assert (await signed_in(client, "ann@example.com", GOOD)).status_code == 401
        assert (await signed_in(client, "ann@example.com", BETTER)).status_code == 200

        boss = await administrator(client, auth, "user0@example.com")
        roles = await client.put(f"/auth/admin/users/{ann}/roles", json={"roles": ["editor"]}, headers=boss)
        assert roles.json()["roles"] == ["editor"]
        found = await client.get("/auth/admin/users", params={"search": "ANN@"}, headers=boss)
        assert [one["id"] for one in found.json()["items"]] == [ann]
        everybody, after = [], None
        while True:
            query = {"limit": 2, **({"after": after} if after else {})}
            page = (await client.get("/auth/admin/users", params=query, headers=boss)).json()
            everybody += [one["email"] for one in page["items"]]
            if (after := page["next"]) is None:
                break
        assert sorted(everybody) == sorted([*(f"user{n}@example.com" for n in range(5)), "Ann@example.com"])
        admins = await client.get("/auth/admin/users", params={"role": "admin"}, headers=boss)
        assert [one["email"] for one in admins.json()["items"]] == ["user0@example.com"]

        assert (await client.post(f"/auth/admin/users/{ann}/disable", headers=boss)).json()["active"] is False
        assert (await signed_in(client, "ann@example.com", BETTER)).status_code == 401
        assert (await client.post(f"/auth/admin/users/{ann}/enable", headers=boss)).json()["active"] is True
        last = await signed_in(client, "ann@example.com", BETTER)
        assert (await client.delete("/auth/me", headers=bearer(last))).status_code == 204
        assert (await signed_in(client, "ann@example.com", BETTER)).status_code == 401
        assert (await client.get(f"/auth/users/{ann}", headers=boss)).status_code == 404


async def administrator(client, auth, login):
    """Make somebody an administrator, and return the header of a sign-in of theirs."""
    now = auth.context.now()

    def promote(tx):
        accounts.set_roles(tx, auth.context.users.find(tx, login).id, ["admin"], now=now)

    await auth.database.write(promote)
    answer = await signed_in(client, login)
    assert answer.status_code == 200, answer.text
    return bearer(answer)


@each_host
async def test_a_request_asks_the_database_for_nobody(database_url, make):
    """A signed-in request to the host's own route costs no query, whosever table it is."""
    host = make()
    await made(database_url, host, [host.row(1)])
    app, auth, _ = fitted(database_url, host, usage=False)

    @app.get("/whoami")
    async def whoami(principal: CurrentPrincipal) -> str:
        return principal.user_id

    async with visiting(app, auth) as client:
        headers = bearer(await signed_in(client, "user1@example.com"))
        await client.get("/whoami", headers=headers)
        with count_statements(auth) as counted:
            for _ in range(20):
                assert (await client.get("/whoami", headers=headers)).json() == host.text(host.key(1))
    assert counted.count == 0


@pytest.mark.parametrize(
    "wrong", ["x", "07", "+7", "7.0", "-1", str(2**31), str(2**70), "٧", "a" * 60, "%00", "' OR 1"]
)
@each_host
async def test_what_is_no_id_is_nobody(database_url, make, wrong):
    """A text that is no key of the table is not found; the database is not asked, and no error of its comes out."""
    host = make()
    await made(database_url, host, [host.row(n) for n in range(10)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        headers = bearer(await signed_in(client, "user1@example.com"))
        assert (await client.get(f"/auth/users/{wrong}", headers=headers)).status_code in {404, 422}
        assert await auth.database.read(lambda tx: auth.context.users.get(tx, wrong)) is None
        assert await auth.database.write(lambda tx: auth.context.users.delete(tx, wrong)) is False
    shown = host.text(host.key(1)).upper()
    if shown != host.text(host.key(1)):
        assert auth.context.users.columns.key.value(shown) is None or make.__name__ == "strings"


async def test_what_a_sign_in_and_a_refresh_ask_is_bounded(sqlite_url):
    """The host's row is read with the account, and no more often than it has to be."""
    host = fastapi_users()
    await made(sqlite_url, host, [host.row(1)])
    app, auth, _ = fitted(sqlite_url, host, usage=False)
    async with visiting(app, auth) as client:
        for _ in range(2):
            answer = await signed_in(client, "user1@example.com")
        with count_statements(auth) as counted:
            answer = await signed_in(client, "user1@example.com")
        assert counted.count <= 13
        form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
        with count_statements(auth) as counted:
            assert (await client.post("/auth/token", data=form)).status_code == 200
        assert counted.count == 5


async def test_a_first_sign_in_by_many_at_once_makes_one_account(database_url):
    """Twenty simultaneous sign-ins of somebody who has no account yet: all come in, and there is one account."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        answers = await asyncio.gather(*(signed_in(client, "user1@example.com") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
    assert await accounts_of(database_url) == 1
