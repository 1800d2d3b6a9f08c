"""The least a refresh can be on PostgreSQL: one guarded statement by the driver, one signature, one answer."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel

STATEMENT = """UPDATE auth_session SET generation = generation + 1, refreshed_at = $3
WHERE id = $1 AND generation = $2 AND ended_at IS NULL RETURNING user_id, generation"""
key = Ed25519PrivateKey.generate()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["BENCH_DATABASE"], min_size=1, max_size=8) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


class Form(BaseModel):
    refresh_token: str


def encoded(value: Any) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")


@app.post("/refresh")
async def refresh(form: Form, request: Request) -> Response:
    version, session, generation, *_ = form.refresh_token.split(".")
    now = int(time.time())
    row = await request.app.state.pool.fetchrow(STATEMENT, session, int(generation), now)
    if row is None:
        raise HTTPException(401)
    signed = encoded({"alg": "EdDSA"}) + b"." + encoded({"sub": row["user_id"], "sid": session, "exp": now + 900})
    token = (signed + b"." + base64.urlsafe_b64encode(key.sign(signed)).rstrip(b"=")).decode()
    answer = {"access_token": token, "refresh_token": f"{version}.{session}.{row['generation']}.mac"}
    return Response(json.dumps(answer), media_type="application/json")
