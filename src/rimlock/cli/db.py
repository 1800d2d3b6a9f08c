"""`rimlock db`: our tables, up, down, and where they are.

Threat: a step down that is taken by mistake and takes every account with it.
Source: design section 1.4 (every change can be undone).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from rimlock.cli.running import Config, Json, group, settings_without_secret
from rimlock.cli.showing import show_json

app = group("Bring our tables up or down, and see where they are.")

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def upgrade(revision: Annotated[str, typer.Argument()] = "head", config: Config = None) -> None:
    """Bring our tables up to a revision. Safe to repeat, and in several processes at once."""
    from rimlock import migrations

    asyncio.run(migrations.upgrade(_address(config), revision))
    print(f"the database is at schema {asyncio.run(migrations.current(_address(config))) or 'none'}")


@app.command()
def downgrade(revision: str, config: Config = None, yes: Yes = False) -> None:  # noqa: FBT002 - a switch
    """Take our tables back to a revision; base removes them with every account."""
    from rimlock import migrations

    if not yes:
        typer.confirm(f"Take the tables back to {revision}, and lose what only later ones hold?", abort=True)
    asyncio.run(migrations.downgrade(_address(config), revision))
    print(f"the database is at schema {asyncio.run(migrations.current(_address(config))) or 'none'}")


@app.command()
def current(config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Say at which revision the database is."""
    from rimlock import migrations

    at = asyncio.run(migrations.current(_address(config)))
    if as_json:
        show_json({"current": at, "head": migrations.head()})
    else:
        print(at or "none")


@app.command()
def check(config: Config = None) -> None:
    """Fail unless the database is at the revision this version works with."""
    from rimlock import migrations

    if wrong := migrations.mismatch(asyncio.run(migrations.current(_address(config)))):
        raise wrong
    print(f"the database is at schema {migrations.head()}, as it has to be")


@app.command()
def sql(revision: Annotated[str, typer.Argument()] = "head", config: Config = None) -> None:
    """Print the statements of a migration, for those who run them by hand; from:to names a path."""
    from rimlock import migrations

    print(asyncio.run(migrations.sql(_address(config), revision)))


def _address(config: Path | None) -> str:
    return settings_without_secret(config).database
