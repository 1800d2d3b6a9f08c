"""What is looked at to find out whether an installation is well, one module for each kind of thing.

Threat: a check that repairs, creates or locks what it was to look at.
Source: OWASP ASVS 5.0 V13.1 to V13.3, V15.2.1 (known vulnerable components).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimlock.core import rollout
from rimlock.retrofit.checks.finding import EXPECTED, Finding, Say, State
from rimlock.retrofit.checks.guessable import secrets
from rimlock.retrofit.checks.host_migrations import host_migrations
from rimlock.retrofit.checks.mails import mails
from rimlock.retrofit.checks.origins import DESKTOP, origins
from rimlock.retrofit.checks.overdue import overdue_rules
from rimlock.retrofit.checks.own_users import own_users
from rimlock.retrofit.checks.path_guards import path_guards
from rimlock.retrofit.checks.plain_keys import plain_keys
from rimlock.retrofit.checks.running import running
from rimlock.retrofit.checks.storage import storage
from rimlock.retrofit.checks.switches import switches

if TYPE_CHECKING:
    from rimlock import Rimlock

__all__ = ["Finding", "Say", "State", "examine"]

BAD_HOST_MENDED = (1, 0, 1)
"""Before this Starlette, a Host header changed the path that middleware saw (CVE-2026-48710)."""

DAYS = 90


async def examine(
    auth: Rimlock,
    say: Say,
    *,
    app: Any = None,
    name: str | None = None,
    host_database: str | None = None,
    url: str | None = None,
) -> list[Finding]:
    """Run every check on an installation that is not started, and change nothing. `say` puts a failure into words.

    `app`, `name`: the application it is on, and how that was named, as module:name. `host_database`: the URL of the
    host's database, where it is another one than ours. `url`: where a server of this installation answers.
    """
    stored, ours_stand = await storage(auth, say)
    try:
        readable = ours_stand and not _failed(stored)
        seen = readable and await _desktop_seen(auth)
        changed = await auth.database.read(rollout.running_rules) if readable else ()
        return [
            Finding("settings", "ok", "they load"),
            *secrets(auth),
            *switches(auth.settings, auth.features),
            *origins(auth, app, desktop_seen=seen),
            _starlette(),
            path_guards(name.partition(":")[0] if name else None, host_is_trusted=_starlette().state == "ok"),
            *stored,
            *await running(auth, url),
            *await mails(auth, readable=readable),
            *(await own_users(auth, say, ours_stand=readable) if not _failed(stored, "database") else []),
            *overdue_rules(auth, auth.judge.rules.with_running(changed)),
            *await _plain_keys(auth, host_database, say, reachable=not _failed(stored, "database")),
            *await host_migrations(Path.cwd(), ours_stand=ours_stand),
        ]
    finally:
        await auth.database.close()


async def _plain_keys(auth: Rimlock, host_database: str | None, say: Say, *, reachable: bool) -> list[Finding]:
    """Look in the host's database where it was named, else in ours if it answers."""
    if host_database is not None:
        return await plain_keys(host_database, say, named=True)
    return await plain_keys(auth.settings.database, say) if reachable else []


def _failed(findings: list[Finding], name: str | None = None) -> bool:
    return any(one.state == "fail" and name in {None, one.name} for one in findings)


async def _desktop_seen(auth: Rimlock) -> bool:
    """Say whether a desktop client was counted lately."""
    from rimlock.core import usage

    since = auth.context.now() // usage.DAY - DAYS
    try:
        rows = await auth.database.read(lambda tx: usage.seen(tx, since=since))
    except EXPECTED:
        return False
    return any(row.client == DESKTOP for row in rows)


def _starlette() -> Finding:
    from importlib.metadata import version

    found = version("starlette")
    numbers = tuple(int(digits) for digits in re.findall(r"\d+", found)[:3])
    if numbers < BAD_HOST_MENDED:
        return Finding(
            "starlette",
            "warn",
            f"Starlette {found} lets a Host header change the path that middleware sees",
            why="a guard of the host's that decides by the path can be walked around (CVE-2026-48710)",
            mend="upgrade to Starlette 1.0.1 or later",
        )
    return Finding("starlette", "ok", found)
