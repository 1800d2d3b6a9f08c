"""What the audit adds: a sign-in with and without its row, and taking note of one more refused request.

`audit_log.py [--rounds N] [URL …]`: microseconds of wall clock for one sign-in after the password (the transaction), in
interleaved rounds, on SQLite or on the given databases; and of CPU for a refusal that is counted. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from installation import SECRET

from rimlock import Rimlock, Settings
from rimlock.core import accounts
from rimlock.core.errors import CredentialMissing
from rimlock.core.login import Proof, complete
from rimlock.core.sessions import Device
from rimlock.web.refusals import Refusals

SIGN_INS, REFUSALS = 200, 20_000


async def sign_ins(auth: Rimlock) -> float:
    """Return microseconds for each of some sign-ins, one after the other."""
    now, lifetimes = auth.context.now(), auth.context.lifetimes
    proof = Proof(user_id="bench", method="pwd", at=now)
    began = time.perf_counter()
    for _ in range(SIGN_INS):
        await auth.database.write(
            lambda tx: complete(tx, proof, device=Device(), lifetimes=lifetimes, policies=(), now=now)
        )
    return (time.perf_counter() - began) / SIGN_INS * 1e6


async def compare(url: str, rounds: int) -> None:
    auth = Rimlock(Settings(secrets=[SECRET], database=url, create_tables=True, usage=False))
    await auth.start()
    now, record = auth.context.now(), auth.database.record
    await auth.database.write(lambda tx: accounts.open_account(tx, "bench", now=now))
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds + 1):
        for kept in random.sample([True, False], 2):
            auth.database.record = record if kept else None
            found[kept].append(await sign_ins(auth))
    await auth.stop()
    with_it, without = median(found[True][1:]), median(found[False][1:])
    print(f"{url.partition(':')[0]}: {with_it:.0f} µs with, {without:.0f} µs without, {with_it / without:.2f} times")


def refusals() -> None:
    noted = Refusals(lambda _: None, time.time, ())
    scope = {"client": ("203.0.113.9", 1), "headers": [(b"user-agent", b"bench")], "method": "GET"}
    error = CredentialMissing()
    began = time.process_time_ns()
    for _ in range(REFUSALS):
        noted.note(scope, error)
    print(f"one more refusal: {(time.process_time_ns() - began) / REFUSALS / 1e3:.2f} µs")


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("--rounds", type=int, default=9)
    asked.add_argument("urls", nargs="*")
    given = asked.parse_args()
    refusals()
    with tempfile.TemporaryDirectory() as folder:
        for each in given.urls or [f"sqlite:///{folder}/audit.db"]:
            asyncio.run(compare(each, given.rounds))
