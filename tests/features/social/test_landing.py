"""The page somebody goes back to is one of this installation's, in every spelling that browsers read in their way."""

from __future__ import annotations

import pytest

from features.social.office import API, APP, at, browser, come_back, installed, leave, stub

__all__ = ["stub"]
pytestmark = [pytest.mark.req("L10", "F2"), pytest.mark.attack("open redirect"), pytest.mark.asvs("3.7.2", "1.2.2")]

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://evil.example",
    "https://evil.example/?" + APP,
    "https://evil.example#" + APP,
    "http://app.example.com",
    "HTTPS://EVIL.EXAMPLE",
    APP + ".evil.example",
    APP + "@evil.example",
    APP + ":443@evil.example",
    APP + ":8443",
    APP + "\\.evil.example",
    APP + "\\@evil.example",
    APP + "%2eevil.example",
    APP + "#@evil.example",
    "https://user:pass@app.example.com/",
    "https://app.example.com.",
    "https://appXexample.com",
    "https://app。example.com",
    "https://аpp.example.com",
    "https://app.example.com\u2028.evil.example",
    "https://[::1]",
    "https://[",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "blob:https://app.example.com/x",
    "file:///etc/passwd",
    "ftp://app.example.com",
    "tauri://localhost",
    "evil.example",
    "evil.example/",
    ".evil.example",
    "@evil.example",
    "?next=//evil.example",
    "#//evil.example",
    ";@evil.example",
    "/a\r\nSet-Cookie: x=1",
    "/a\x00b",
    "/<script>",
    '/"onload=',
    "/é",
    "/" + "a" * 2000,
    "/?code=made-up",
    "/?error=made-up",
    "/?linked=google",
    "/?%63ode=made-up",
    "/a?b=1&code=x",
]
OURS = [
    ("", f"{APP}/"),
    ("/", f"{APP}/"),
    ("/notebooks", f"{APP}/notebooks"),
    ("/a?b=c&d=e", f"{APP}/a?b=c&d=e"),
    ("/%2F/evil.example", f"{APP}/%2F/evil.example"),
    ("/%09/evil.example", f"{APP}/%09/evil.example"),
    ("/%0d%0aSet-Cookie:x", f"{APP}/%0d%0aSet-Cookie:x"),
    ("/%5cevil.example", f"{APP}/%5cevil.example"),
    ("/%252f%252fevil.example", f"{APP}/%252f%252fevil.example"),
    ("/@evil.example", f"{APP}/@evil.example"),
    ("/https://evil.example", f"{APP}/https://evil.example"),
    ("/a//evil.example", f"{APP}/a//evil.example"),
    (APP, APP),
    (f"{APP}/a", f"{APP}/a"),
    (f"{APP}?a=1", f"{APP}?a=1"),
    ("https://other.example/a", "https://other.example/a"),
    (f"{API}/pages", f"{API}/pages"),
]


@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_nobody_is_sent_to_a_page_that_is_not_ours(sqlite_url, clock, stub, wanted):
    """It is refused before anybody is sent anywhere."""
    app, _, _ = installed(sqlite_url, clock, at(stub), origins=["https://other.example"])
    with browser(app) as client:
        answer = client.get("/auth/oauth/stub", params={"next": wanted})
    assert answer.status_code in {400, 422}
    assert answer.json()["code"] in {"next_refused", "invalid_request"}
    assert "location" not in answer.headers
    assert "evil" not in answer.text


@pytest.mark.parametrize("wanted, where", OURS)
def test_every_page_of_ours_can_be_gone_back_to(sqlite_url, clock, stub, wanted, where):
    """A path stays a path of the front end, whatever it looks like; a whole address is one of the listed origins."""
    app, _, _ = installed(sqlite_url, clock, at(stub), origins=["https://other.example"])
    with browser(app) as client:
        back = come_back(client, stub.authorize(leave(client, next=wanted)))
    location = back.headers["location"]
    page, _, said = location.partition("&code=" if "?" in where else "?code=")
    assert (page, bool(said)) == (where, True)


def test_a_desktop_application_is_an_origin_like_any_other(sqlite_url, clock, stub):
    """Once it is listed."""
    app, _, _ = installed(sqlite_url, clock, at(stub), origins=["tauri://localhost"])
    with browser(app) as client:
        back = come_back(client, stub.authorize(leave(client, next="tauri://localhost/signed-in")))
    assert back.headers["location"].startswith("tauri://localhost/signed-in?code=")


def test_pages_that_stand_below_a_path_stay_there(sqlite_url, clock, stub):
    """A path is one of the front end's, not of its host's."""
    app, _, _ = installed(sqlite_url, clock, at(stub), frontend_url=f"{APP}/lab/")
    with browser(app) as client:
        back = come_back(client, stub.authorize(leave(client, next="/a")))
        assert back.headers["location"].startswith(f"{APP}/lab/a?code=")


def test_without_a_front_end_the_pages_are_those_of_the_host(sqlite_url, clock, stub):
    """Of the address that our own routes are reached at, without our prefix."""
    app, _, _ = installed(sqlite_url, clock, at(stub), frontend_url="")
    with browser(app) as client:
        back = come_back(client, stub.authorize(leave(client, next="/a")))
        assert back.headers["location"].startswith(f"{API}/a?code=")
