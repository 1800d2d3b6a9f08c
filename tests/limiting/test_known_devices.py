"""The owner gets in on a device that is known, whatever others do; the device itself is counted like anybody."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from features.password.office import ANN, BETTER, GOOD, CountingHasher, bearer, installed, visiting
from limiting.test_lockout import guess, statuses
from rimlock.core.devices import MOST_NOTES, Devices
from rimlock.crypto.secret import RootSecret
from rimlock.features.password import PasswordFeature
from rimlock.features.sessions import SessionsFeature

pytestmark = [pytest.mark.anyio, pytest.mark.req("L13"), pytest.mark.attack("lockout of the owner")]
PAGE = {"X-Rimlock": "1", "Origin": "http://localhost:8000"}
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
NOW = 1_800_000_000


async def known(app, **given):
    """Sign Ann in and return the note her device keeps."""
    return (await guess(app, password=GOOD, **given)).json()["device_token"]


@pytest.mark.parametrize("addresses", [1, 500])
async def test_a_sprayed_owner_signs_in_on_a_known_device(sqlite_url, clock, addresses):
    """An attacker tries from one address or from five hundred; the owner comes in, also from the attacker's address."""
    app, auth, _ = installed(sqlite_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        device = await known(app)
        spray = [f"203.0.{n // 250}.{n % 250}" for n in range(addresses)]
        found = [(await guess(app, address=spray[n % addresses])).status_code for n in range(max(20, addresses))]
        assert found.count(401) == 5
        assert (await guess(app, password=GOOD)).status_code == 429
        assert (await guess(app, password=GOOD, device=device)).status_code == 200
        assert (await guess(app, password=GOOD, device=device, address=spray[0])).status_code == 200


async def test_a_browser_is_known_by_a_cookie_that_outlives_the_session(sqlite_url):
    """Signing out leaves the cookie; the next sign-in of a locked account succeeds with it, on a TLS connection."""
    app, auth, _ = installed(sqlite_url, features=[PasswordFeature(), SessionsFeature()])
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 1))
    async with (
        visiting(app, auth) as stranger,
        httpx2.AsyncClient(transport=transport, base_url="https://testserver", headers=PAGE) as browser,
    ):
        await stranger.post("/auth/register", json=ANN)
        sent = {"login": "ann", "password": GOOD, "transport": "cookie"}
        first = await browser.post("/auth/login", json=sent)
        assert "device_token" not in first.json()
        await browser.post("/auth/logout")
        assert set(browser.cookies) == {"__Host-rimlock-device"}
        await statuses(app, 6, address="192.0.2.1")
        assert (await guess(app, password=GOOD, address="192.0.2.1")).status_code == 429
        assert (await browser.post("/auth/login", json=sent)).status_code == 200
        assert (await browser.post("/auth/login", json={**sent, "transport": "body"})).status_code == 429


async def test_the_cookie_has_no_prefix_where_there_is_no_tls(sqlite_url):
    """`insecure_cookies` counts for it too."""
    app, auth, _ = installed(sqlite_url, insecure_cookies=True)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        sent = {"login": "ann", "password": GOOD, "transport": "cookie"}
        answer = await client.post("/auth/login", json=sent, headers=PAGE)
        device = answer.headers.get_list("set-cookie")[1]
        assert device.startswith("rimlock-device=rd1.")
        assert "Secure" not in device


@pytest.mark.parametrize("way", ["body", "header", "grant", "grant header"])
async def test_a_client_without_cookies_sends_the_note_back(sqlite_url, way):
    """In the body or in a header, to `/login` and to the token endpoint."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        device = await known(app)
        await statuses(app, 6)
        headers = {"X-Rimlock-Device": device} if "header" in way else {}
        if way.startswith("grant"):
            form = {"username": "ann", "password": GOOD} | ({"device": device} if way == "grant" else {})
            answer = await client.post("/auth/token", data=form, headers=headers)
        else:
            sent = {"login": "ann", "password": GOOD} | ({"device": device} if way == "body" else {})
            answer = await client.post("/auth/login", json=sent, headers=headers)
        assert answer.status_code == 200


async def test_a_stolen_note_is_no_free_pass(sqlite_url, clock):
    """Five guesses in a quarter of an hour, twelve in all where that is the setting; then it is a stranger's."""
    hasher = CountingHasher()
    app, auth, _ = installed(sqlite_url, hasher=hasher, clock=clock, failures_in_all=12)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        device = await known(app)
        assert await statuses(app, 7, device=device) == [401] * 5 + [429] * 2
        assert (await guess(app, password=GOOD, device=device)).headers["retry-after"] == "900"
        clock.advance(900)
        assert await statuses(app, 6, device=device) == [401] * 5 + [429]
        clock.advance(900)
        assert await statuses(app, 3, device=device) == [401] * 2 + [429]
        hasher.work.clear()
        assert await statuses(app, 5, device=device) == [429] * 5
        assert hasher.work == []


async def test_failures_on_a_known_device_do_not_use_up_the_account_of_others(sqlite_url):
    """And neither those of the address it stands at."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        device = await known(app)
        assert await statuses(app, 5, device=device, address="192.0.2.1") == [401] * 5
        assert (await guess(app, password=GOOD, address="192.0.2.1")).status_code == 200


async def test_a_success_on_the_device_clears_what_is_its_own(sqlite_url):
    """Four mistakes, a success, four mistakes: never locked."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        device = await known(app)
        for _ in range(3):
            assert await statuses(app, 4, device=device) == [401] * 4
            device = await known(app, device=device)


async def test_the_note_opens_nothing(sqlite_url):
    """It is no credential, and no way around the password."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        device = await known(app)
        assert (await client.get("/auth/me", headers={"Authorization": f"Bearer {device}"})).status_code == 401
        assert (await client.get("/auth/me", headers={"X-Rimlock-Device": device})).status_code == 401
        assert (await client.post("/auth/refresh", json={"refresh_token": device})).status_code in {401, 404, 422}
        assert (await guess(app, device=device)).status_code == 401


async def test_the_note_of_another_account_is_worth_nothing(sqlite_url):
    """An attacker's own device is known to the attacker's account alone."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        await client.post("/auth/register", json={"email": "mallory@example.com", "password": GOOD})
        theirs = await known(app, login="mallory@example.com")
        assert await statuses(app, 6, device=theirs) == [401] * 5 + [429]


async def test_a_changed_password_keeps_the_device_known(sqlite_url):
    """The owner who changes it because of an attack goes on getting in."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        signed_in = await guess(app, password=GOOD)
        change = {"current_password": GOOD, "new_password": BETTER}
        assert (await client.post("/auth/password", json=change, headers=bearer(signed_in))).status_code == 200
        await statuses(app, 6)
        again = await guess(app, password=BETTER, device=signed_in.json()["device_token"])
        assert again.status_code == 200


async def test_a_device_is_known_for_its_time_and_each_sign_in_begins_it_anew(sqlite_url, clock):
    """Half a year after the last sign-in it is a stranger."""
    app, auth, _ = installed(sqlite_url, clock=clock)
    async with visiting(app, auth) as client:
        await client.post("/auth/register", json=ANN)
        first = await known(app)
        clock.advance(timedelta(days=179))
        second = await known(app, device=first)
        clock.advance(timedelta(days=179))
        await statuses(app, 6)
        assert (await guess(app, password=GOOD, device=first)).status_code == 429
        assert (await guess(app, password=GOOD, device=second)).status_code == 200


def notes_of(presented):
    """Return the notes one by one."""
    return presented.split("~")


def test_a_browser_of_several_people_knows_each_of_them():
    """Up to eight; the one that signed in longest ago is forgotten; each keeps the id of its device."""
    devices, kept = Devices(RootSecret([SECRET]), 1000), ""
    for n in range(10):
        kept = devices.remember(kept, f"user{n}", now=NOW)
    assert len(notes_of(kept)) == MOST_NOTES
    found = [devices.known(kept, f"user{n}", now=NOW) for n in range(10)]
    assert found[:2] == [None, None]
    assert len(set(found[2:])) == 8
    again = devices.remember(kept, "user5", now=NOW + 5)
    assert devices.known(again, "user5", now=NOW + 5) == found[5]
    assert len(notes_of(again)) == MOST_NOTES


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note[:-1] + ("A" if note[-1] != "A" else "B"),
        lambda note: note.replace("rd1.", "rd2."),
        lambda note: note.upper(),
        lambda note: note + "~" * 2000,
        lambda note: note.replace(f".{NOW}.", f".{NOW + 1}."),
        lambda note: "",
        lambda note: "~",
        lambda note: note + "é",
        lambda note: note[4:],
    ],
)
def test_a_note_that_was_touched_is_none(spoil):
    """Another byte, another version, another moment, too long, empty, of foreign letters."""
    devices = Devices(RootSecret([SECRET]), 1000)
    note = devices.remember("", "ann", now=NOW)
    assert devices.known(note, "ann", now=NOW) is not None
    assert devices.known(spoil(note), "ann", now=NOW) is None


def test_a_note_counts_between_its_making_and_its_end():
    """Not a second longer, and not from a time that has not come; nobody's account has none."""
    devices = Devices(RootSecret([SECRET]), 1000)
    note = devices.remember("", "ann", now=NOW)
    assert devices.known(note, "ann", now=NOW + 999) is not None
    assert devices.known(note, "ann", now=NOW + 1000) is None
    assert devices.known(note, "ann", now=NOW - 301) is None
    assert devices.known(note, None, now=NOW) is None


def test_notes_go_on_counting_while_a_secret_is_rotated():
    """The old secret stands after the new one."""
    old = Devices(RootSecret([SECRET]), 1000)
    new = Devices(RootSecret([SECRET[::-1], SECRET]), 1000)
    assert new.known(old.remember("", "ann", now=NOW), "ann", now=NOW) is not None


def test_a_sign_in_repr_shows_no_note():
    """Notes stand in no log."""
    from rimlock.core.sessions import Device

    assert "rd1" not in repr(Device(notes=Devices(RootSecret([SECRET]), 9).remember("", "ann", now=NOW)))
