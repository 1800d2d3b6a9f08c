"""A token that was met before is recognised by its header, and by nothing that has changed since."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import Rimlock, Rule, Settings, Stage
from rimlock.core import accounts, keyring, keys, sessions
from rimlock.core.login import Proof, SignedIn, complete
from rimlock.core.users import NewUser, OwnUsers
from rimlock.crypto.opaque import new_api_key
from rimlock.features.api_keys import ApiKeys
from rimlock.testing import FrozenClock

SECRET = "yB6tQn2sLw9vXc4kRz8mJf1pHd7gEa5u"


def fitted(url: str, clock: FrozenClock) -> tuple[Rimlock, FastAPI]:
    """Return an application with one guarded route, and its installation."""
    app = FastAPI()

    @app.get("/guarded")
    def guarded() -> dict[str, bool]:
        return {"ok": True}

    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True),
        rules=[Rule(pattern="/guarded", stage=Stage.REQUIRED)],
        features=[ApiKeys()],
        clock=clock,
    )
    auth.install(app)
    return auth, app


def signed_in(auth: Rimlock, clock: FrozenClock) -> tuple[str, str]:
    """Sign somebody in; return the session and its access token."""
    now = int(clock())

    def work(tx: Any) -> Any:
        user = OwnUsers().create(tx, NewUser(email="ann@example.com"), now)
        accounts.open_account(tx, user.id, now=now)
        proof = Proof(user_id=user.id, method="password", at=now)
        return complete(tx, proof, device=sessions.Device(), lifetimes=auth.context.lifetimes, policies=(), now=now)

    done = asyncio.run(auth.database.write(work))
    assert isinstance(done, SignedIn)
    return done.session.id, json.loads(bytes(auth.context.entrance.admit(done).body))["access_token"]


def test_a_token_met_before_ends_with_its_session(sqlite_url: str, clock: FrozenClock) -> None:
    """However often it was let in, the next request after the end of its session is refused."""
    auth, app = fitted(sqlite_url, clock)
    with TestClient(app) as client:
        session, token = signed_in(auth, clock)
        ask = {"Authorization": f"Bearer {token}"}
        assert [client.get("/guarded", headers=ask).status_code for _ in range(3)] == [200, 200, 200]
        asyncio.run(auth.database.write(lambda tx: sessions.end(tx, session, reason="logout", now=int(clock()))))
        assert client.get("/guarded", headers=ask).status_code == 401


def test_a_token_met_before_ends_at_its_time(sqlite_url: str, clock: FrozenClock) -> None:
    """What was let in a moment before its end is refused afterwards."""
    auth, app = fitted(sqlite_url, clock)
    with TestClient(app) as client:
        _, token = signed_in(auth, clock)
        ask = {"Authorization": f"Bearer {token}"}
        assert client.get("/guarded", headers=ask).status_code == 200
        clock.advance(899)
        assert client.get("/guarded", headers=ask).status_code == 200
        clock.advance(60)
        assert client.get("/guarded", headers=ask).status_code == 401


def test_a_token_met_before_ends_with_its_key(sqlite_url: str, clock: FrozenClock) -> None:
    """A signing key taken out of use takes the tokens with it that were met before."""
    auth, app = fitted(sqlite_url, clock)
    with TestClient(app) as client:
        _, token = signed_in(auth, clock)
        ask = {"Authorization": f"Bearer {token}"}
        assert [client.get("/guarded", headers=ask).status_code for _ in range(2)] == [200, 200]
        kid = auth.context.ring().keys[0].kid
        asyncio.run(auth.database.write(lambda tx: keyring.revoke(tx, kid, now=int(clock()))))
        assert client.get("/guarded", headers=ask).status_code == 401


def test_a_token_met_before_hides_no_second_credential(sqlite_url: str, clock: FrozenClock) -> None:
    """A bad key beside a token that is known to be good refuses the request, as it did the first time."""
    auth, app = fitted(sqlite_url, clock)
    with TestClient(app) as client:
        _, token = signed_in(auth, clock)
        ask = {"Authorization": f"Bearer {token}"}
        assert [client.get("/guarded", headers=ask).status_code for _ in range(2)] == [200, 200]
        beside = {**ask, "X-API-Key": new_api_key()}
        assert client.get("/guarded", headers=beside).status_code == 401
        doubled = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
        assert client.get("/guarded", headers=doubled).status_code == 401


def test_a_key_met_before_ends_with_its_revocation_and_its_time(database_url: str, clock: FrozenClock) -> None:
    """A recalled key is refused on the request after it was revoked, and from the second on in which it ends."""
    auth, app = fitted(database_url, clock)
    now = int(clock())
    lasting = keys.NewKey(name="lasting")
    short = keys.NewKey(name="short", expires_at=now + 30)
    with TestClient(app) as client:
        assert client.portal is not None
        texts, made = [], []
        for new in (lasting, short):
            text, key = client.portal.call(
                auth.database.write, lambda tx, new=new: keys.issue(tx, new, prefix="rl", now=now)
            )
            texts.append({"X-API-Key": text})
            made.append(key)
        assert [client.get("/guarded", headers=ask).status_code for ask in texts * 3] == [200] * 6
        clock.advance(30)
        assert [client.get("/guarded", headers=ask).status_code for ask in texts] == [200, 401]
        client.portal.call(auth.database.write, lambda tx: keys.revoke(tx, made[0].id, now=int(clock())))
        assert client.get("/guarded", headers=texts[0]).status_code == 401
