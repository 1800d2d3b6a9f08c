"""What a payment provider knows of a user: written by the host, by administrators, and seen by its owner."""

from __future__ import annotations

import asyncio

import pytest
from fastapi.testclient import TestClient

from features.password.office import ANN, GOOD, bearer, codes, installed, of_kind, visiting
from rimlock.core import accounts
from rimlock.core.errors import InvalidRequest, NotFound
from rimlock.core.registering import remove_user
from rimlock.features.password import PasswordFeature
from rimlock.features.profile import ProfileFeature
from rimlock.features.subscription import SubscriptionFeature, logic
from rimlock.features.subscription.errors import SubscriptionConflict
from rimlock.features.subscription.events import SubscriptionChanged

pytestmark = pytest.mark.req("F4")
BO = {"email": "bo@example.com", "username": "bo", "password": GOOD}
NOTHING = dict.fromkeys(("customer_id", "plan_id", "subscription_id", "status", "last_renewal", "next_renewal"))
PRO = {
    "customer_id": "cus_1",
    "plan_id": "pro",
    "subscription_id": "sub_1",
    "status": "active",
    "next_renewal": 2 * 10**9,
}


def fitted(url, **settings):
    """Return an application with accounts and subscriptions, its Rimlock and its events."""
    return installed(url, features=[PasswordFeature(), ProfileFeature(), SubscriptionFeature()], **settings)


def signed_in(client, who, auth=None, role=None):
    """Register somebody, with a role, and return (their id, headers with their token)."""
    user_id = client.post("/auth/register", json=who).json()["id"]
    if role:
        now = auth.context.now()
        client.portal.call(auth.database.write, lambda tx: accounts.set_roles(tx, user_id, [role], now=now))
    return user_id, bearer(client.post("/auth/login", json={"login": who["email"], "password": GOOD}))


async def registered(auth, who=ANN):
    """Return the id of a new user."""
    from rimlock.core.users import NewUser
    from rimlock.features.password.logic import create_user

    return (await create_user(auth.context, NewUser(email=who["email"], username=who["username"]), None)).user.id


def test_the_owner_sees_what_the_host_wrote(database_url):
    """Nothing at first, then what the payment provider says; nobody without a token sees anything."""
    app, auth, events = fitted(database_url)
    with TestClient(app) as client:
        user_id, headers = signed_in(client, ANN)
        _, others = signed_in(client, BO)
        assert client.get("/auth/subscription", headers=headers).json() == NOTHING
        client.portal.call(lambda: logic.put(auth.context, user_id, **PRO))
        found = client.get("/auth/subscription", headers=headers).json()
        assert found == {**NOTHING, **PRO, "next_renewal": "2033-05-18T03:33:20Z"}
        assert client.get("/auth/subscription", headers=others).json() == NOTHING
        assert client.get("/auth/subscription").status_code == 401
    (told,) = of_kind(events, SubscriptionChanged)
    assert (told.user_id, told.plan_id, told.status) == (user_id, "pro", "active")


@pytest.mark.anyio
async def test_a_notice_counts_once_and_never_after_a_later_one(database_url, clock):
    """A repeat tells nothing; what is older than what is known changes nothing; what is left out stays."""
    app, auth, events = fitted(database_url, clock=clock)
    async with visiting(app, auth):
        await auth.start()
        user_id, now = await registered(auth), int(clock())
        for _ in range(2):
            await logic.put(auth.context, user_id, as_of=now - 60, **PRO)
        cancelled = await logic.put(auth.context, user_id, as_of=now - 10, status="canceled")
        late = await logic.put(auth.context, user_id, as_of=now - 30, status="past_due", plan_id="free")
        assert (cancelled.status, cancelled.plan_id, late) == ("canceled", "pro", cancelled)
        emptied = await logic.put(auth.context, user_id, status=None)
        assert (emptied.status, emptied.customer_id) == (None, "cus_1")
    assert [one.status for one in of_kind(events, SubscriptionChanged)] == ["active", "canceled", None]


@pytest.mark.anyio
@pytest.mark.asvs("15.4.2")
async def test_of_simultaneous_notices_the_latest_stands(database_url, clock):
    """Twenty notices at once, in any order: what is kept is the last that was so."""
    app, auth, _ = fitted(database_url, clock=clock)
    async with visiting(app, auth):
        await auth.start()
        user_id, now = await registered(auth), int(clock())
        notices = [logic.put(auth.context, user_id, as_of=now - age, status=f"at{age}") for age in range(20)]
        await asyncio.gather(*reversed(notices))
        assert (await logic.read(auth.context, user_id)).status == "at0"


@pytest.mark.anyio
async def test_a_customer_is_one_account_and_leads_to_it(database_url):
    """A customer that somebody else has is refused, and found by whose it is; unknown users get nothing."""
    app, auth, _ = fitted(database_url)
    async with visiting(app, auth):
        await auth.start()
        ann, bo = await registered(auth), await registered(auth, BO)
        await logic.put(auth.context, ann, customer_id="cus_1")
        with pytest.raises(SubscriptionConflict):
            await logic.put(auth.context, bo, customer_id="cus_1")
        assert await logic.of_customer(auth.context, "cus_1") == ann
        assert await logic.of_customer(auth.context, "cus_2") is None
        with pytest.raises(NotFound):
            await logic.put(auth.context, "nobody", status="active")


@pytest.mark.anyio
async def test_a_subscription_goes_with_its_user(database_url):
    """A deleted user leaves no customer number behind, and the customer may come again."""
    app, auth, _ = fitted(database_url)
    async with visiting(app, auth):
        await auth.start()
        ann, bo = await registered(auth), await registered(auth, BO)
        await logic.put(auth.context, ann, customer_id="cus_1")
        await auth.database.write(lambda tx: remove_user(auth.context.users, tx, ann, now=auth.context.now()))
        await logic.put(auth.context, bo, customer_id="cus_1")
        assert await logic.of_customer(auth.context, "cus_1") == bo


@pytest.mark.anyio
@pytest.mark.parametrize(
    "wrong",
    [{"status": "x" * 65}, {"plan_id": ""}, {"customer_id": "a\nb"}, {"next_renewal": -1}, {"next_renewal": True}],
)
async def test_what_no_database_should_keep_is_refused(sqlite_url, wrong):
    """Each field has its length and its form; a field there is none of is a mistake of the program."""
    app, auth, _ = fitted(sqlite_url)
    async with visiting(app, auth):
        await auth.start()
        user_id = await registered(auth)
        with pytest.raises(InvalidRequest) as refused:
            await logic.put(auth.context, user_id, **wrong)
        assert [one["name"] for one in refused.value.errors] == list(wrong)
        with pytest.raises(TypeError):
            await logic.put(auth.context, user_id, is_admin=True)


@pytest.mark.asvs("15.3.3")
def test_only_an_administrator_writes_by_http(database_url):
    """All of it, at once, by who just signed in as administrator; anybody else is refused and changes nothing."""
    app, auth, events = fitted(database_url)
    with TestClient(app) as client:
        user_id, headers = signed_in(client, ANN)
        _, admin = signed_in(client, BO, auth, "admin")
        place = f"/auth/admin/users/{user_id}/subscription"
        body = {"customer_id": "cus_9", "plan_id": "team", "next_renewal": "2033-05-18T03:33:20+00:00"}
        assert client.put(place, json=body, headers=headers).status_code == 403
        assert client.put(place, json=body).status_code == 401
        written = client.put(place, json=body, headers=admin)
        assert (written.status_code, written.json()["next_renewal"]) == (200, "2033-05-18T03:33:20Z")
        assert client.get(place, headers=admin).json() == written.json()
        assert client.get(place, headers=headers).status_code == 403
        assert client.put(place, json={"status": "active"}, headers=admin).json() == {**NOTHING, "status": "active"}
        nobody = client.put("/auth/admin/users/nobody/subscription", json={}, headers=admin)
        assert nobody.status_code == 404
        refused = client.put(place, json={"status": "\n", "role": "admin"}, headers=admin)
        assert (refused.status_code, codes(refused)) == (422, ["extra_forbidden"])
        assert client.put(place, json={"next_renewal": "2033-05-18T03:33:20"}, headers=admin).status_code == 422
    assert of_kind(events, SubscriptionChanged)[0].acting.actor.startswith("user:")
