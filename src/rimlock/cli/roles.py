"""`rimlock role`: what an account may do.

Threat: a role taken away that tokens already issued still have.
Source: OWASP ASVS 5.0 V8.3.2 (changes take effect at once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show_json
from rimlock.cli.users import Who, found

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.database import Transaction

app = group("Say what an account may do.")


@app.callback()
def role() -> None:
    """Say what an account may do."""


@app.command("set")
def set_roles(
    who: Who,
    roles: Annotated[list[str] | None, typer.Argument(metavar="ROLE…", help="None takes all roles away.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Replace the roles of an account; its access tokens stop counting at once, its sessions go on."""
    names = sorted(set(roles or ()))

    async def work(auth: Rimlock) -> str:
        def write(tx: Transaction) -> str:
            from rimlock.core import accounts

            user = found(auth, tx, who)
            accounts.set_roles(tx, user.id, names, now=auth.context.now())
            return user.id

        return await auth.database.write(write)

    user_id = on_installation(work, config=config)
    if as_json:
        return show_json({"id": user_id, "roles": names})
    return print(f"{plain(who)}: {plain(names) or 'no roles'}")
