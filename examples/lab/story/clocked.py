"""The fitted laboratory under a clock that the story moves: `LAB_CLOCK` names a file with seconds to add.

A day of traffic takes a few seconds this way, and is a day to everything that counts it.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import time

from lab.main import create_app
from lab.security import require_api_key

from rimlock import Rimlock

OFFSET = Path(os.environ["LAB_CLOCK"])


def clock() -> float:
    """Return the moment the story is at, in seconds since the epoch."""
    return time() + float(OFFSET.read_text())


app = create_app()
auth = Rimlock.from_env(clock=clock)
auth.install(app)
auth.adopt(app, require_api_key, "lab:use")
