"""API keys for the load, made the way the feature makes them."""

from __future__ import annotations

import time
from typing import Any

from rimlock.core import keys

__all__ = ["made"]


async def made(auth: Any, count: int) -> tuple[list[str], str]:
    """Return `count` service keys of the installation, and an empty reason."""
    now = int(time.time())

    def work(tx: Any) -> list[str]:
        return [keys.issue(tx, keys.NewKey(name=f"load {place}"), prefix="rl", now=now)[0] for place in range(count)]

    return await auth.database.write(work), ""
