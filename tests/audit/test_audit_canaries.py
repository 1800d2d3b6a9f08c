"""Secrets of every kind are pushed through every flow, and heard of nowhere."""

from __future__ import annotations

import json
import logging
import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.engine import make_url

from audit.office import fitted, rows
from rimlock import Rule, Stage
from rimlock.core.logbook import JsonFormatter
from rimlock.features.password import logic
from rimlock.testing import FrozenClock

pytestmark = [pytest.mark.req("T4"), pytest.mark.asvs("16.2.5", "14.2.1"), pytest.mark.attack("secret in a log")]

FIRST, SECOND, WRONG = "Kanarienvogel-5417-gelb", "Zebrafink-9932-blaugrau", "falsche Nachtigall 77"
NAMED = re.compile(r'"(?:access_token|refresh_token|key|code|temporary_password|\w+_token)": ?"([^"]+)"')
ITEM, BROWSER = "/items/1", {"X-Rimlock": "1", "Origin": "http://localhost:8000"}


class Choir:
    """A client that keeps every secret it is given, and every answer that refused it."""

    def __init__(self, client):
        self.client, self.secrets, self.refused, self.codes = client, {FIRST, SECOND, WRONG}, [], set()

    def ask(self, method, path, sent=None, expect=200, **more):
        """Ask, and hold the answer to its status."""
        answer = self.client.request(method, path, json=sent, **more)
        assert answer.status_code == expect, (method, path, answer.text)
        cookie = answer.headers.get("set-cookie", "").partition(";")[0].partition("=")[2]
        if expect >= 400:
            self.refused.append(answer.text + str(answer.headers))
        else:
            self.secrets |= {cookie, *(one for one in NAMED.findall(answer.text) if len(one) > 15)} - {""}
        return answer

    def sign_in(self, login, password, expect=200, **more):
        """Sign in by password."""
        return self.ask("POST", "/auth/login", {"login": login, "password": password, **more}, expect)


def begin(choir, link):
    """Make the first administrator by the link; return the answer to their sign-in."""
    root = {"email": "root@example.com", "password": FIRST}
    choir.ask("POST", "/auth/first-admin", {**root, "token": link[:-2] + "AA"}, 400)
    choir.ask("POST", "/auth/first-admin", {**root, "token": link}, 201)
    choir.sign_in(FIRST, SECOND, 401)
    choir.sign_in("root@example.com", WRONG, 401)
    return choir.sign_in("root@example.com", FIRST)


def administer(choir, headers):
    """Invite somebody, make somebody with a temporary password, and let both in."""
    code = choir.ask("POST", "/auth/admin/invitations", {"seats": 1}, 201, headers=headers).json()["code"]
    new = {"email": "a@example.com", "password": SECOND}
    choir.ask("POST", "/auth/register", {**new, "invitation": f"{code}x"}, 403)
    choir.ask("POST", "/auth/register", {**new, "invitation": code}, 201)
    made = choir.ask("POST", "/auth/admin/users", {"email": "t@example.com"}, 201, headers=headers).json()
    pending = choir.client.post("/auth/login", json={"login": "t@example.com", "password": made["temporary_password"]})
    choir.secrets |= set(NAMED.findall(pending.text))
    assert "pending_token" in pending.text


def use_keys(choir, headers):
    """Make a key, use it, revoke it, use it in vain, and try it where it does not belong."""
    made = choir.ask("POST", "/auth/api-keys", {"name": "robot"}, 201, headers=headers).json()
    key = made["key"]
    choir.ask("GET", ITEM, headers={"X-API-Key": key})
    choir.ask("DELETE", f"/auth/api-keys/{made['id']}", None, 204, headers=headers)
    choir.ask("GET", ITEM, None, 401, headers={"X-API-Key": key})
    choir.ask("GET", ITEM, None, 401, headers={"Authorization": f"Bearer {key}x"})
    choir.ask("GET", f"{ITEM}?token={key}", None, 401)


def refresh(choir, clock, tokens):
    """Refresh by cookie and by body, from a page that may not, and after somebody else did."""
    kept = choir.ask(
        "POST",
        "/auth/login",
        {"login": "root@example.com", "password": FIRST, "transport": "cookie"},
        headers=BROWSER,
    )
    cookie = {"Cookie": kept.headers["set-cookie"].partition(";")[0]}
    choir.ask("POST", "/auth/refresh", None, 403, headers=cookie)
    choir.ask("POST", "/auth/refresh", headers=cookie | BROWSER)
    renewed = choir.ask("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]}).json()
    clock.advance(120)
    choir.ask("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]}, 401)
    choir.ask("POST", "/auth/refresh", {"refresh_token": renewed["refresh_token"]}, 401)


def fail_inside(choir, auth):
    """Let changes fail with errors that quote what they were given."""

    def record(_):
        raise RuntimeError(FIRST)

    auth.database.record = record
    choir.sign_in("root@example.com", FIRST, 503)


def test_canaries_of_every_kind_sing_nowhere(database_url, caplog):
    """Passwords, tokens, keys, codes, cookies, the database's password: in no record, row, event or refusal."""
    caplog.set_level(logging.DEBUG)
    clock = FrozenClock()
    rules = [Rule(pattern="GET /items/{item_id}", stage=Stage.REQUIRED)]
    app, auth, events = fitted(database_url, clock=clock, registration="invitation", rules=rules)
    with TestClient(app) as client:
        choir = Choir(client)
        link = client.portal.call(logic.first_admin_link, auth.context)
        choir.secrets |= {link, make_url(database_url).password or link}
        tokens = begin(choir, link).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        administer(choir, headers)
        use_keys(choir, headers)
        wrong = {"current_password": WRONG, "new_password": SECOND}
        choir.ask("POST", "/auth/password", wrong, 403, headers=headers)
        choir.refused.append(choir.ask("GET", "/auth/admin/audit", headers=headers).text)
        choir.refused.append(client.get("/auth/metrics", headers=headers).text)
        refresh(choir, clock, tokens)
        found = rows(client, auth)
        fail_inside(choir, auth)
    told = [everything(one) for one in caplog.records if not one.name.startswith(("httpx", "aiosqlite"))]
    told += [repr(row) for row in found] + [repr(one) + str(one.facts()) for one in events] + choir.refused
    assert len(found) > 15
    assert len(choir.secrets) > 14
    assert sung(choir.secrets, told) == []
    assert sung({"RuntimeError", "PasswordRecheckFailed", "credential_invalid"}, told), "the places are looked into"


def sung(secrets, told):
    """Return where secrets are heard of, shown by what they begin with."""
    return [(secret[:6], text[:300]) for secret in secrets for text in told if secret in text]


def everything(record):
    """Return whatever any formatter could show of a record."""
    trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    fields = {name: value for name, value in vars(record).items() if name not in {"pathname", "filename"}}
    line = json.loads(JsonFormatter().format(record))
    return f"{record.getMessage()} {fields!r} {trace} {line}"
