"""What `rimlock.testing` gives to an application's own tests."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from access.host import fitted
from rimlock import CurrentPrincipal, Deny, Rule, Stage
from rimlock.core import accounts
from rimlock.core.errors import AccountDisabled, InvalidLogin
from rimlock.core.sessions import Device, SessionStarted
from rimlock.core.users import NewUser
from rimlock.testing import FrozenClock, count_statements, sign_in, sign_in_async


def app_with_one_route():
    app = FastAPI()

    @app.get("/who")
    def who(principal: CurrentPrincipal):
        return [principal.subject, sorted(principal.roles)]

    return app


def test_a_user_signs_in_through_a_running_client(database_url):
    """With the roles that were asked for, and headers that the routes accept."""
    app = app_with_one_route()
    auth = fitted(app, database_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client, roles=["editor", "analyst"])
        assert client.get("/who", headers=ann.headers).json() == [ann.user.id, ["analyst", "editor"]]


def test_a_user_signs_in_without_a_running_client(database_url):
    """A host whose tests run no lifespan needs nothing more; installed first, as the gate is started with the rest."""
    app = app_with_one_route()
    auth = fitted(app, database_url)
    ann = sign_in(auth)
    assert TestClient(app).get("/who", headers=ann.headers).json() == [ann.user.id, []]
    with TestClient(app):
        """Run the lifespan once, so that everything is given back."""


@pytest.mark.anyio
async def test_a_user_signs_in_from_an_asynchronous_test(sqlite_url):
    """On the loop of the test."""
    app = app_with_one_route()
    auth = fitted(app, sqlite_url)
    ann = await sign_in_async(auth, roles=["editor"])
    principal = auth.context.entrance.session_of(ann.access_token.encode())
    await auth.stop()
    assert principal == ann.session_id


def test_the_same_email_is_the_same_user_and_another_session(sqlite_url):
    """Roles stay unless given; given, they replace those there are, and older tokens stop counting."""
    app = app_with_one_route()
    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:
        first = sign_in(auth, client, roles=["editor"])
        again = sign_in(auth, client)
        assert (again.user.id, again.session_id == first.session_id) == (first.user.id, False)
        assert client.get("/who", headers=first.headers).json()[1] == ["editor"]
        third = sign_in(auth, client, roles=[])
        assert [client.get("/who", headers=one.headers).status_code for one in (first, again, third)] == [401, 401, 200]
        other = sign_in(auth, client, email="bea@example.com")
        assert other.user.id != first.user.id


def test_a_sign_in_of_tests_is_no_laxer_than_a_real_one(sqlite_url):
    """A policy that denies, a disabled account: the same errors; and the events are told."""
    told = []

    def deny(_tx, login):
        return Deny(AccountDisabled()) if "banned" in login.account.roles else None

    app = app_with_one_route()
    auth = fitted(app, sqlite_url, policies=[deny])
    auth.on(SessionStarted, told.append)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        assert [one.session_id for one in told] == [ann.session_id]
        with pytest.raises(AccountDisabled):
            sign_in(auth, client, roles=["banned"], email="bea@example.com")
        client.portal.call(
            auth.database.write, lambda tx: accounts.set_active(tx, ann.user.id, active=False, now=auth.context.now())
        )
        with pytest.raises(InvalidLogin):
            sign_in(auth, client)
    assert len(told) == 1


def test_a_device_may_be_named(sqlite_url):
    """A browser keeps its refresh token in the cookie, so there is none in the answer; nothing secret is shown."""
    app = app_with_one_route()
    auth = fitted(app, sqlite_url)
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        assert ann.refresh_token
        assert sign_in(auth, client, device=Device(transport="cookie")).refresh_token is None
    assert ann.access_token not in repr(ann)
    assert ann.refresh_token not in repr(ann)


def test_statements_are_counted_inside_the_block_and_no_further(sqlite_url):
    """Two reads of two statements are four; what comes after does not change the number."""
    app = FastAPI()
    auth = fitted(app, sqlite_url)
    users = auth.context.users
    look = lambda tx: (users.find(tx, "ann@example.com"), users.get(tx, "1"))
    with TestClient(app) as client:
        with count_statements(auth) as none:
            client.get("/nothing")
        with count_statements(auth) as statements:
            client.portal.call(auth.database.read, look)
            client.portal.call(auth.database.read, look)
        assert (none.count, statements.count) == (0, 4)
        client.portal.call(auth.database.write, lambda tx: users.create(tx, NewUser(email="ann@example.com"), 1))
        assert statements.count == 4


def test_a_clock_stands_still_until_it_is_moved(sqlite_url):
    """Passed to Rimlock, it decides when a token is over: no test has to wait."""
    app, clock = app_with_one_route(), FrozenClock()
    auth = fitted(app, sqlite_url, clock=clock, rules=[Rule(pattern="/**", stage=Stage.REQUIRED)])
    with TestClient(app) as client:
        ann = sign_in(auth, client)
        clock.advance(timedelta(minutes=15))
        assert client.get("/who", headers=ann.headers).status_code == 200
        clock.advance(6)
        assert client.get("/who", headers=ann.headers).status_code == 401
