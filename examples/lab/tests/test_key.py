"""Who needs the key. Everything here calls without it or with a wrong one."""

from __future__ import annotations

import os

import pytest

GUARDED = [
    ("POST", "/analyses"),
    ("PUT", "/analyses/1"),
    ("PATCH", "/analyses/1"),
    ("DELETE", "/analyses/1"),
    ("POST", "/api/v1/analyses"),
    ("PUT", "/api/v1/analyses/1"),
    ("PATCH", "/api/v1/analyses/1"),
    ("DELETE", "/api/v1/analyses/1"),
    ("POST", "/instruments"),
    ("GET", "/explorer/summary"),
    ("GET", "/explorer/series?method=ph"),
    ("GET", "/explorer/outliers"),
    ("GET", "/explorer/export.csv"),
]
OPEN = [
    "/",
    "/health",
    "/methods",
    "/analyses",
    "/api/v1/analyses",
    "/instruments",
    "/reports/activity",
    "/reports/docs",
    "/static/lab.css",
    "/docs",
    "/openapi.json",
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_the_key_the_answer_is_401(client, method, path):
    """A guarded route refuses before it looks at the body or the database."""
    answer = client.request(method, path)
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Invalid or missing API key"}


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("wrong", ["wrong", "", "lab-key-for-the-test", "schlüssel".encode()])
def test_with_a_wrong_key_the_answer_is_401(client, method, path, wrong):
    """A wrong key is answered like a missing one."""
    answer = client.request(method, path, headers={"X-API-Key": wrong})
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Invalid or missing API key"}


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_with_the_key_no_answer_is_401(keyed, method, path):
    """The right key opens every guarded route; what happens then is the route's affair."""
    assert keyed.request(method, path).status_code in {200, 404, 422}


@pytest.mark.parametrize("path", OPEN)
def test_everything_else_needs_no_key(client, path):
    """Reading, the pages, the reports and the documentation are open."""
    assert client.get(path).status_code == 200


def test_the_header_name_ignores_case(client):
    """Header names have no case, so old scripts that shout are served."""
    answer = client.get("/explorer/summary", headers={"x-ApI-kEy": os.environ["LAB_API_KEY"]})
    assert answer.status_code == 200


def test_a_refused_write_changes_nothing(client, record):
    """A result survives an attempt to delete it without the key."""
    path = f"/analyses/{record()['id']}"
    assert client.delete(path).status_code == 401
    assert client.get(path).status_code == 200
