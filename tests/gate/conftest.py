"""The event loop the asynchronous tests of the gate run on."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend():
    """Run on asyncio, as the servers do."""
    return "asyncio"
