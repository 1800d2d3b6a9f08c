"""What the route audit of a large application takes, in CPU: each part in process, and each command from a cold start.

`python benchmarks/audit.py [ROUNDS]` prints a table and, as its last line, JSON. The application is `audit:large`: 600
routes in 40 included routers, websockets, dependencies of ours, rules of every stage, percentages and dates.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, WebSocket

from rimlock import CurrentUser, Rimlock, Rule, Stage, require_role
from rimlock.core.access import Requirement

AREAS, GOAL_SECONDS = 40, 2.0
SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
ALONE = "the application alone, imported"
COMMANDS = {
    "rimlock routes": [],
    "rimlock routes --check": ["--check"],
    "rimlock routes --html": ["--html", "routes.html"],
    "rimlock routes --probe --html": ["--probe", "--html", "routes.html"],
}


def large() -> FastAPI:
    """Return the application, with Rimlock on it."""
    app = FastAPI(openapi_url=None)
    for number in range(AREAS):
        app.include_router(_area(number))
    rules = [rule for number in range(AREAS) for rule in _rules(number)]
    Rimlock.from_env(rules=rules).install(app)
    return app


def _area(number: int) -> APIRouter:
    router = APIRouter(prefix=f"/api/v2/area-{number}")
    plain = [
        "",
        "/{item_id}",
        "/{item_id}/history",
        "/{item_id}/comments/{comment_id}",
        "/by-code/{code:path}",
        "/daily",
    ]
    for path in plain:
        router.get(path)(lambda: None)
    for path in ("", "/search", "/{item_id}/archive", "/{item_id}/restore"):
        router.post(path)(lambda: None)
    router.put("/{item_id}")(lambda: None)
    router.patch("/{item_id}")(_change)
    router.delete("/{item_id}", dependencies=[require_role("admin")])(lambda: None)
    router.websocket("/live")(_live)
    router.head("/{item_id}/file")(lambda: None)
    return router


def _change(user: CurrentUser) -> str:
    return user.id


async def _live(socket: WebSocket) -> None:
    await socket.accept()


def _rules(number: int) -> list[Rule]:
    path = f"/api/v2/area-{number}/**"
    roles = Requirement(any_role=frozenset({"admin", "analyst"}), credentials=frozenset({"token"}))
    variants: list[dict[str, Any]] = [
        {"stage": Stage.OPEN, "until": date(2999, 1, 1)},
        {"stage": Stage.OBSERVE, "until": date(2999, 1, 1)},
        {"stage": Stage.OPTIONAL, "requirement": Requirement(permissions=frozenset({f"area{number}:use"}))},
        {"stage": Stage.REQUIRED, "requirement": roles},
        {"stage": Stage.REQUIRED, "percent": 25},
    ]
    return [Rule(pattern=path, **variants[number % len(variants)])]


async def in_process(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each part, round by round."""
    from rimlock.retrofit.audit import claims_of, probe, standing_remarks, take_inventory, write_lock
    from rimlock.retrofit.audit.page import page

    auth = Rimlock.of(app := large())
    await auth.start()
    inventory = take_inventory(auth)
    remarks = standing_remarks(inventory, auth.context.now(), running=True)
    parts: dict[str, Callable[[], Any]] = {
        f"inventory of {len(inventory.hosts)} routes": lambda: take_inventory(auth),
        "lock file": lambda: write_lock(claims_of(inventory.routes)),
        "page": lambda: page("audit:large", inventory, remarks, now=auth.context.now()),
        "probe": lambda: probe(auth, inventory),
        "probe through the application": lambda: probe(auth, inventory, through=app),
    }
    found: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, part in parts.items():
            found[name].append(await _timed(part))
    await auth.stop()
    return found


async def _timed(part: Callable[[], Any]) -> float:
    began = time.process_time()
    done = part()
    if isinstance(done, Awaitable):
        await done
    return time.process_time() - began


def commands(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of CPU of each command in a process of its own, and of the application alone."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = [sys.executable, "-m", "rimlock.cli", "routes", "--app", "audit:large"]
    programs = {ALONE: [sys.executable, "-c", "import audit; audit.large()"]}
    programs |= {name: [*started, *options] for name, options in COMMANDS.items()}
    subprocess.run([*started, "--write"], check=True, cwd=folder, env=environment, capture_output=True)
    found: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, program in programs.items():
            before = _spent_by_children()
            subprocess.run(program, check=True, cwd=folder, env=environment, capture_output=True)
            if turn:
                found[name].append(_spent_by_children() - before)
    return found


def _spent_by_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"RIMLOCK_SECRETS": SECRET, "DATABASE_URL": f"sqlite:///{folder / 'audit.db'}"}
        os.environ.pop("RIMLOCK_CONFIG", None)
        found = asyncio.run(in_process(rounds)) | commands(folder, rounds)
    alone = statistics.median(found[ALONE])
    for part, seconds in found.items():
        middle = statistics.median(seconds)
        added = middle - alone
        goal = f"  adds {added:.2f} s to the application, goal {GOAL_SECONDS:.0f} s, {_met(added)}"
        print(f"{part:<36}{middle * 1000:8.0f} ms{goal if part in COMMANDS else ''}")
    print(json.dumps(found))


def _met(seconds: float) -> str:
    return "met" if seconds < GOAL_SECONDS else "MISSED"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
