"""Who calls the laboratory: the desktop release of years ago, somebody in a browser, and programs nobody remembers."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, ClassVar

ANALYSIS = {
    "sample": "STORY-1",
    "instrument_id": 1,
    "method": "nitrate",
    "result": 10.0,
    "recorded_at": "2026-03-02T09:30:00Z",
}
OURS = "/auth/"
"""What Rimlock itself answers; it belongs to no route of the laboratory."""


@dataclass(frozen=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)


@dataclass
class Caller:
    """One program on one machine. On a loopback every 127.x.y.z is a machine of its own."""

    port: int
    agent: str
    headers: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    family: ClassVar[str] = "other"
    sent: ClassVar[Counter[tuple[str, str, str]]] = Counter()
    """What all callers sent, by route, kind of credential and family of client: what a report has to say."""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(self.address, 0))
        sent = {"User-Agent": self.agent, **self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            self._note(method, path)
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        """Read a page."""
        return self.ask("GET", path)

    def _note(self, method: str, path: str) -> None:
        if not path.startswith(OURS):
            kind = "token" if "Authorization" in self.headers else "key" if "X-API-Key" in self.headers else "none"
            self.sent[f"{method} {path.partition('?')[0]}", kind, self.family] += 1


class Desktop(Caller):
    """The first desktop release: the old paths, the shared key, no idea of anything newer."""

    family = "labdesk"

    def __init__(self, port: int, key: str, address: str = "127.0.1.1") -> None:
        """Hold the key that everybody holds."""
        super().__init__(port, "LabDesk/1.9 (Windows NT 10.0)", {"X-API-Key": key}, address)

    def hour(self) -> list[int]:
        """Do what somebody at a bench does within an hour."""
        return [answer.status for answer in (self.record(), *self.look())]

    def record(self) -> Answer:
        """Record a result."""
        return self.ask("POST", "/api/v1/analyses", ANALYSIS)

    def look(self) -> list[Answer]:
        """Look at what was recorded, and change nothing."""
        return [self.get("/explorer/summary?method=nitrate"), self.get("/api/v1/analyses?limit=20")]


class Person(Caller):
    """Somebody in a browser, with an account."""

    family = "firefox"

    def __init__(self, port: int, login: str, password: str, address: str = "127.0.2.1") -> None:
        """Know a login and a password."""
        super().__init__(port, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", {}, address)
        self.login, self.password = login, password
        self.refresh_token = self.device = ""

    def register(self) -> int:
        """Make the account."""
        form = {"email": f"{self.login}@example.com", "username": self.login, "password": self.password}
        return self.ask("POST", "/auth/register", form).status

    def sign_in(self, password: str | None = None) -> Answer:
        """Sign in as somebody whose device is known from the time before."""
        known = {"X_Rimlock_Device": self.device} if self.device else {}
        form = {"login": self.login, "password": password or self.password}
        answer = self.ask("POST", "/auth/login", form, **known)
        if answer.status == 200:
            self._hold(answer)
        return answer

    def refresh(self) -> int:
        """Get a new access token."""
        answer = self.ask("POST", "/auth/refresh", {"refresh_token": self.refresh_token})
        if answer.status == 200:
            self._hold(answer)
        return answer.status

    def hour(self) -> list[int]:
        """Come back after an hour, and look around."""
        return [self.refresh(), *(answer.status for answer in self.look())]

    def look(self) -> list[Answer]:
        """Look around."""
        return [self.get("/analyses?limit=20"), self.get("/explorer/summary?method=ph"), self.get("/auth/me")]

    def _hold(self, answer: Answer) -> None:
        tokens = answer.json
        self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.refresh_token = tokens.get("refresh_token", self.refresh_token)
        self.device = tokens.get("device_token", self.device)


class Script(Caller):
    """A program somebody wrote once, with no credential at all."""

    family = "python-requests"

    def __init__(self, port: int, number: int) -> None:
        """Run on a machine of its own."""
        super().__init__(port, "python-requests/2.19", {}, f"127.0.3.{number + 1}")

    def hour(self) -> list[int]:
        """Fetch the newest results."""
        return [answer.status for answer in self.look()]

    def look(self) -> list[Answer]:
        """Fetch what it always fetches."""
        return [self.get("/analyses?limit=5"), self.get("/reports/activity")]
