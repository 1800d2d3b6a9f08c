"""The application that is killed: sessions, and a route that signs somebody in by name."""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI, Response

from rimlock import Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.login import Proof, complete
from rimlock.core.sessions import Device
from rimlock.crypto.passwords import CHEAPEST_FOR_TESTS, PasswordHashes
from rimlock.features.sessions import SessionsFeature

SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
auth = Rimlock(
    Settings(secrets=[SECRET], database=os.environ["SERVED_DATABASE"], create_tables=True),
    features=[SessionsFeature()],
    hasher=PasswordHashes(CHEAPEST_FOR_TESTS),
)
app = FastAPI()


@app.post("/enter/{name}")
async def enter(name: str) -> Response:
    """Sign in, through the door every sign-in goes through."""
    context = auth.context
    now = context.now()

    def work(tx):
        if accounts.standing(tx, name) is None:
            accounts.open_account(tx, name, now=now)
        proof = Proof(user_id=name, method="test", at=now)
        return complete(tx, proof, device=Device(), lifetimes=context.lifetimes, policies=(), now=now)

    return context.entrance.admit(await auth.database.write(work))


auth.install(app)

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["SERVED_PORT"]), log_level="error")
