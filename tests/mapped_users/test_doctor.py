"""What `rimlock doctor` says of a host's own table of users."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, text

from mapped_users.hosts import fastapi_users, fitted, launch, made, signed_in, visiting
from migrations.neighbourhood import on
from rimlock.retrofit.checks import examine

pytestmark = [pytest.mark.req("N1"), pytest.mark.anyio]


async def said(auth):
    """Return what it says of the table, each as its state and all its words."""
    found = await examine(auth, str)
    return [(one.state, f"{one.text} {one.why} {one.mend}") for one in found if one.name == "own users"]


async def test_the_index_that_is_missed_is_made_by_the_statement_it_names(database_url):
    """Without an index over the folded address there is a warning; the statement in it mends that."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1)])
    _, auth, _ = fitted(database_url, host)
    ((state, words),) = await said(auth)
    assert state == "warn"
    statement = words[words.index("CREATE UNIQUE INDEX") :]
    await on(database_url, lambda connection: connection.execute(text(statement)))
    _, auth, _ = fitted(database_url, host)
    ((state, _),) = await said(auth)
    assert state == "ok"


async def test_users_whom_only_case_tells_apart_are_counted(database_url):
    """Nobody of them can sign in, so the operator hears of it; which addresses they are is not told."""
    host = launch()
    rows = [host.row(1, email="Ann@example.com"), host.row(2, email="ann@example.com", username="USER_1")]
    await made(database_url, host, rows)
    _, auth, _ = fitted(database_url, host)
    found = await said(auth)
    assert [state for state, _ in found] == ["warn", "warn"]
    assert not any("example.com" in words for _, words in found)


async def test_accounts_of_users_who_are_gone_are_counted(database_url):
    """The application deleted one without telling us."""
    host = fastapi_users()
    await made(database_url, host, [host.row(1), host.row(2)])
    app, auth, _ = fitted(database_url, host)
    async with visiting(app, auth) as client:
        for n in (1, 2):
            assert (await signed_in(client, f"user{n}@example.com")).status_code == 200
    gone = delete(host.table).where(host.table.c.id == host.key(2))
    await on(database_url, lambda connection: connection.execute(gone))
    _, auth, _ = fitted(database_url, host)
    assert [words[:10] for _, words in await said(auth)][-1] == "1 accounts"
    await auth.start()
    await auth.user_changed(host.key(2))
    await auth.stop()
    _, auth, _ = fitted(database_url, host)
    assert not [words for _, words in await said(auth) if "accounts" in words]


async def test_a_table_that_is_not_there_is_named(database_url):
    """The finding fails, and says which table is missed."""
    _, auth, _ = fitted(database_url, fastapi_users())
    await auth.start()
    await auth.stop()
    ((state, words),) = await said(auth)
    assert state == "fail"
    assert "'user'" in words
