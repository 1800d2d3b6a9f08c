"""An application with every kind of route, and a small feature that reads keys: what the suites here fit Rimlock to."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.requests import HTTPConnection
from starlette.testclient import WebSocketDenialResponse

from rimlock import Feature, Principal, Rimlock, Settings
from rimlock.core import sessions, usage
from rimlock.core.errors import CredentialInvalid
from rimlock.crypto import jose
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.web.credentials import KeyReader, from_header
from rimlock.web.judge import PASSAGE

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
KEY = "old-key-of-the-plotter"
KINDS = ("/sync", "/async", "/sub/route", "/files/page.txt", "/live")


class Keys(Feature):
    """Knows one key, in X-API-Key."""

    name = "keys"

    def readers(self, context):
        return [KeyReader([from_header("X-API-Key")], _resolve)]


def _resolve(text, _now):
    if text != KEY.encode():
        return CredentialInvalid()
    return Principal(subject="key:k1", kind="key", credential_id="k1", label="plotter", scopes=frozenset({"read"}))


def fitted(app, url, *, features=(), **given) -> Rimlock:
    """Install a Rimlock with a cheap hasher; settings and parts are told apart by name."""
    settings = {name: given.pop(name) for name in list(given) if name in Settings.__dataclass_fields__}
    settings = {"secrets": [SECRET], "create_tables": True, **settings}
    given.setdefault("hasher", PasswordHashes(CHEAPEST_FOR_TESTS))
    auth = Rimlock(Settings(database=url, **settings), features=features, **given)
    auth.install(app)
    return auth


def every_kind_of_route(folder) -> FastAPI:
    """An application with a sync and an async route, a mounted application, files and a WebSocket."""
    app, sub = FastAPI(), FastAPI()
    (folder / "page.txt").write_text("as before")

    @app.get("/sync")
    def sync(connection: HTTPConnection):
        return whom(connection)

    @app.get("/async")
    async def asynchronous(connection: HTTPConnection):
        return whom(connection)

    @sub.get("/route")
    def below(connection: HTTPConnection):
        return whom(connection)

    @app.websocket("/live")
    async def live(socket: WebSocket):
        await socket.accept()
        await socket.send_json(whom(socket))
        await socket.close()

    app.mount("/sub", sub)
    app.mount("/files", StaticFiles(directory=folder))
    return app


def whom(connection: HTTPConnection) -> str | None:
    """The subject that the gate let through."""
    passage = connection.scope.get(PASSAGE)
    return passage.principal.subject if passage and passage.principal else None


def ask(client, path, headers=()) -> tuple[int, Any, str | None]:
    """Ask a route of any kind: status (101 for an accepted WebSocket), what it saw, the challenge."""
    if path == "/live":
        try:
            with client.websocket_connect(path, headers=dict(headers)) as socket:
                return 101, socket.receive_json(), None
        except WebSocketDenialResponse as denied:
            return denied.status_code, None, denied.headers.get("www-authenticate")
    answer = client.get(path, headers=dict(headers))
    seen = answer.json() if answer.headers["content-type"] == "application/json" else answer.text
    return answer.status_code, seen, answer.headers.get("www-authenticate")


def end_session(auth, client, visitor, reason="logout"):
    """End a session as a logout does."""
    now = auth.context.now()
    client.portal.call(auth.database.write, lambda tx: sessions.end(tx, visitor.session_id, reason=reason, now=now))


def change(auth, client, work):
    """Run one transaction."""
    return client.portal.call(auth.database.write, work)


def recorded(auth, client) -> list[usage.Observation]:
    """What is on record once everything that waits is written."""
    client.portal.call(auth.flush)
    return client.portal.call(auth.database.read, usage.observed)


def forged(token: str) -> str:
    """The same claims with a signature of nobody's."""
    head, body, signature = token.split(".")
    return f"{head}.{body}.{signature[:-6]}{'AAAAAA' if signature[-6:] != 'AAAAAA' else 'BBBBBB'}"


def foreign(now: float, issuer="https://elsewhere.example") -> str:
    """A token of somebody else's, for somebody else."""
    claims = {"iss": issuer, "aud": issuer, "sub": "u1", "iat": int(now), "exp": int(now) + 900, "jti": "j1"}
    return jose.sign(jose.generate(jose.Algorithm.ED25519, "theirs"), claims)


def bearer(token: str) -> dict[str, str]:
    """The header a token travels in."""
    return {"Authorization": f"Bearer {token}"}


def eventually(answer, wanted, seconds=5.0):
    """Ask until the answer is the wanted one; return the last answer."""
    end = monotonic() + seconds
    while (found := answer()) != wanted and monotonic() < end:
        sleep(0.01)
    return found
