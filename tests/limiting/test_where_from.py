"""Where a request comes from cannot be chosen by who sends it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from ipaddress import ip_network

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.password.office import ANN, GOOD, SECRET, installed, visiting
from rimlock.core.limits_naming import place_of
from rimlock.web.addresses import UNKNOWN, client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.168.0.0/16"))
STRANGER = "203.0.113.9"


def scope(peer, *lines):
    """Return a request of a peer with these `X-Forwarded-For` headers."""
    client = None if peer is None else (peer, 1234)
    return {"client": client, "headers": [(b"x-forwarded-for", line.encode("latin-1")) for line in lines]}


@pytest.mark.req("L13")
@pytest.mark.asvs("4.1.3")
@pytest.mark.attack("forged X-Forwarded-For")
@pytest.mark.parametrize(
    ("peer", "lines", "found"),
    [
        (STRANGER, ["1.2.3.4"], STRANGER),
        (STRANGER, ["10.0.0.1"], STRANGER),
        (STRANGER, ["1.2.3.4, 10.0.0.1", "5.6.7.8"], STRANGER),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", [" , ,"], "10.0.0.1"),
        ("10.0.0.1", [STRANGER], STRANGER),
        ("10.0.0.1", [f"1.2.3.4, {STRANGER}"], STRANGER),
        ("10.0.0.1", ["1.2.3.4", STRANGER], STRANGER),
        ("10.0.0.1", [f"1.2.3.4, {STRANGER}, 10.9.9.9, 192.168.1.1"], STRANGER),
        ("10.0.0.1", [f"{STRANGER}:4711"], STRANGER),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8:0:0::7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], STRANGER),
        ("::ffff:10.0.0.1", [STRANGER], STRANGER),
        ("fd00::1", [STRANGER], STRANGER),
        ("fd00::1%eth0", [STRANGER], STRANGER),
        ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
        ("10.0.0.1", ["garbage"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, garbage"], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["_hidden, 127.0.0.1.evil.example"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4 5.6.7.8"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.009"], "10.0.0.1"),
        ("10.0.0.1", ["0x7f000001"], "10.0.0.1"),
        ("10.0.0.1", ["2130706433"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4\t"], "1.2.3.4"),
        ("10.0.0.1", ["٢٠٣.0.113.9".encode().decode("latin-1")], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        (None, [STRANGER], UNKNOWN),
        ("", [STRANGER], UNKNOWN),
    ],
)
def test_only_what_a_trusted_proxy_says_is_believed(peer, lines, found):
    """From the right, up to the first that is no proxy of ours; what is left of it, and what is no address, is not."""
    assert client_address(scope(peer, *lines), PROXIES) == found


@pytest.mark.attack("forged X-Forwarded-For")
@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=60), max_size=5))
def test_nothing_anybody_writes_moves_a_peer_that_is_no_proxy(lines):
    """Whatever stands in the header."""
    assert client_address(scope(STRANGER, *lines), PROXIES) == STRANGER
    assert client_address(scope("10.0.0.1", *lines), ()) == "10.0.0.1"


@pytest.mark.attack("forged X-Forwarded-For")
@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=60), max_size=5))
def test_what_stands_left_of_the_client_changes_nothing(lines):
    """The proxy adds the client at the right."""
    assert client_address(scope("10.0.0.1", *lines, STRANGER), PROXIES) == STRANGER


@pytest.mark.attack("forged X-Forwarded-For")
def test_ten_thousand_entries_are_read_from_the_right():
    """The client is the last of them; a chain of proxies alone ends at its first."""
    many = ", ".join(f"1.1.{n // 250}.{n % 250}" for n in range(10_000))
    assert client_address(scope("10.0.0.1", f"{many}, {STRANGER}"), PROXIES) == STRANGER
    assert client_address(scope("10.0.0.1", ", ".join(["10.0.0.7"] * 10_000)), PROXIES) == "10.0.0.7"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::9"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%wlan1"),
        ("[2001:db8::1]", "2001:db8::2"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("TestClient", "testclient"),
    ],
)
def test_what_one_sender_can_choose_freely_is_one_place(one, other):
    """A network of 64 bits, two spellings, a zone: counted together."""
    assert place_of(one) == place_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::1", "127.0.0.1"),
        ("64:ff9b::c000:201", "64:ff9b::c000:202"),
        (UNKNOWN, "192.0.2.1"),
    ],
)
def test_what_belongs_to_two_is_two_places(one, other):
    """Neighbours are not counted together."""
    assert place_of(one) != place_of(other)


async def tries(app, times, *, client, headers=lambda n: {}):
    """Return the statuses of guesses at different accounts."""
    transport = httpx2.ASGITransport(app=app, client=client)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as visitor:
        return [
            (
                await visitor.post("/auth/login", json={"login": f"user{n}", "password": "x"}, headers=headers(n))
            ).status_code
            for n in range(times)
        ]


@pytest.mark.anyio
@pytest.mark.req("L13")
@pytest.mark.attack("forged X-Forwarded-For")
@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"])
async def test_a_forged_header_gives_no_further_guess(sqlite_url, name):
    """Without trusted proxies, and from elsewhere with them."""
    for given_proxies in ((), ("10.0.0.0/8",)):
        app, auth, _ = installed(f"{sqlite_url}{len(given_proxies)}", trusted_proxies=given_proxies)
        async with visiting(app, auth):
            found = await tries(app, 8, client=(STRANGER, 1), headers=lambda n: {name: f"198.51.100.{n}"})
            assert found == [401] * 5 + [429] * 3


@pytest.mark.anyio
async def test_clients_behind_a_trusted_proxy_are_counted_one_by_one(sqlite_url):
    """Eight of them fail once each through one proxy; a ninth is not shut out by them."""
    app, auth, _ = installed(sqlite_url, trusted_proxies=["10.0.0.0/8"])
    async with visiting(app, auth):
        found = await tries(app, 9, client=("10.0.0.1", 1), headers=lambda n: {"X-Forwarded-For": f"198.51.100.{n}"})
        assert found == [401] * 9


@pytest.mark.anyio
@pytest.mark.attack("missing peer")
async def test_whoever_has_no_address_is_limited_like_one(sqlite_url):
    """A server that names no peer, as on a Unix socket: one place for all of them."""
    app, auth, _ = installed(sqlite_url)

    async def nameless(scope_, receive, send):
        await app({**scope_, "client": None}, receive, send)

    async with visiting(app, auth):
        assert await tries(nameless, 7, client=(STRANGER, 1)) == [401] * 5 + [429] * 2


@pytest.mark.anyio
@pytest.mark.attack("rotating IPv6 addresses")
async def test_a_network_of_addresses_is_one_guesser(sqlite_url):
    """Another of the 2^64 addresses with each guess is no other place."""
    app, auth, _ = installed(sqlite_url)
    async with visiting(app, auth):
        found = [(await tries(app, 1, client=(f"2001:db8::{n:x}", 1)))[0] for n in range(7)]
        assert found == [401] * 5 + [429] * 2


@pytest.mark.attack("forged X-Forwarded-For")
def test_the_standalone_server_believes_nobody_by_itself(sqlite_url):
    """A forged header from this very machine changes neither the limits nor what is told of the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"RIMLOCK_SECRETS": SECRET, "RIMLOCK_DATABASE": sqlite_url, "PATH": "/usr/bin"}
    command = [sys.executable, "-m", "rimlock.cli", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            _until_it_answers(client)
            assert client.post("/auth/register", json=ANN).status_code == 201
            found = [
                client.post(
                    "/auth/login",
                    json={"login": f"user{n}", "password": "x"},
                    headers={"X-Forwarded-For": f"198.51.100.{n}"},
                ).status_code
                for n in range(7)
            ]
            sent = {"login": "ann", "password": GOOD}
            forged = client.post("/auth/login", json=sent, headers={"X-Forwarded-For": "198.51.100.99"})
        assert found == [401] * 5 + [429] * 2
        assert forged.status_code == 429
    finally:
        server.terminate()
        server.wait(20)


def _until_it_answers(client):
    for _ in range(200):
        try:
            client.get("/auth/health/live")
            return
        except httpx2.TransportError:
            time.sleep(0.1)
