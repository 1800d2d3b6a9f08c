"""An application with keys fitted onto it, and people who may use it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from rimlock import CurrentPrincipal, Rimlock, Settings, require_permission, require_role, require_scope
from rimlock.core import accounts, sessions
from rimlock.core.clock import Clock, system_clock
from rimlock.core.login import Proof, complete
from rimlock.core.rulefile import ImportedKey
from rimlock.core.users import NewUser
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.api_keys import ApiKeys

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
ROLES = {"chemist": ["analyses:read", "analyses:write"]}


def host() -> FastAPI:
    """An application as its owners wrote it, with a few routes that ask who is there."""
    app = FastAPI()

    @app.get("/items")
    def items():
        return {"items": []}

    @app.get("/t/{key}/items")
    def items_by_path(key: str):
        return {"items": []}

    @app.get("/me")
    def me(principal: CurrentPrincipal):
        return {
            "subject": principal.subject,
            "kind": principal.kind,
            "label": principal.label,
            "roles": sorted(principal.roles),
            "permissions": sorted(principal.permissions),
            "scopes": sorted(principal.scopes),
        }

    @app.get("/scoped", dependencies=[require_scope("analyses:read")])
    def scoped():
        return {}

    @app.get("/ruled", dependencies=[require_role("chemist")])
    def ruled():
        return {}

    @app.get("/permitted", dependencies=[require_permission("analyses:write")])
    def permitted():
        return {}

    return app


def fitted(
    url: str, keys: ApiKeys | None = None, *, rules: Any = (), clock: Clock = system_clock, **settings: Any
) -> tuple[Rimlock, FastAPI]:
    """Fit keys onto a new application."""
    auth = Rimlock(
        Settings(secrets=[SECRET], database=url, create_tables=True, **settings),
        rules=rules,
        roles=ROLES,
        features=[keys or ApiKeys()],
        hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
        clock=clock,
    )
    app = host()
    auth.install(app)
    return auth, app


@dataclass(frozen=True)
class Person:
    """Somebody signed in."""

    id: str
    token: dict[str, str]


def person(client: TestClient, auth: Rimlock, name: str = "ann", roles: tuple[str, ...] = ()) -> Person:
    """Make an account with these roles and sign it in."""
    now = auth.context.now()

    def work(tx):
        user = auth.context.users.create(tx, NewUser(email=f"{name}@example.com"), now)
        accounts.open_account(tx, user.id, now=now, roles=roles)
        proof = Proof(user_id=user.id, method="test", at=now)
        return complete(tx, proof, device=sessions.Device(), lifetimes=auth.context.lifetimes, policies=(), now=now)

    signed_in = written(client, auth, work)
    body = json.loads(auth.context.entrance.admit(signed_in).body)
    return Person(signed_in.account.user_id, {"Authorization": f"Bearer {body['access_token']}"})


def written(client: TestClient, auth: Rimlock, work: Any) -> Any:
    """Run a transaction on the application's own loop."""
    return client.portal.call(lambda: auth.database.write(work))


def make(client: TestClient, somebody: Person, **form: Any) -> dict[str, Any]:
    """Make a key through the interface and return the answer."""
    answer = client.post("/auth/api-keys", json={"name": "script", **form}, headers=somebody.token)
    assert answer.status_code == 201, answer.text
    return answer.json()


def start_and_stop(url: str, imported: tuple[ImportedKey, ...], environment: dict[str, str], gate: Any) -> None:
    """What one of several processes does: wait for the others, then start."""

    async def run() -> None:
        auth, _ = fitted(url, ApiKeys(imported, environment=environment))
        gate.wait(50)
        await auth.start()
        await auth.stop()

    asyncio.run(run())
