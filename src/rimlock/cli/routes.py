"""`rimlock routes`: every route of an application, and what is in force for it.

Threat: a new route that no rule names, and nobody who notices.
Source: design section 5; OWASP ASVS 5.0 V8.1.1.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Json, group, on_installation
from rimlock.cli.showing import plain, show

if TYPE_CHECKING:
    from rimlock import Rimlock

app = group("List the routes of an application and what is in force for each.")

COLUMNS = ("route", "stage", "stage_source", "requirement")


@app.command()
def routes(
    app_name: Annotated[str, typer.Option("--app", help="An application with Rimlock on it, as module:name.")],
    check: Annotated[bool, typer.Option("--check", help="Fail when a rule names no stage for a route.")] = False,  # noqa: FBT002 - a switch
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List every route with its stage and where that comes from."""
    unstated = [row["route"] for row in show_routes(app_name, as_json=as_json) if not row["stated"]]
    if check and unstated:
        named = ", ".join(map(plain, unstated))
        print(f"rimlock: no rule names {named}; write one in rimlock.toml", file=sys.stderr)
        raise typer.Exit(1)


def show_routes(name: str, *, as_json: bool) -> list[dict[str, Any]]:
    """Print the routes of `module:name` and return them."""
    rows = on_installation(_routes, app=name)
    show(rows, COLUMNS, as_json=as_json, nothing="the application has no routes")
    return rows


async def _routes(auth: Rimlock) -> list[dict[str, Any]]:
    from rimlock.features.rollout.logic import overview
    from rimlock.features.rollout.routes import shown_route

    keys = [target.key for target in auth.gate.table.targets()]
    return [shown_route(one) for one in overview(auth.context.rules(), keys)]
