"""The one key. Writers and the explorer present it in X-API-Key; everybody else needs nothing."""

from __future__ import annotations

from secrets import compare_digest
from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader

from lab import settings

api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The laboratory's shared key.")


def require_api_key(presented: Annotated[str | None, Security(api_key_header)] = None) -> None:
    """Let the request through when it carries the configured key, or raise 401."""
    expected = settings.api_key()
    if not expected or not presented or not compare_digest(presented.encode(), expected.encode()):
        raise HTTPException(401, "Invalid or missing API key")
