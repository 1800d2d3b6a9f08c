"""Things that are good once, used many times at the same moment."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

from profiles.fastapi_users.town import BETTER, PLAIN, bearing, hash_of, moved, old_token, town

pytestmark = [pytest.mark.req("L9"), pytest.mark.attack("race")]

HOUR, MANY = 3600, 12


def at_once(portal, app, requests):
    """Send all requests at the same moment, and return the sorted status codes of their answers."""

    async def send():
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
            answers = await asyncio.gather(*(client.post(path, **sent) for path, sent in requests))
        return sorted(answer.status_code for answer in answers)

    return portal.call(send)


class Loop:
    """A portal with `call`, as the helpers want one, on one loop with everything else."""

    def __init__(self, portal):
        self.portal = portal


def test_one_of_many_exchanges_gets_a_session(database_url, clock):
    """Everybody else gets 401, and the old token is worth nothing."""
    app, auth, _ = town(database_url, clock, login_rate=100)
    with start_blocking_portal() as portal:
        portal.call(auth.start)
        token = old_token(moved(Loop(portal), auth, "ann@example.com"), exp=int(clock()) + HOUR)
        exchange = ("/auth/jwt/exchange", {"headers": bearing(token)})
        assert at_once(portal, app, [exchange] * MANY) == [200] + [401] * (MANY - 1)
        portal.call(auth.stop)


def test_one_of_many_uses_of_an_old_link_changes_the_password(database_url, clock):
    """Two links of the same time, each used by several at once: one password is set."""
    app, auth, _ = town(database_url, clock, login_rate=100)
    with start_blocking_portal() as portal:
        portal.call(auth.start)
        ann = moved(Loop(portal), auth, "ann@example.com")
        fingerprint = PLAIN.hash(hash_of(Loop(portal), auth, ann))
        links = [
            old_token(ann, audience="fastapi-users:reset", password_fgpt=fingerprint, exp=int(clock()) + HOUR + extra)
            for extra in (0, 1)
        ]
        bodies = [{"json": {"token": link, "password": BETTER}} for link in links * 3]
        assert at_once(portal, app, [("/auth/reset-password", body) for body in bodies]) == [200] + [400] * 5
        portal.call(auth.stop)
