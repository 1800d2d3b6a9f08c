"""The refresh cookie: how it is set, from which pages it is taken, and what it is read out of."""

from __future__ import annotations

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from access.host import fitted
from rimlock import DESKTOP_ORIGINS
from rimlock.core.sessions import Device
from rimlock.features.sessions import SessionsFeature
from rimlock.testing import sign_in
from rimlock.web.browser import REQUEST_HEADER, Browser, CrossSite

pytestmark = pytest.mark.req("L14")
OWN = "https://api.example.com"
APP = "https://app.example.com"


def browser(*, insecure=False):
    return Browser.of((APP, *DESKTOP_ORIGINS), f"{OWN}/lab", insecure=insecure)


def sent(**headers):
    """A scope with these headers; names are written with underscores, None stands for a header not sent."""
    pairs = [(name.replace("_", "-").encode(), value) for name, value in headers.items() if value is not None]
    return {"headers": [(name, value.encode("latin-1")) for name, value in pairs]}


def attributes(cookie):
    first, *others = cookie.split("; ")
    return first, set(others)


def test_the_cookie_is_out_of_reach_of_scripts_siblings_and_other_sites():
    """__Host-, HttpOnly, Secure, SameSite=Strict, Path=/ and no Domain; Max-Age only when it is to last."""
    bound = {"Path=/", "HttpOnly", "SameSite=Strict", "Secure"}
    assert attributes(browser().keep("t", 60)) == ("__Host-rimlock=t", bound | {"Max-Age=60"})
    assert attributes(browser().keep("t", None)) == ("__Host-rimlock=t", bound)
    assert attributes(browser().drop()) == ("__Host-rimlock=", bound | {"Max-Age=0"})


def test_without_tls_the_cookie_loses_only_what_needs_tls():
    """A dangerous switch by name; the rest stays."""
    bound = {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert attributes(browser(insecure=True).keep("t", None)) == ("rimlock=t", bound)
    assert attributes(browser(insecure=True).drop()) == ("rimlock=", bound | {"Max-Age=0"})


ALLOWED = [OWN, APP, *DESKTOP_ORIGINS]
FOREIGN = [
    "null",
    "",
    "*",
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "https://app.example.com, https://evil.example",
    "tauri://localhost.evil",
    "https://app.example.com\u00e9",
]


@pytest.mark.req("L4")
@pytest.mark.parametrize("site", [None, "same-origin", "same-site", "cross-site", "none", "strange"])
@pytest.mark.parametrize("origin", [*ALLOWED, *FOREIGN])
def test_an_origin_that_is_sent_decides(origin, site):
    """Listed exactly, or refused; what Sec-Fetch-Site says beside it changes nothing."""
    scope = sent(x_rimlock="1", origin=origin, sec_fetch_site=site)
    if origin in ALLOWED:
        assert browser().check(scope) is None
    else:
        with pytest.raises(CrossSite):
            browser().check(scope)


@pytest.mark.parametrize(
    "site, allowed",
    [(None, True), ("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False), ("", False)],
)
def test_without_an_origin_the_fetch_metadata_decides(site, allowed):
    """Programs send neither and pass; a sibling host of the same site does not."""
    scope = sent(x_rimlock="1", sec_fetch_site=site)
    if allowed:
        assert browser().check(scope) is None
    else:
        with pytest.raises(CrossSite):
            browser().check(scope)


@pytest.mark.parametrize("origin", [None, *ALLOWED, *FOREIGN])
def test_without_the_header_nothing_passes(origin):
    """Also from our own pages: a form of another site cannot send it, and ours always does."""
    with pytest.raises(CrossSite, match=REQUEST_HEADER):
        browser().check(sent(origin=origin, sec_fetch_site="same-origin"))


@pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site"])
def test_a_header_sent_twice_is_refused(name):
    """Two origins, or two sites, are read by no two parties alike."""
    values = {b"origin": [APP.encode(), b"https://evil.example"], b"sec-fetch-site": [b"same-origin", b"cross-site"]}
    for pair in (values[name], values[name][::-1]):
        with pytest.raises(CrossSite):
            browser().check({"headers": [(b"x-rimlock", b"1"), *((name, value) for value in pair)]})


@pytest.mark.parametrize(
    "cookies, expected",
    [
        ("__Host-rimlock=rr1.a.0.m", "rr1.a.0.m"),
        ("a=b; __Host-rimlock=t", "t"),
        ("__Host-rimlock=t; a=b", "t"),
        ("a=b;__Host-rimlock=t;c=d", "t"),
        ("  __Host-rimlock = t ", "t"),
        ('prefs={"x": [1, 2]}; __Host-rimlock=t', "t"),
        ('json={"a":1,"b":2}; __Host-rimlock=t; after=1', "t"),
        ("bad name=1; __Host-rimlock=t", "t"),
        ("a=b=c; __Host-rimlock=t", "t"),
        ("a; b; __Host-rimlock=t", "t"),
        ("a[0]=1; b@c=2; \xe9=3; __Host-rimlock=t", "t"),
        ("path=/; Expires=now; __Host-rimlock=t", "t"),
        ("rimlock=t", None),
        ("__host-rimlock=t", None),
        ("x__Host-rimlock=t", None),
        ('a="__Host-rimlock=t"', None),
        ("__Host-rimlock=", None),
        ("", None),
        ("__Host-rimlock=t; __Host-rimlock=u", None),
        ("__Host-rimlock=t; a=b; __Host-rimlock=t", None),
    ],
)
def test_the_cookie_is_found_among_all_that_a_host_and_its_scripts_may_set(cookies, expected):
    """Cookies of others, however odd, neither hide ours nor stand for it; sent twice it is treated as not sent."""
    assert browser().token(sent(cookie=cookies)) == expected


def test_several_cookie_headers_are_read_as_one():
    """HTTP/2 may split the header (RFC 9113 section 8.2.3); two of ours are still none."""
    split = {"headers": [(b"cookie", b"a=b"), (b"cookie", b"__Host-rimlock=t"), (b"cookie", b"c=d")]}
    assert browser().token(split) == "t"
    twice = {"headers": [(b"cookie", b"__Host-rimlock=t"), (b"cookie", b"__Host-rimlock=u")]}
    assert browser().token(twice) is None


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_neighbour_breaks_the_reading(before, after):
    """Whatever stands around it, reading never fails; without a further semicolon trick the token is found."""
    found = browser().token(sent(cookie=f"{before}; __Host-rimlock=rr1.a.0.m; {after}"))
    assert found == "rr1.a.0.m" or "__Host-rimlock" in before + after


@given(st.binary(max_size=200))
def test_no_header_breaks_the_reading(raw):
    """Any bytes at all."""
    assert browser().token({"headers": [(b"cookie", raw)]}) is None or b"__Host-rimlock" in raw


@pytest.mark.req("L6")
def test_a_browser_refreshes_by_its_cookie_from_its_own_page_alone(sqlite_url):
    """End to end: 200 and a new cookie from the page; 403 from another site, from null, and without the header."""
    app = FastAPI()
    auth = fitted(app, sqlite_url, features=[SessionsFeature()], origins=[APP], issuer=OWN)
    with TestClient(app, base_url=OWN) as client:
        device = Device(transport="cookie", remembered=False)
        ann = sign_in(auth, client, device=device)
        assert ann.refresh_token is None
        cookie = cookie_of(auth, ann)
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            refused = client.post("/auth/refresh", headers={"Cookie": cookie, REQUEST_HEADER: "1", **headers})
            assert (refused.status_code, refused.json()["code"]) == (403, "cross_site_request")
        assert client.post("/auth/refresh", headers={"Cookie": cookie, "Origin": APP}).status_code == 403
        renewed = client.post("/auth/refresh", headers={"Cookie": cookie, "Origin": APP, REQUEST_HEADER: "1"})
        assert renewed.status_code == 200
        assert "refresh_token" not in renewed.json()
        name, bound = attributes(renewed.headers["set-cookie"])
        assert (name.split("=")[0], bound) == ("__Host-rimlock", {"Path=/", "HttpOnly", "SameSite=Strict", "Secure"})


def cookie_of(auth, visitor):
    """The cookie a browser has after this sign-in."""
    from rimlock.crypto.opaque import mint_refresh

    return f"{auth.context.browser.cookie}={mint_refresh(auth.context.root, visitor.session_id, 0)}"
