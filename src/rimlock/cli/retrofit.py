"""`rimlock retrofit`: owners for the rows an application has already; planned, made, filled, checked, taken back.

Threat: a step taken on the wrong database, or a table of the application touched before anybody read what would happen.
Source: design section 1.4 (every change can be undone); requirement L7.

Exit codes: 0 done, 1 refused or not right yet, 2 usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show, show_json
from rimlock.core.errors import Unavailable

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.retrofit.ownership import Retrofit

app = group("Give the rows of the application's tables an owner, step by step, and take it back.")

PLAN_FILE = "rimlock-ownership.toml"
ACCEPTING = "if the application's own migrations changed it, run this again with --accept"
Url = Annotated[
    str | None, typer.Option("--database", help="The application's database; else RIMLOCK_RETROFIT_DATABASE.")
]
PlanFile = Annotated[Path, typer.Option("--plan", help="The plan.")]
Batch = Annotated[int, typer.Option(min=1, max=100_000, help="Rows in one transaction, at most.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Nobody uses the application: a big SQLite table may be rewritten.")
]
Accept = Annotated[bool, typer.Option("--accept", help="The application itself changed its schema meanwhile.")]
USUAL_PLAN = Path(PLAN_FILE)


@app.command()
def plan(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    batch: Batch = 1_000,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Say what would be done. Where there is no plan yet, write one to begin with.

    The application's tables are only read. On SQLite ours are made where they are not there yet, as by a first start.
    """
    if not plan_file.exists():
        text = on_installation(lambda auth: _proposal(auth, database), config=config)
        plan_file.write_text(text, encoding="utf-8")
        print(f"{plan_file} is written; correct it, then run this again", file=sys.stderr)

    async def work(retrofit: Retrofit) -> list[dict[str, Any]]:
        from rimlock.retrofit.ownership import plan

        return [asdict(one) for one in await plan(retrofit, batch=batch)]

    planned = _run(work, database, plan_file, config, as_json=as_json)
    if as_json:
        return show_json({"items": planned})
    return _show_planned(planned)


@app.command()
def apply(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Count every table, then make what owners are kept in. Safe to repeat."""

    async def work(retrofit: Retrofit) -> dict[str, Any]:
        from rimlock.retrofit.ownership import apply

        return asdict(await apply(retrofit))

    made = _run(work, database, plan_file, config, as_json=as_json)
    _tell(made, as_json=as_json)
    if made["waiting"]:
        named = ", ".join(made["waiting"])
        _fail(f"{named}: read {', '.join(made['files'])}, run `alembic upgrade head`, then this again")


@app.command()
def backfill(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    batch: Batch = 1_000,
    pause: Annotated[float, typer.Option(min=0, max=60, help="Seconds between two batches, at least.")] = 0.0,
    max_rows: Annotated[int | None, typer.Option(min=1, help="Stop after so many rows.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Give every row without an owner one, in short batches. Killed, it goes on where it was."""

    async def work(retrofit: Retrofit) -> list[dict[str, Any]]:
        from rimlock.retrofit.ownership import backfill

        return [asdict(one) for one in await backfill(retrofit, batch=batch, pause=pause, most=max_rows)]

    filled = _run(work, database, plan_file, config, as_json=as_json)
    show(filled, ("table", "given", "left", "by", "ambiguous", "unmatched"), as_json=as_json, nothing="nothing to do")
    if max_rows is None and not all(one["done"] for one in filled):
        _fail("rows are left without an owner; see what is ambiguous, say in [map] who is meant, and run this again")


@app.command()
def verify(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    strict: Annotated[bool, typer.Option("--strict", help="Fail for every row that changed since `apply`.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Compare every table with what was counted, and look at every owner. Fails unless all is right."""

    async def work(retrofit: Retrofit) -> dict[str, Any]:
        from rimlock.retrofit.ownership import verify

        seen = await verify(retrofit)
        return {"right": seen.right, "unchanged": seen.unchanged, **asdict(seen)}

    seen = _run(work, database, plan_file, config, as_json=as_json)
    if as_json:
        show_json(seen)
    else:
        show(seen["tables"], ("table", "change", "rows_before", "rows", "added"), as_json=False, nothing="no tables")
        show(seen["owned"], ("table", "unowned", "strangers", "orphans", "twice"), as_json=False, nothing="no plan")
    if not seen["right"]:
        _fail("not every row has exactly one owner who exists")
    if strict and not seen["unchanged"]:
        _fail("rows changed since `rimlock retrofit apply`")


@app.command()
def finish(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    offline: Offline = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Let no row be without an owner from now on."""

    async def work(retrofit: Retrofit) -> list[dict[str, Any]]:
        from rimlock.retrofit.ownership import finish

        return [asdict(one) for one in await finish(retrofit, offline=offline)]

    done = _run(work, database, plan_file, config, as_json=as_json)
    show(done, ("table", "required", "orphans"), as_json=as_json, nothing="nothing to do")


@app.command()
def rollback(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    offline: Offline = False,  # noqa: FBT002 - a switch
    accept: Accept = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Go back to the schema and the rows as they were, and compare."""

    async def work(retrofit: Retrofit) -> dict[str, Any]:
        from rimlock.retrofit.ownership import rollback

        return asdict(await rollback(retrofit, offline=offline, accept=accept))

    gone = _run(work, database, plan_file, config, as_json=as_json)
    if as_json:
        show_json(gone)
    else:
        show(
            gone["tables"],
            ("table", "change", "rows_before", "rows", "added"),
            as_json=False,
            nothing="nothing to compare",
        )
    if gone["waiting"]:
        _fail(gone["waiting"])
    if not gone["done"]:
        _fail(f"the schema is not what it was: {'; '.join(gone['differences'])}; {ACCEPTING}")


@app.command()
def status(
    database: Url = None,
    plan_file: PlanFile = USUAL_PLAN,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Say where every table stands."""

    async def work(retrofit: Retrofit) -> list[dict[str, Any]]:
        from rimlock.retrofit.ownership import standing

        return await standing(retrofit)

    lines = _run(work, database, plan_file, config, as_json=as_json)
    columns = ("table", "phase", "mode", "rows_before", "given", "ambiguous")
    show(lines, columns, as_json=as_json, nothing="nothing was begun here")


def _run(
    work: Callable[[Retrofit], Awaitable[Any]],
    database: str | None,
    plan_file: Path,
    config: Path | None,
    *,
    as_json: bool,
) -> Any:
    """Run a step with the installation and the application's database open."""
    folder = plan_file.resolve().parent

    async def within(auth: Rimlock) -> Any:
        from rimlock.core.clock import system_clock
        from rimlock.retrofit.ownership import load_plan, retrofit_on

        async with retrofit_on(
            _address(auth, database),
            load_plan(plan_file),
            database=auth.database,
            users=auth.context.users,
            clock=system_clock,
            folder=folder,
            tell=_progress if as_json else _progress_line,
        ) as retrofit:
            return await work(retrofit)

    try:
        return on_installation(within, config=config)
    except Unavailable as error:
        # Of two databases, the one that cannot be had is named.
        return _fail(error.detail)


async def _proposal(auth: Rimlock, database: str | None) -> str:
    from rimlock.retrofit.ownership import host_tables, open_host, propose

    async with open_host(_address(auth, database)) as host:
        return propose(await host.read(host_tables))


def _address(auth: Rimlock, database: str | None) -> str:
    return database or os.environ.get("RIMLOCK_RETROFIT_DATABASE") or auth.settings.database


def _progress(told: Mapping[str, Any]) -> None:
    import json

    print(json.dumps(dict(told)), file=sys.stderr, flush=True)


def _progress_line(told: Mapping[str, Any]) -> None:
    print("  ".join(f"{name} {plain(value)}" for name, value in told.items()), file=sys.stderr, flush=True)


def _show_planned(planned: list[dict[str, Any]]) -> None:
    show(
        planned,
        ("table", "mode", "key", "rows", "unowned", "batches"),
        as_json=False,
        nothing="the plan names no table",
    )
    for one in planned:
        print(f"\n{plain(one['table'])}")
        for word in ("by", "ambiguous", "unmatched"):
            for name, count in one[word].items():
                print(f"  {word:<10} {plain(name)}: {count}")
        for word in ("statements", "locks", "warnings"):
            for line in one[word]:
                print(f"  {word.rstrip('s'):<10} {plain(' '.join(line.split()))}")


def _tell(made: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(made)
    for name, value in made.items():
        print(f"{name.replace('_', ' ')}: {plain(value) or 'none'}")
    return None


def _fail(why: str) -> NoReturn:
    print(f"rimlock: {why}", file=sys.stderr)
    raise typer.Exit(1)
