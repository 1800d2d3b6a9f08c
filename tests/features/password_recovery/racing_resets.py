"""One of several processes that reset a password, or prove an address, by the same link, started together.

`racing_resets.py reset|confirm URL TOKEN TIMES`; a line on stdin lets it go, the outcomes are JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from features.email_verification.postbox import BETTER, posted
from rimlock.core.errors import AuthError
from rimlock.features.email_verification import logic as addresses
from rimlock.features.password_recovery import logic as recovery


async def race(what, url, token, times):
    """Do the work so many times at once; return what came of each."""
    _, auth, _, _ = posted(url)
    await auth.start()
    context = auth.context

    async def reset(number):
        await recovery.reset(context, token, f"{BETTER} number {number}")
        return "reset"

    async def confirm(_):
        return type(await addresses.confirm(context, token)).__name__

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    each = reset if what == "reset" else confirm
    outcomes = await asyncio.gather(*(each(number) for number in range(times)), return_exceptions=True)
    await auth.stop()
    return [type(one).__name__ if isinstance(one, AuthError) else str(one) for one in outcomes]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(race(*sys.argv[1:4], int(sys.argv[4])))))
