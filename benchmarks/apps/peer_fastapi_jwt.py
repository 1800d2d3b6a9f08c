"""fastapi-jwt with its bearer dependency. It looks no user up."""

# ruff: noqa: ARG001, B008, FAST002 - an argument is asked for its effect; as the documentation of the peer has it

import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Security
from fastapi_jwt import JwtAccessBearer, JwtAuthorizationCredentials

bearer = JwtAccessBearer(secret_key="wK3vX8qNfT5yLzR1jHcB6mPdG9sEaU2oVi7Q", auto_error=True)
tokens = [bearer.create_access_token(subject={"id": str(number)}) for number in range(500)]
Path(os.environ["BENCH_TOKENS"]).write_text("\n".join(tokens))
app = FastAPI()


@app.get("/open")
async def answer() -> dict[str, Any]:
    return {"ok": True, "id": 1}


@app.get("/gated")
async def gated(who: JwtAuthorizationCredentials = Security(bearer)) -> dict[str, Any]:
    return {"ok": True, "id": 1}
