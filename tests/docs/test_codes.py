"""What a route refuses with is what its section says."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Settings
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.testing import sign_in

SECRET = "vN3yq8Kx2mWc7Rt5Lz9Hs4Bd6Gf1Jp0Qa"
ALWAYS = {"body_too_large", "unavailable", "internal_error"}
JSON = "application/json"
BODIES = {
    "nothing": (b"", JSON),
    "an empty object": (b"{}", JSON),
    "an unknown field": (b'{"surplus": 1}', JSON),
    "a wrong password": (b'{"login": "ann", "password": "wrong"}', JSON),
    "a wrong password, for a cookie": (b'{"login": "ann", "password": "wrong", "transport": "cookie"}', JSON),
    "a forged refresh token": (b'{"refresh_token": "x"}', JSON),
    "no JSON": (b"{", JSON),
    "a text": (b"abc", "text/plain"),
    "too much": (b"x" * 70_000, JSON),
}


def sections(page: str) -> dict[str, set[str]]:
    """The codes that the page names for each route."""
    found = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    return {part.partition("\n")[0]: set(re.findall(r"\(\.\./errors/(\w+)\.md\)", part)) for part in found}


@pytest.mark.parametrize(("body", "kind"), BODIES.values(), ids=BODIES)
def test_a_route_refuses_with_codes_of_its_section(body, kind, generate, sqlite_url):
    """Whoever asks, with a token, a bad one or none, and whatever is sent: each code that comes is on the page."""
    told = sections(generate.pages()["reference/http.md"])
    app, auth = (
        FastAPI(),
        Rimlock(Settings(secrets=[SECRET], database=sqlite_url), hasher=PasswordHashes(CHEAPEST_FOR_TESTS)),
    )
    auth.install(app)
    with TestClient(app) as client:
        callers = [{}, {"Authorization": "Bearer a.b.c"}]
        for route, codes in told.items():
            method, path = re.sub(r"\{\w+\}", "0" * 32, route).split(" ")
            for headers in [*callers, sign_in(auth, client).headers]:
                answer = client.request(method, path, content=body, headers=headers | {"Content-Type": kind})
                if answer.status_code >= 400 and "error" not in answer.json():
                    assert answer.json()["code"] in codes | ALWAYS, (route, headers, answer.json())


def test_a_section_is_read_by_its_links():
    """The reader of the page sees the codes of one route and not those of the next."""
    page = "## GET /a\n\n[`busy`](../errors/busy.md)\n\n## GET /b\n\n[`not_found`](../errors/not_found.md)\n"
    assert sections(page) == {"GET /a": {"busy"}, "GET /b": {"not_found"}}
