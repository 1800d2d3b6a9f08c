"""The same application with accounts: nothing above it was edited."""

from __future__ import annotations

from lab.main import create_app
from lab.security import require_api_key
from rimlock import Rimlock

app = create_app()
auth = Rimlock.from_env()
auth.install(app)
auth.adopt(app, require_api_key, "lab:use")
