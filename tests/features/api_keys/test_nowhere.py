"""A key is readable nowhere afterwards: not in the database, not in any log."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from features.api_keys.fitted import fitted, make, person
from rimlock import Settings
from rimlock.assembly import redact_logs
from rimlock.core.rulefile import ImportedKey
from rimlock.features.api_keys import ApiKeys
from rimlock.web.redaction import LOGGERS, Redaction, install

CANARY = "canary7Qm2Xv9Lk4Rt8Wz3"


@pytest.fixture(autouse=True)
def filters_as_they_were():
    """Filters are put on loggers of the process; take off what a test puts on."""
    names = (*LOGGERS, *(name for name in logging.Logger.manager.loggerDict if name.startswith("rimlock.")))
    before = {name: list(logging.getLogger(name).filters) for name in names}
    yield
    for name, filters in before.items():
        logging.getLogger(name).filters[:] = filters


@pytest.mark.req("L12")
@pytest.mark.asvs("6.5.2")
def test_no_byte_of_the_database_and_no_line_of_the_log_holds_a_key(sqlite_url, caplog):
    """Issued, imported, used, refused, expired and revoked: the files hold digests, the logs nothing."""
    caplog.set_level(logging.DEBUG)
    imported = (ImportedKey(name="lab", env="LAB_API_KEY"),)
    auth, app = fitted(sqlite_url, ApiKeys(imported, environment={"LAB_API_KEY": CANARY}))
    with TestClient(app) as client:
        ann = person(client, auth)
        issued = make(client, ann)
        unknown = "rl_" + "canary" * 7 + "x_abcdef"
        for text in (CANARY, issued["key"], unknown):
            client.get("/me", headers={"X-API-Key": text})
            client.get("/me", headers={"Authorization": f"Bearer {text}"})
        client.post("/auth/api-keys", json={"name": "a", "key": CANARY}, headers=ann.token)
        client.delete(f"/auth/api-keys/{issued['id']}", headers=ann.token)
        refused = client.get("/me", headers={"X-API-Key": issued["key"]})
        client.portal.call(auth.flush)
        files = sorted(Path(sqlite_url.removeprefix("sqlite:///")).parent.glob("rimlock.db*"))
        stored = b"".join(file.read_bytes() for file in files)
    assert len(stored) > 10_000
    for secret in (CANARY, issued["key"], issued["key"].split("_")[1], unknown):
        assert secret.encode() not in stored
        assert secret not in caplog.text
        assert secret not in refused.text
    assert issued["id"].encode() in stored


def served_app():
    """An application whose routes take the key in the query and in the path."""
    app = FastAPI()

    @app.get("/tiles")
    def tiles():
        return []

    @app.get("/t/{key}/tiles")
    def tiles_by_path(key: str):
        return []

    return app


@pytest.mark.req("L12")
@pytest.mark.attack("a key in the access log")
def test_the_access_log_of_a_real_server_shows_no_key(sqlite_url, caplog):
    """Keys in the query and in the path leave no trace in uvicorn's access log; everything else stays readable."""
    from rimlock import Rimlock

    app = served_app()
    settings = Settings(
        secrets=["hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"],
        database=sqlite_url,
        api_key_query=("lab_key",),
        api_key_paths=("/t/{key}/**",),
    )
    Rimlock(settings, features=[ApiKeys()]).install(app)
    caplog.set_level(logging.INFO, "uvicorn.access")
    with served(app) as (address, access):
        for path in (
            f"/tiles?z=4&lab_key={CANARY}",
            f"/tiles?LAB%5Fkey={CANARY}&x=1",
            f"/tiles?access_token={CANARY}",
            f"/t/{CANARY}/tiles?zoom=9",
        ):
            with urlopen(address + path, timeout=10) as answer:
                assert answer.status == 200
    text = "\n".join(access)
    assert CANARY not in text
    assert text.count("[redacted]") == 4
    assert '"GET /tiles?z=4&lab_key=[redacted] HTTP/1.1" 200' in text
    assert '"GET /t/[redacted]/tiles?zoom=9 HTTP/1.1" 200' in text


@pytest.fixture
def access_logger():
    """Return uvicorn's access logger as it is before anybody filters it."""
    logger = logging.getLogger("uvicorn.access")
    before = list(logger.filters)
    logger.filters.clear()
    yield logger
    logger.filters[:] = before


@pytest.mark.attack("a one-time secret in the access log")
def test_without_such_settings_only_our_own_addresses_are_touched(access_logger):
    """The host's parameters are logged as ever; the one-time secret of the first administrator is not."""
    redact_logs(Settings(secrets=["hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"]))
    shown = []
    for path in ("/tiles?token=of-the-host", f"/auth/first-admin?token={CANARY}"):
        record = access_logger.makeRecord("uvicorn.access", logging.INFO, "", 0, '"%s %s"', ("GET", path), None)
        assert access_logger.filter(record)
        shown.append(record.getMessage())
    assert shown == ['"GET /tiles?token=of-the-host"', '"GET /auth/first-admin?token=[redacted]"']


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/x", "/x"),
        ("/x?a=1&b=2", "/x?a=1&b=2"),
        (f"/x?lab_key={CANARY}", "/x?lab_key=[redacted]"),
        (f"/x?a=1&LAB_KEY={CANARY}&b=2", "/x?a=1&LAB_KEY=[redacted]&b=2"),
        (f"/x?lab_key={CANARY}&lab_key={CANARY}", "/x?lab_key=[redacted]&lab_key=[redacted]"),
        (f"/x?%6cab_key={CANARY}", "/x?%6cab_key=[redacted]"),
        (f"/x?token={CANARY}", "/x?token=[redacted]"),
        (f"/x?key={CANARY}", "/x?key=[redacted]"),
        (f"/x?access_token={CANARY}'\"", "/x?access_token=[redacted]"),
        (f"/x?monkey={CANARY}", f"/x?monkey={CANARY}"),
        ("/x?lab_key=", "/x?lab_key=[redacted]"),
        (f"/t/{CANARY}", "/t/[redacted]"),
        (f"/t/{CANARY}/a/b?c=d", "/t/[redacted]/a/b?c=d"),
        (f"/v1/files/{CANARY}/raw", "/v1/files/[redacted]/raw"),
        (f"/v1/files/{CANARY}", f"/v1/files/{CANARY}"),
        (f'1.2.3.4 - "GET /t/{CANARY}/a HTTP/1.1" 200', '1.2.3.4 - "GET /t/[redacted]/a HTTP/1.1" 200'),
        ("see rl_0000000000000000000000000000000000000000000_000000 there", "see [redacted] there"),
    ],
)
def test_only_what_may_be_a_key_is_hidden(given, shown):
    """Names are compared decoded and without case; the rest of an address stays as it is."""
    redaction = Redaction(query=("lab_key",), paths=("/t/{key}/**", "/{version}/files/{key}/raw"))
    assert redaction.redact(given) == shown


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (f"asked for /x?lab_key={CANARY}", ()),
        ("asked for %s", (f"/x?lab_key={CANARY}",)),
        ("asked for %(path)s", ({"path": f"/x?lab_key={CANARY}"},)),
        ("%d%% of %s", (50, f"/t/{CANARY}/x")),
    ],
)
@pytest.mark.parametrize("name", ["rimlock", "rimlock.web", "uvicorn.error"])
def test_every_form_of_log_record_is_rewritten(caplog, name, message, arguments):
    """The key may be in the text, in an argument or in a named argument."""
    install(Redaction(query=("lab_key",), paths=("/t/{key}/**",)))
    caplog.set_level(logging.INFO, name)
    logging.getLogger(name).info(message, *arguments)
    assert CANARY not in caplog.text
    assert "[redacted]" in caplog.text


def test_a_filter_is_put_on_once():
    """Installing the same redaction again changes nothing; another one is added."""
    logger = logging.getLogger("uvicorn.access")
    before = len(logger.filters)
    for query in (("a",), ("a",), ("b",)):
        install(Redaction(query=query))
    assert len(logger.filters) == before + 2


class _Lines(logging.Handler):
    """Keeps formatted lines."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@contextmanager
def served(app):
    """Serve the application on a free port; yield its address and the lines of the access log."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="info")
    kept = _Lines()
    logging.getLogger("uvicorn.access").addHandler(kept)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", kept.lines
    finally:
        server.should_exit = True
        thread.join(10)
        logging.getLogger("uvicorn.access").removeHandler(kept)
