"""`rimlock rollout`: the stages of routes, changed while the application runs.

Threat: a route believed to be turned that is not, because its pattern fits nothing.
Source: design section 5.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Application, Config, Json, actor, group, on_installation
from rimlock.cli.showing import show, show_json, time_of
from rimlock.core.access import Stage

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.features.rollout.logic import Report

WHOLE = 100
app = group("Turn routes, see who would be refused, go back.")

Route = Annotated[str, typer.Argument(help="Like 'GET /items/{id}', '/items/{id}' or '/items/**'.")]
MaybeRoute = Annotated[str | None, typer.Argument(help="Like 'GET /items/{id}' or '/items/**'.")]
CHANGE = ("id", "at", "route", "before", "stage", "percent", "until", "actor", "reverts")
STANDING = ("route", "stage", "percent", "until", "overdue", "source")
SEEN = ("route", "credential", "key", "outcome", "requests", "first_seen", "last_seen")


@app.command()
def status(
    app_name: Application = None,
    config: Config = None,
    check: Annotated[bool, typer.Option("--check", help="Fail when a permissive stage is past its date.")] = False,  # noqa: FBT002 - a switch
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Show the stage of every route of --app; without it, the rules of the file and the changes in force."""
    work = _rules if app_name is None else _routes
    rows = on_installation(work, app=app_name, config=config)
    late = [row for row in rows if row["overdue"]]
    show(
        late if check else rows,
        STANDING,
        as_json=as_json,
        nothing="nothing is overdue" if check else "nothing was changed at run time",
    )
    if check and late:
        raise typer.Exit(1)


@app.command("set")
def set_stage(
    route: Route,
    stage: Annotated[str, typer.Argument(help="open, observe, optional, required; or configured: as before.")],
    percent: Annotated[
        int, typer.Option(min=0, max=100, help="For so many callers of a hundred, the same ones.")
    ] = 100,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When this is to be over.")] = None,
    app_name: Application = None,
    config: Config = None,
    force: Annotated[bool, typer.Option("--force", help="Also when no route of --app fits.")] = False,  # noqa: FBT002 - a switch
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Turn a route or a group of routes, in every running process. With --app the pattern is held to its routes."""
    wanted = _stage(stage)
    if app_name is None and not force:
        typer.echo("not held to the routes of an application; --app module:name would", err=True)

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.features.rollout import logic
        from rimlock.features.rollout.routes import shown_change

        table = None if force else auth.context.routes()
        keys = None if table is None else [target.key for target in table.targets()]
        extent: dict[str, Any] = {"percent": percent, "until": until.date() if until else None}
        return shown_change(await logic.change(auth.context, route, wanted, keys=keys, actor=actor(), **extent))

    _tell(on_installation(work, config=config, app=app_name), as_json=as_json)


@app.command()
def back(route: MaybeRoute = None, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Undo the newest change, of one route when named."""

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.features.rollout import logic
        from rimlock.features.rollout.routes import shown_change

        return shown_change(await logic.take_back(auth.context, route, actor=actor()))

    _tell(on_installation(work, config=config), as_json=as_json)


@app.command()
def history(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Show the changes, newest first."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        from rimlock.features.rollout import logic
        from rimlock.features.rollout.routes import shown_change

        return [shown_change(one) for one in await logic.history(auth.context, before=None, limit=limit)]

    show(on_installation(work, config=config), CHANGE, as_json=as_json, nothing="nothing was changed at run time")


@app.command()
def observed(
    route: MaybeRoute = None,
    forget: Annotated[bool, typer.Option("--forget", help="Delete what was recorded.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Show who would have been refused, most frequent first."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        from rimlock.features.rollout import logic
        from rimlock.features.rollout.routes import shown_observation

        if forget:
            await logic.forget(auth.context)
        return [shown_observation(one) for one in await logic.observed(auth.context, route)]

    show(on_installation(work, config=config), SEEN, as_json=as_json, nothing="nobody would have been refused")


@app.command()
def report(
    route: MaybeRoute = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How far back to look.")] = 30,
    key: Annotated[str | None, typer.Option("--key", help="Only the calls of the key with this id or name.")] = None,
    app_name: Application = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Show who still uses what, and which routes may be turned further; as text that can be mailed."""

    async def work(auth: Rimlock) -> Report:
        from rimlock.features.rollout import logic

        return await logic.report(auth.context, route, days=days, key=key)

    found = on_installation(work, app=app_name, config=config)
    if as_json:
        from rimlock.features.rollout.routes import shown_report

        return show_json(shown_report(found))
    from rimlock.features.rollout.logic import as_text

    return print(as_text(found), end="")


async def _rules(auth: Rimlock) -> list[dict[str, Any]]:
    from rimlock.features.rollout import logic

    return [
        {
            "route": one.pattern,
            "stage": one.stage.value,
            "percent": one.percent,
            "until": time_of(one.until),
            "overdue": one.overdue,
            "source": one.source,
        }
        for one in logic.rules_standing(auth.context.rules(), auth.context.now())
    ]


async def _routes(auth: Rimlock) -> list[dict[str, Any]]:
    from rimlock.features.rollout import logic
    from rimlock.features.rollout.routes import shown_route

    table = auth.context.routes()
    keys = [] if table is None else [target.key for target in table.targets()]
    now = auth.context.now()
    shown = [shown_route(one, now) for one in logic.overview(auth.context.rules(), keys)]
    return [{**row, "source": row["stage_source"]} for row in shown]


def _stage(word: str) -> Stage | None:
    if word == "configured":
        return None
    try:
        return Stage(word)
    except ValueError:
        raise typer.BadParameter("write open, observe, optional, required or configured") from None


def _tell(change: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(change)
    was, now = change["before"] or "as configured", change["stage"] or "as configured"
    share = f" for {change['percent']} % of the callers" if change["percent"] < WHOLE else ""
    if now == was and not share:  # it was in that stage for some
        share = " for everybody"
    until = f", until {change['until'][:10]}" if change["until"] else ""
    return print(f"{change['route']}: {was} -> {now}{share}{until}")
