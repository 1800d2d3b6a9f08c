"""`rimlock rollout`: the stages of routes, changed while the application runs.

Threat: a route believed to be turned that is not, because its pattern fits nothing.
Source: design section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Application, Config, Json, actor, group, on_installation
from rimlock.cli.showing import show, show_json
from rimlock.core.access import Stage

if TYPE_CHECKING:
    from rimlock import Rimlock

app = group("Turn routes, see who would be refused, go back.")

Route = Annotated[str, typer.Argument(help="Like 'GET /items/{id}', '/items/{id}' or '/items/**'.")]
MaybeRoute = Annotated[str | None, typer.Argument(help="Like 'GET /items/{id}' or '/items/**'.")]
CHANGE = ("id", "at", "route", "before", "stage", "actor", "reverts")
SEEN = ("route", "credential", "key", "outcome", "requests", "first_seen", "last_seen")


@app.command()
def status(app_name: Application = None, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Show the stage of every route of --app; without it, the changes in force."""
    if app_name is not None:
        from rimlock.cli.routes import show_routes

        show_routes(app_name, as_json=as_json)
        return
    rules = on_installation(_in_force, config=config)
    show(rules, ("route", "stage", "source"), as_json=as_json, nothing="nothing was changed at run time")


@app.command("set")
def set_stage(
    route: Route,
    stage: Annotated[str, typer.Argument(help="open, observe, optional, required; or configured: as before.")],
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
        return shown_change(await logic.change(auth.context, route, wanted, keys=keys, actor=actor()))

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


async def _in_force(auth: Rimlock) -> list[dict[str, Any]]:
    rules = auth.context.rules().running
    return [{"route": rule.pattern, "stage": str(rule.stage), "source": rule.source} for rule in rules]


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
    return print(f"{change['route']}: {was} -> {now}")
