"""`rimlock audit`: who did what to whom, when and from where; as a table, or as lines for another system.

Threat: a row that takes over the terminal of whoever reads it; an export that holds the whole table in memory.
Source: OWASP ASVS 5.0 V16.2.4, V16.4.2, V16.4.3.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show, show_json
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.audit import Filter
    from rimlock.core.database import Transaction

app = group("Read the audit: who did what to whom, when and from where.")

COLUMNS = ("at", "event", "outcome", "actor", "subject", "address", "facts")
UNITS = {"m": 60, "h": 3_600, "d": 86_400}

WHEN = "ISO 8601 in UTC like 2026-01-31T12:00, or how long ago: 90m, 24h, 7d."
Who = Annotated[str | None, typer.Option("--user", help="Whom it concerns: email, username or id.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Who did it: user:<id>, key:<id> or cli:<name>.")]
EventName = Annotated[str | None, typer.Option("--event", help="The name of an event, like LoginFailed.")]
Ended = Annotated[str | None, typer.Option("--outcome", help="ok, refused or failed.")]
Place = Annotated[str | None, typer.Option("--address", help="From where. Slow on a large audit without --since.")]
Since = Annotated[str | None, typer.Option("--since", help=WHEN)]
Until = Annotated[str | None, typer.Option("--until", help="The same; this moment itself is not in it.")]


@app.command("list")
def list_entries(
    *,
    user: Who = None,
    actor: Actor = None,
    event: EventName = None,
    outcome: Ended = None,
    since: Since = None,
    until: Until = None,
    address: Place = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    after: Annotated[str | None, typer.Option(help="The id of the last row seen; --json shows it.")] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what happened, newest first. That somebody looked is written down as well."""

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.features.audit import logic

        wanted = await _wanted(auth, user, actor, event, outcome, address, since, until)
        page = await logic.page(auth.context, wanted, after=after, limit=limit)
        return {"items": [logic.shown(one) for one in page.items], "next": page.next}

    found = on_installation(work, config=config)
    if as_json:
        return show_json(found)
    show(found["items"], COLUMNS, as_json=False, nothing="there is nothing in the audit that fits")
    if found["next"]:
        typer.echo(f"there is more: --after {found['next']}", err=True)
    return None


@app.command()
def export(
    *,
    user: Who = None,
    actor: Actor = None,
    event: EventName = None,
    outcome: Ended = None,
    since: Since = None,
    until: Until = None,
    address: Place = None,
    after: Annotated[str | None, typer.Option(help="The id of the last row that was exported before.")] = None,
    config: Config = None,
) -> None:
    """Print every row as a line of JSON, oldest first.

    To export each row once, leave out what is perhaps still being written (--until 1m), and go on from the last id.
    """

    async def work(auth: Rimlock) -> None:
        from rimlock.features.audit import logic

        wanted = await _wanted(auth, user, actor, event, outcome, address, since, until)
        async for entry in logic.export(auth.context, wanted, after=after):
            sys.stdout.write(json.dumps(logic.shown(entry)) + "\n")
        sys.stdout.flush()

    try:
        on_installation(work, config=config)
    except BrokenPipeError:  # whoever read the lines has enough of them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None


async def _wanted(
    auth: Rimlock,
    user: str | None,
    actor: str | None,
    event: str | None,
    outcome: str | None,
    address: str | None,
    since: str | None,
    until: str | None,
) -> Filter:
    import rimlock.importers.events  # noqa: F401 - its events are told of too, wherever they happened
    from rimlock.core.audit import Filter
    from rimlock.core.events import EVENTS

    if event is not None and event not in EVENTS:
        typer.echo(f"rimlock: this version knows no event {plain(event)!r}", err=True)
    now = auth.context.now()
    return Filter(
        subject=await _subject(auth, user),
        actor=actor,
        event=event,
        outcome=_outcome(outcome),
        address=address,
        since=_moment(since, now),
        until=_moment(until, now),
    )


async def _subject(auth: Rimlock, user: str | None) -> str | None:
    """Return the id behind a name. A text that names nobody may be the id of somebody who is deleted."""
    if user is None:
        return None

    def look(tx: Transaction) -> str:
        from rimlock.cli.users import found
        from rimlock.core.errors import NotFound

        try:
            return found(auth, tx, user).id
        except NotFound:
            return user

    return await auth.database.read(look)


def _outcome(word: str | None) -> str | None:
    if word not in {None, "ok", "refused", "failed"}:
        raise typer.BadParameter("write ok, refused or failed", param_hint="--outcome")
    return word


def _moment(text: str | None, now: int) -> int | None:
    """Return a moment in seconds. Raises ConfigurationError."""
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return now - int(ago[1]) * UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{plain(text)!r} is no moment; write {WHEN}") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
