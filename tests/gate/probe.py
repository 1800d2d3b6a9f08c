"""Speaks ASGI to an application directly, so that a test chooses every byte of the path and sees every message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from rimlock.core.errors import CredentialMissing


@dataclass
class Rules:
    """A judge that answers from a table and remembers what it was asked. `default` is for all that is not named."""

    table: dict[Any, Any] = field(default_factory=dict)
    default: Any = field(default_factory=CredentialMissing)
    asked: list[Any] = field(default_factory=list)

    def __call__(self, scope, target):
        key = None if target is None else target.key
        self.asked.append(key)
        return self.table.get(key, self.default)

    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def open_rules():
    """Return a judge that lets everything through."""
    return Rules(default=None)


@dataclass
class Answer:
    """What came back, and how often the application asked for a part of the request."""

    messages: list[dict[str, Any]]
    received: int

    @property
    def status(self):
        return next(m["status"] for m in self.messages if m["type"].endswith("response.start"))

    @property
    def headers(self):
        start = next(m for m in self.messages if m["type"].endswith("response.start"))
        return {name.decode().lower(): value.decode() for name, value in start["headers"]}

    @property
    def body(self):
        return b"".join(m.get("body", b"") for m in self.messages if m["type"].endswith("response.body"))

    @property
    def kinds(self):
        return [m["type"] for m in self.messages]


def scope_of(kind, path, method="GET", *, headers=(), root_path="", extensions=None, subprotocols=()):
    """Return a scope as a server would make it."""
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 50000),
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": root_path,
        "headers": [(b"host", b"testserver"), *headers] if not any(h[0] == b"host" for h in headers) else list(headers),
        "extensions": extensions or {},
    }
    return {**scope, "method": method} if kind == "http" else {**scope, "subprotocols": list(subprotocols)}


async def talk(app, scope, incoming):
    """Run one connection to its end."""
    messages: list[dict[str, Any]] = []
    received = 0

    async def receive():
        nonlocal received
        received += 1
        return incoming[received - 1] if received <= len(incoming) else {"type": "http.disconnect"}

    async def send(message):
        messages.append(message)

    await app(scope, receive, send)
    return Answer(messages, received)


def http(app, path, method="GET", *, body=b"", **scope):
    """Send one HTTP request."""
    incoming = [{"type": "http.request", "body": body, "more_body": False}]
    return asyncio.run(talk(app, scope_of("http", path, method, **scope), incoming))


def socket(app, path, **scope):
    """Open a websocket and close it again."""
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    return asyncio.run(talk(app, scope_of("websocket", path, **scope), incoming))
