"""`rimlock serve`: the standalone server, or an application with Rimlock on it.

Threat: workers that start on a schema they were not written for, each failing for itself; a link for the first
administrator that is shown to more than the operator.
Source: https://www.uvicorn.org/deployment/; OWASP ASVS 5.0 V6.4.1.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from rimlock.cli.running import Config, group, load, on_installation

if TYPE_CHECKING:
    from rimlock import Rimlock

app = group("Run the standalone server, or an application with Rimlock on it.")

FIRST_ADMIN_PAGE = "/first-admin"


@app.command()
def serve(
    app_name: Annotated[str | None, typer.Argument(metavar="APP", help="module:name; without it, the server.")] = None,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
    patience: Annotated[int, typer.Option(min=1, help="Seconds that requests get to finish at a stop.")] = 30,
    access_log: Annotated[bool, typer.Option("--access-log", help="Log requests, query strings included.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
) -> None:
    """Serve until told to stop; requests in flight are finished then. The schema and the keys are checked first."""
    from rimlock.server import STANDALONE, run

    if config is not None:
        os.environ["RIMLOCK_CONFIG"] = str(config.absolute())  # the workers read it there
    link = on_installation(_ready, app=app_name, config=config)
    if link is not None:
        print(f"Nobody administers this yet. Within 24 hours, once: {link}", flush=True)
    factory = app_name is None or load(app_name)[1]
    run(
        app_name or STANDALONE,
        factory=factory,
        host=host,
        port=port,
        workers=workers,
        patience=patience,
        access_log=access_log,
    )


async def _ready(auth: Rimlock) -> str | None:
    """Return the first administrator's link. That the installation could be started is the check."""
    if not any(feature.name == "password" for feature in auth.features):
        return None
    from rimlock.features.password.logic import first_admin_link

    secret = await first_admin_link(auth.context)
    where = f"{auth.settings.issuer.rstrip('/')}{auth.settings.prefix}{FIRST_ADMIN_PAGE}"
    return None if secret is None else f"{where}?token={secret}"
