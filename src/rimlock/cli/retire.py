"""`rimlock key deprecate|brownout|refuse|accept|back|retired|rotate|report`: keys on their way out.

Threat: a brownout that cannot be ended at once; a key that is retired in place of another.
Source: requirements L1 and L12; RFC 9745, RFC 8594.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.moments import moment_of, seconds_of, window_of
from rimlock.cli.running import Config, Json, actor, group, on_installation
from rimlock.cli.showing import plain, show, show_json
from rimlock.core.retirements import Phase

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.windows import Window

app = group("Put keys out of use, step by step.")

COLUMNS = ("target", "name", "phase", "deprecated_at", "sunset_at", "refuse_after_sunset", "source")
CHANGE = ("id", "at", "target", "phase", "actor", "reverts")

Which = Annotated[
    str, typer.Argument(metavar="KEY", help="A key's id or name, or kind:key, kind:token, kind:external.")
]
MaybeWhich = Annotated[
    str | None, typer.Argument(metavar="[KEY]", help="A key's id or name, or kind:key and the like.")
]
Since = Annotated[str | None, typer.Option("--from", help="From when on, like 2027-01-01; now without.")]
Sunset = Annotated[str | None, typer.Option(help="When it is to end, like 2027-03-31.")]
Link = Annotated[str | None, typer.Option(help="A page for its holders, https://…")]
Final = Annotated[
    bool | None, typer.Option("--refuse-after-sunset/--announce-only", help="Whether it is refused after its sunset.")
]
Windows = Annotated[list[str] | None, typer.Option("--window", help="Like 2027-03-01T09:00Z/10m; may be repeated.")]


@app.command()
def deprecate(
    which: Which,
    since: Since = None,
    sunset: Sunset = None,
    link: Link = None,
    final: Final = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Tell whoever uses it, in the headers of every answer, that it will end. It works as before."""
    _change(which, Phase.DEPRECATED, _dates(since, sunset, link, final), config, as_json=as_json)


@app.command()
def brownout(
    which: Which,
    window: Windows = None,
    every: Annotated[str | None, typer.Option(help="day or week: the windows come again.")] = None,
    lasting: Annotated[str | None, typer.Option("--for", help="From now on for so long, like 10m.")] = None,
    percent: Annotated[int | None, typer.Option(min=0, max=100, help="Of the callers; always the same ones.")] = None,
    abort: Annotated[bool, typer.Option("--abort", help="End it at once, in every process.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Refuse it for a while, so that whoever still needs it is noticed. --abort ends that at once."""
    if abort:
        return _abort(which, config, as_json=as_json)
    windows = [window_of(one, every) for one in window or ()]
    if not windows and lasting is None:
        raise typer.BadParameter("say when: --window 2027-03-01T09:00Z/10m, or --for 10m from now on")
    given = {} if percent is None else {"percent": percent}
    length = None if lasting is None else seconds_of(lasting)
    return _change(which, Phase.BROWNOUT, given, config, as_json=as_json, windows=windows, lasting=length)


@app.command()
def refuse(
    which: Which,
    link: Link = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Refuse it for good; `rimlock key back` takes that back."""
    _change(which, Phase.REFUSED, {} if link is None else {"link": link}, config, as_json=as_json)


@app.command()
def accept(which: Which, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Accept it as ever. Said of a key, it holds also while its kind is being retired."""
    _change(which, Phase.ACCEPT, {}, config, as_json=as_json)


@app.command()
def back(which: MaybeWhich = None, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Undo the newest such change, of one key or kind when named."""

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.features.retirement import logic
        from rimlock.features.retirement.routes import shown_change

        target = None if which is None else await logic.target_of(auth.context, which)
        return shown_change(await logic.take_back(auth.context, target, actor=actor()), auth.context.now())

    _tell(on_installation(work, config=config), as_json=as_json)


@app.command()
def retired(
    changes: Annotated[bool, typer.Option("--history", help="Every change instead, newest first.")] = False,  # noqa: FBT002 - a switch
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Of the changes.")] = 50,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Show what is on its way out."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        from rimlock.features.retirement import logic
        from rimlock.features.retirement.routes import shown_change, shown_retirement

        now = auth.context.now()
        if changes:
            past = await logic.history(auth.context, before=None, limit=limit)
            return [{**shown_change(one, now), "phase": _phase(one.said)} for one in past]
        return [shown_retirement(said, now) | {"name": name} for said, name in await logic.in_force(auth.context)]

    rows = on_installation(work, config=config)
    show(rows, CHANGE if changes else COLUMNS, as_json=as_json, nothing="nothing is on its way out")
    if not as_json:
        _warn(*rows)


@app.command()
def rotate(
    which: Which,
    overlap: Annotated[str, typer.Option(help="How long the old one goes on working, like 30d or 12h.")] = "30d",
    link: Annotated[str, typer.Option(help="A page for the holders of the old one, https://…")] = "",
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Make a key in the place of another and show it once. The old one is deprecated and ends with the overlap."""
    seconds = seconds_of(overlap)

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.core import rotating
        from rimlock.features.retirement import logic
        from rimlock.web.presenting import moment

        context = auth.context
        target = await logic.target_of(context, which)
        wanted = rotating.Overlap(seconds=seconds, link=link)
        done = await auth.database.write(
            lambda tx: rotating.rotate(
                tx,
                target.removeprefix("key:"),
                wanted,
                prefix=auth.settings.api_key_prefix,
                actor=actor(),
                now=context.now(),
                configured=context.retirements.configured,
            )
        )
        ends = moment(done.old.expires_at or context.now())
        return {"id": done.made.id, "key": done.text, "replaces": done.old.id, "overlap_ends_at": ends}

    made = on_installation(work, config=config)
    if as_json:
        return show_json(made)
    kept = f"Keep it now: it is shown this once. Its id is {made['id']}."
    return print(f"{made['key']}\n\n{kept} The old one, {made['replaces']}, ends {made['overlap_ends_at']}.")


@app.command()
def report(
    which: MaybeWhich = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="How far back to look for callers.")] = 30,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Tell of each key who holds it, how far it is, where it is used, and who has to act by when."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        from rimlock.features.retirement import logic
        from rimlock.features.retirement.routes import shown_report

        key_id = None if which is None else (await logic.target_of(auth.context, which)).removeprefix("key:")
        return [shown_report(one) for one in await logic.report(auth.context, key_id=key_id, days=days)]

    found = on_installation(work, config=config)
    if as_json:
        return show_json({"items": found})
    return print("\n\n".join(one["letter"] for one in found) if found else "there are no keys")


def _dates(since: str | None, sunset: str | None, link: str | None, final: bool | None) -> dict[str, Any]:  # noqa: FBT001 - as it was typed
    """Return what was said; what was not stays as it is."""
    given: dict[str, Any] = {}
    if since is not None:
        given["deprecated_at"] = moment_of(since)
    if sunset is not None:
        given["sunset_at"] = moment_of(sunset, ends=True)
    if link is not None:
        given["link"] = link
    return given if final is None else {**given, "refuse_after_sunset": final}


def _change(
    which: str,
    phase: Phase,
    given: dict[str, Any],
    config: Any,
    *,
    as_json: bool,
    windows: list[Window] | None = None,
    lasting: int | None = None,
) -> None:
    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.core.windows import Window
        from rimlock.features.retirement import logic
        from rimlock.features.retirement.routes import shown_change

        context, now = auth.context, auth.context.now()
        wanted = given | {"phase": phase}
        if windows is not None:
            begun = [] if lasting is None else [Window(start=now, end=now + lasting)]
            wanted["windows"] = (*windows, *begun)
        made = await logic.change(context, await logic.target_of(context, which), wanted, actor=actor())
        return shown_change(made, now)

    _tell(on_installation(work, config=config), as_json=as_json)


def _abort(which: str, config: Any, *, as_json: bool) -> None:
    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.features.retirement import logic
        from rimlock.features.retirement.routes import shown_change

        target = await logic.target_of(auth.context, which)
        return shown_change(await logic.abort(auth.context, target, actor=actor()), auth.context.now())

    _tell(on_installation(work, config=config), as_json=as_json)


def _tell(change: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(change)
    said = change["said"]
    if said is None:
        return print(f"{change['target']}: as configured")
    if said["stated"] == Phase.ACCEPT:  # its dates are kept for another day, and say nothing of this one
        return print(f"{change['target']}: {said['stated']}")
    parts = [f"since {said['deprecated_at']}" if said["deprecated_at"] else "", f"sunset {said['sunset_at']}"]
    parts += [f"window {one['start']}/{one['end']} {plain(one['every'])}".strip() for one in said["windows"]]
    shown = ", ".join(part for part in parts[: 1 if said["sunset_at"] is None else 2] + parts[2:] if part)
    print(f"{change['target']}: {said['stated']}{f' ({shown})' if shown else ''}")
    if said["stated"] in {Phase.BROWNOUT, Phase.REFUSED}:
        typer.echo("felt on routes that are optional or required; open and observe let it through", err=True)
    return _warn(said)


def _warn(*said: dict[str, Any]) -> None:
    for one in said:
        for warning in one.get("warnings", ()):
            typer.echo(f"{one['target']}: {warning}", err=True)


def _phase(said: Any) -> str:
    return "as configured" if said is None else str(said.phase)
