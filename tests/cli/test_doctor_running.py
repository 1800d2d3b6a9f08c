"""What `rimlock doctor --url` makes of answers that are no health check, and of addresses that are none."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager

import pytest

pytestmark = pytest.mark.req("L8", "N6")


def looked(terminal, url, **environment):
    """Return what doctor says of the running server: the exit code, and each finding by name."""
    seen = terminal("doctor", "--json", "--url", url, **environment)
    return seen.code, {one["name"]: one for one in seen.json["items"] if one["name"].startswith("running")}


def states(found):
    """The state of each finding."""
    return {name: one["state"] for name, one in found.items()}


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1", "127.0.0.1:8000", "http://ann:hunter2@127.0.0.1", "http://h:99999", "http://[", "http://h/a"],
)
def test_what_is_no_address_of_a_server_is_refused_and_not_repeated(lone_terminal, url):
    """A name or a password in it would be shown, and a path would be another place than the settings'."""
    code, found = looked(lone_terminal, url)
    assert (code, states(found)) == (1, {"running server": "fail"})
    assert "hunter2" not in json.dumps(found)


@contextmanager
def answering(status, body, **headers):
    """Serve one answer to everything; yield (port, paths that were asked)."""
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


@pytest.mark.attack("a server of somebody else's that answers in the place of ours")
@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        b"[]",
        b"null",
        b'{"parts": 7}',
        b'{"parts": {"follower": 7}}',
        b"[" * 60_000,
        b"\xff",
        b"x" * 99_999,
    ],
)
def test_another_answer_than_a_health_check_is_no_well_server(lone_terminal, body):
    """Whatever it is, it is one finding, and no end of the doctor."""
    with answering(200, body) as (port, _):
        code, found = looked(lone_terminal, f"http://127.0.0.1:{port}")
    assert (code, states(found)) == (1, {"running server": "fail"})


@pytest.mark.attack("a redirect that makes the doctor ask another server")
def test_no_redirect_is_followed(lone_terminal):
    """What was named is asked, at the path of the settings, and nothing else."""
    with (
        answering(200, b"{}") as (other, asked),
        answering(302, b"", Location=f"http://127.0.0.1:{other}/") as (port, here),
    ):
        code, found = looked(lone_terminal, f"http://127.0.0.1:{port}", RIMLOCK_PREFIX="/identity")
    assert (code, found["running server"]["state"], asked) == (1, "fail", [])
    assert set(here) == {"/identity/health"}


@pytest.mark.parametrize("lag", ["null", '"0"', "true", "NaN", "-1", "1e999"])
def test_a_lag_that_is_no_number_is_no_well_follower(lone_terminal, lag):
    """A part without a lag, or with one that cannot be, is not believed to be well."""
    body = f'{{"parts": {{"follower": {{"status": "ok", "lag_seconds": {lag}}}}}}}'.encode()
    with answering(200, body) as (port, _):
        _, found = looked(lone_terminal, f"http://127.0.0.1:{port}")
    assert found["running follower"]["state"] == "fail"
