"""`rimlock routes`: every route of an application, what is in force for it, and whether that still holds.

Threat: a new route that no rule names, a rule that was weakened, and nobody who notices.
Source: design section 5; OWASP ASVS 5.0 V8.1.1.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rimlock.cli.running import Json, group, load
from rimlock.cli.showing import plain, show, show_json

if TYPE_CHECKING:
    from rimlock.retrofit.audit.reporting import Asked, Report

app = group("List the routes of an application and what is in force for each.")

COLUMNS = ("route", "stage", "demands", "rule", "function", "last_seen")


@app.command()
def routes(
    app_name: Annotated[str, typer.Option("--app", help="An application with Rimlock on it, as module:name.")],
    lock: Annotated[Path, typer.Argument(help="The lock file of --check and --write.")] = Path("routes.lock"),
    check: Annotated[bool, typer.Option("--check", help="Fail for what is new, unstated, weaker or overdue.")] = False,  # noqa: FBT002 - a switch
    write: Annotated[bool, typer.Option("--write", help="Write the lock file anew.")] = False,  # noqa: FBT002 - a switch
    strict: Annotated[bool, typer.Option("--strict", help="With --check: every difference fails.")] = False,  # noqa: FBT002 - a switch
    running: Annotated[bool, typer.Option("--running", help="Judge by the changes at run time too.")] = False,  # noqa: FBT002 - a switch
    probe: Annotated[bool, typer.Option("--probe", help="Ask every route as strangers; no function runs.")] = False,  # noqa: FBT002 - a switch
    through: Annotated[bool, typer.Option("--probe-through", help="Probe, and let safe methods run.")] = False,  # noqa: FBT002 - a switch
    html: Annotated[Path | None, typer.Option("--html", help="Write one page of HTML to this file.")] = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List every route: who may reach it, which rule says so, where its code is, and who was seen there."""
    from rimlock.retrofit.audit.reporting import Asked

    if check and write:
        raise typer.BadParameter("--check and --write exclude each other: what was just written always holds")
    if strict and not check:
        raise typer.BadParameter("--strict is a way of --check; give both")
    report = _audited(
        Asked(
            name=app_name,
            lock=lock,
            check=check,
            write=write,
            strict=strict,
            running=running,
            probe=probe,
            through=through,
            html=html,
        )
    )
    checked = check or probe or through
    _tell(report, as_json=as_json, listing=not (checked or write or html), remarks=checked)
    if report.failed and checked:
        raise typer.Exit(1)


def show_routes(name: str, *, as_json: bool) -> None:
    """Print the routes of `module:name`."""
    from rimlock.retrofit.audit.reporting import Asked

    _tell(_audited(Asked(name=name)), as_json=as_json, listing=True)


def _audited(asked: Asked) -> Report:
    from rimlock import Rimlock
    from rimlock.retrofit.audit.reporting import audit

    logging.getLogger("rimlock").addHandler(logging.NullHandler())
    found, _ = load(asked.name)
    return asyncio.run(audit(found, Rimlock.of(found), asked))


def _tell(report: Report, *, as_json: bool, listing: bool, remarks: bool = True) -> None:
    from rimlock.retrofit.audit.reporting import listed, shown_report, summed_up

    if as_json:
        return show_json(shown_report(report))
    if listing:
        return show(listed(report), COLUMNS, as_json=False, nothing="the application has no routes")
    for one in sorted(report.remarks, key=lambda one: not one.fails) if remarks else ():  # what fails comes first
        print(f"{'FAIL' if one.fails else 'note'}  {plain(one.route)}: {one.kind}: {plain(one.what)}")
        print(f"      {plain(one.why)}; {plain(one.mend)}")
    return print(plain(summed_up(report)))
