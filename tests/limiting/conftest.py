"""Where attempts can be counted."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def counters_url(request):
    """The URL of each place in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))
