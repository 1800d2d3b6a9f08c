"""An installation whose accounts live a whole life: registered, proven, forgotten and found again.

The hash costs what the environment says. The limits refuse nothing, and count as always. Mails stay in the outbox, and
`/mailed` hands out what their links are good for.
"""

from __future__ import annotations

import os

from fastapi import FastAPI
from installation import built

from rimlock.crypto.passwords.argon import CHEAPEST_FOR_TESTS, DEFAULT
from rimlock.crypto.passwords.hashes import PasswordHashes
from rimlock.testing import Outbox

PLENTY = 1_000_000

auth = built(
    os.environ["BENCH_DATABASE"],
    hasher=PasswordHashes(CHEAPEST_FOR_TESTS if os.environ["BENCH_HASH"] == "cheapest" else DEFAULT),
    mail_url="none:",
    registration_rate=PLENTY,
    login_rate=PLENTY,
)
outbox = Outbox(auth)
app = FastAPI()


@app.get("/mailed")
async def mailed() -> dict[str, str]:
    """Return the newest secret for each address since this was asked last."""
    found = {one.to: str(one.facts["link"]).partition("?token=")[2] for one in outbox.messages if "link" in one.facts}
    outbox.clear()
    return found


auth.install(app)
