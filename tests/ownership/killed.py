"""A retrofit that is killed before its n-th statement, for a growing n, until each step came to its end.

Run as `killed.py URL MODE FOLDER`. Each try is a process of its own, forked from this one and ended by SIGKILL. It
prints how often each step was killed, and whether everything was right and is as it was at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))

from ownership.estate import TABLES, at_work, image, plan_text
from rimlock.retrofit import ownership

ROWS_AT_ONCE = 60


async def step(url: str, mode: str, folder: Path, name: str) -> None:
    """Run one step to its end."""
    async with at_work(url, plan_text(mode), folder) as work:
        if name == "backfill":
            filled = await ownership.backfill(work, batch=ROWS_AT_ONCE)
            if not all(one.done for one in filled):
                raise SystemExit(f"left: {filled}")
        elif name == "rollback":
            gone = await ownership.rollback(work)
            if not gone.done:
                raise SystemExit(f"not back: {gone}")
        else:
            await getattr(ownership, name)(work)


def die_before(statement: int) -> None:
    """Let this process be killed before its n-th statement or commit."""
    left = [statement]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for moment in ("before_cursor_execute", "commit"):
        event.listen(Engine, moment, count)


def killed_until_done(url: str, mode: str, folder: Path, name: str) -> int:
    """Run a step again and again, each time killed a little later; return how often it was."""
    kills, statement = 0, 1
    while True:
        child = os.fork()
        if child == 0:
            die_before(statement)
            asyncio.run(step(url, mode, folder, name))
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            if os.WEXITSTATUS(status):
                raise SystemExit(f"{name} failed")
            return kills
        kills += 1
        statement += max(1, statement // 3)


async def looked_at(url: str, mode: str, folder: Path) -> dict[str, object]:
    """Return what there is to be seen after the backfill."""
    async with at_work(url, plan_text(mode), folder) as work:
        seen, lines = await ownership.verify(work), {one["table"]: one for one in await ownership.standing(work)}
        given = {name: lines[name]["given"] for name in TABLES}
        return {"right": seen.right, "unchanged": seen.unchanged, "given": given}


def main() -> None:
    """Go the whole way and back."""
    url, mode, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    before, kills, seen = asyncio.run(image(url)), {}, {}
    for name in ("apply", "backfill", "finish", "rollback"):
        kills[name] = killed_until_done(url, mode, folder, name)
        if name in {"backfill", "finish"}:
            seen[name] = asyncio.run(looked_at(url, mode, folder))
    told = {"kills": kills, "seen": seen, "as_before": asyncio.run(image(url)) == before}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
