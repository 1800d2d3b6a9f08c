"""Lines of the log: one for each event, one line whatever was sent, and never a secret in them."""

from __future__ import annotations

import io
import json
import logging
from datetime import datetime

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from audit.office import fitted, rows
from rimlock import Feature, Rule, Stage
from rimlock.core.logbook import JsonFormatter

pytestmark = pytest.mark.req("T4")

EVIL = "a\r\nb\x1b[2Jc\u202ed\u2028e\x00f\x85g"


def captured(name="rimlock"):
    """Return a handler that writes what a host would, and where it writes to."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    logging.getLogger(name).addHandler(handler)
    return handler, out


@pytest.mark.asvs("16.2.1", "16.2.2", "16.2.4")
def test_every_event_is_one_object_with_the_fields_of_its_row(sqlite_url, caplog):
    """Who, what, when, from where and how it ended stand in fields; times carry their zone."""
    caplog.set_level(logging.INFO, "rimlock.audit")
    app, auth, _ = fitted(sqlite_url)
    handler, out = captured("rimlock.audit")
    try:
        with TestClient(app, client=("203.0.113.9", 1), headers={"User-Agent": "Desk"}) as client:
            client.post("/auth/login", json={"login": "ann", "password": "wrong"})
            (row,) = rows(client, auth, event="LoginFailed")
    finally:
        logging.getLogger("rimlock.audit").removeHandler(handler)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    (line,) = [one for one in lines if one["event"] == "LoginFailed"]
    assert (line["level"], line["logger"], line["outcome"]) == ("WARNING", "rimlock.audit", "failed")
    assert (line["address"], line["agent"], line["actor"], line["subject"]) == ("203.0.113.9", "Desk", "", "")
    assert line["facts"] == row.facts == {"reason": "unknown_account"}
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    assert [one["level"] for one in lines if one["event"] == "SigningKeyMade"] == ["INFO"]


@pytest.mark.asvs("16.4.1")
@pytest.mark.attack("log injection")
def test_nothing_that_was_sent_begins_a_line(sqlite_url, caplog):
    """Ends of lines, colours and turned text in every place stay inside one line of ASCII."""
    caplog.set_level(logging.INFO, "rimlock.audit")
    app, _, _ = fitted(sqlite_url, rules=[Rule(pattern="GET /open", stage=Stage.REQUIRED)])
    handler, out = captured("rimlock.audit")
    try:
        with TestClient(app, headers={"User-Agent": EVIL.replace("\r\n", "\t").encode()}) as client:
            client.post("/auth/login", json={"login": EVIL, "password": EVIL})
            client.get("/open", headers={"Authorization": f"Bearer {'x' * 30}".encode()})
    finally:
        logging.getLogger("rimlock.audit").removeHandler(handler)
    plain = [record.getMessage() for record in caplog.records if record.name == "rimlock.audit"]
    assert len(plain) == 3
    assert all(text.isprintable() for text in plain)
    assert len(out.getvalue().splitlines()) == 3
    assert out.getvalue().isascii()


class Broken(Feature):
    """A feature of the host's own with a route that fails."""

    name = "broken"

    def routes(self, context):
        router = APIRouter()

        @router.get("/broken/{which}")
        def broken(which: str):
            raise RuntimeError(which)

        return router


@pytest.mark.asvs("16.4.1")
@pytest.mark.attack("log injection")
def test_a_route_that_fails_is_named_by_its_template(sqlite_url, caplog):
    """The path that was asked for, which may hold an end of a line or somebody's secret, is not in the log."""
    app, _, _ = fitted(sqlite_url, features=[Broken()])
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/auth/broken/a%0A2026-01-01%20CRITICAL%20forged")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    (said,) = [record.getMessage() for record in caplog.records if record.name.startswith("rimlock")]
    assert said == "unexpected RuntimeError in GET /auth/broken/{which}"


@pytest.mark.parametrize(
    "extra",
    [
        {"user": EVIL},
        {"number": float("nan")},
        {"thing": object()},
        {"deep": {("a", 1): {1, 2}}},
        {"bytes": b"\xff\n"},
        {"surrogate": "\ud800"},
    ],
)
def test_the_formatter_takes_any_record_of_a_host(extra):
    """Any extra field, message and argument becomes one valid object on one line."""
    record = logging.makeLogRecord({"name": "host", "msg": "got %s", "args": (EVIL,), "levelname": "INFO", **extra})
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line, parse_constant=_refuse)["logger"] == "host"
    assert set(extra) <= set(json.loads(line))


def _refuse(word):
    raise AssertionError(word)


@pytest.mark.asvs("16.2.5", "16.5.1")
def test_an_exception_shows_its_type_and_its_places_and_not_its_text():
    """A traceback tells where it went wrong; the message, which may quote a secret, stays out."""
    try:
        raise ValueError("password=hunter2 and more")
    except ValueError:
        record = logging.getLogger("x").makeRecord("x", 40, __file__, 1, "it failed", (), __import__("sys").exc_info())
    line = JsonFormatter().format(record)
    assert "hunter2" not in line
    error = json.loads(line)["error"]
    assert error["type"] == "ValueError"
    assert "test_an_exception_shows" in error["places"][-1]
