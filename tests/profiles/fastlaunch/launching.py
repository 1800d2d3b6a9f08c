"""Small applications that speak the LAUNCH dialect, and what their callers do."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Settings
from rimlock.core.events import Event
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.profiles.fastlaunch import FastLaunch
from rimlock.testing import Outbox

ROOT = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
PAGES, API = "https://app.example.com", "https://api.example.com"
GOOD = "seven green ladders"
JOHN = {"username": "john_doe", "email": "john@example.com", "password": GOOD}


class Launched:
    """An application: a client of it, its Rimlock, the mails it posts and the events it emits."""

    def __init__(self, url, *, clock=None, profile=None, also=(), **settings):
        plain = {"frontend_url": PAGES, "backend_url": API, "issuer": API, "mail_url": "none:"}
        self.auth = Rimlock(
            Settings(secrets=[ROOT], database=url, create_tables=True, **{**plain, **settings}),
            also=also,
            profiles=[profile or FastLaunch()],
            native=False,
            hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
            **({"clock": clock} if clock else {}),
        )
        self.app = FastAPI()
        self.auth.install(self.app)
        self.outbox, self.events = Outbox(self.auth), []
        self.auth.on(Event, self.events.append)
        self.client = TestClient(self.app, base_url=API, follow_redirects=False)

    def __enter__(self):
        self.client.__enter__()
        return self

    def __exit__(self, *error):
        self.client.__exit__(*error)

    def get(self, path, **given):
        """Send a GET to a route of the dialect."""
        return self.client.get(f"/auth{path}", **given)

    def post(self, path, **given):
        """Send a POST to a route of the dialect."""
        return self.client.post(f"/auth{path}", **given)

    def link(self, kind="verify_email", address=JOHN["email"]):
        """Return path and query of the newest link that was mailed."""
        parts = urlsplit(self.outbox.link(address, kind))
        return f"{parts.path}?{parts.query}"

    def verified(self, who=JOHN):
        """Make an account and follow the link."""
        assert self.post("/create-user", json=who).status_code == 201
        assert self.client.get(self.link(address=who["email"])).status_code == 307

    def signed_in(self, who=JOHN):
        """Return the tokens of a sign-in."""
        answer = self.post("/token", data={"username": who["username"], "password": who["password"]})
        assert answer.status_code == 200, answer.text
        return answer.json()


def bearer(tokens):
    """Return the header a set of tokens is good for."""
    return {"Authorization": f"Bearer {tokens['access_token']}"}


def said(answer):
    """Return the page a redirect leads to, and what its address says."""
    parts = urlsplit(answer.headers["location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {
        name: values[0] for name, values in parse_qs(parts.query).items()
    }
