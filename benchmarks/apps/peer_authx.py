"""AuthX with its access token dependency. It looks no user up."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from authx import AuthX, AuthXConfig
from fastapi import Depends, FastAPI

config = AuthXConfig(
    JWT_ALGORITHM="HS256",
    JWT_SECRET_KEY="wK3vX8qNfT5yLzR1jHcB6mPdG9sEaU2oVi7Q",
    JWT_TOKEN_LOCATION=["headers"],
    JWT_ACCESS_TOKEN_EXPIRES=timedelta(hours=10),
)
auth = AuthX(config=config)
tokens = [auth.create_access_token(uid=str(number)) for number in range(500)]
Path(os.environ["BENCH_TOKENS"]).write_text("\n".join(tokens))
app = FastAPI()
auth.handle_errors(app)


@app.get("/open")
async def answer() -> dict[str, Any]:
    return {"ok": True, "id": 1}


@app.get("/gated", dependencies=[Depends(auth.access_token_required)])
async def gated() -> dict[str, Any]:
    return {"ok": True, "id": 1}
