"""`rimlock invitation`: codes that let somebody make an account.

Threat: a code in a shell's history, or shown twice; one that nobody remembers having given out.
Source: OWASP ASVS 5.0 V6.4.1 (initial secrets are random, short-lived and for one use).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show, show_json, time_of
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.invitations import Invitation

app = group("Let somebody make an account by a code; list and revoke such codes.")

COLUMNS = ("id", "hint", "email", "roles", "used", "seats", "note", "created_by", "expires_at", "revoked_at")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
LONGEST = timedelta(days=365)


@app.command()
def create(
    seats: Annotated[int, typer.Option(min=1, max=10_000, help="How many accounts it is good for.")] = 1,
    roles: Annotated[list[str] | None, typer.Option("--roles", help="Of these accounts; may be repeated.")] = None,
    email: Annotated[str | None, typer.Option(help="The only address it is good for.")] = None,
    expires: Annotated[str | None, typer.Option(help="After how long, like 12h or 7d.")] = None,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Make an invitation and show its code once."""
    lasting = None if expires is None else _duration(expires)

    async def work(auth: Rimlock) -> tuple[str, Invitation]:
        from rimlock.core.invitations import Invited
        from rimlock.features.invitations import logic

        ends = auth.context.now() + int((lasting or auth.settings.invitation_lifetime).total_seconds())
        names = frozenset(role for given in roles or () for role in given.split(",") if role)
        wanted = Invited(seats=seats, roles=names, email=email, note=note[:200], expires_at=ends)
        return await logic.invite(auth.context, wanted, by=None)

    code, made = on_installation(work, config=config)
    if as_json:
        return show_json(_shown(made) | {"code": code})
    return print(f"{code}\n\nIt is shown this once, and good until {time_of(made.expires_at)}. Its id is {made.id}.")


@app.command("list")
def list_invitations(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,  # noqa: FBT002 - a switch
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="The id of the last one seen.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List the invitations that can be used."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        from rimlock.features.invitations import logic

        found = await logic.page(auth.context, after=after, limit=limit, everything=everything)
        return [_shown(one) for one in found]

    show(on_installation(work, config=config), COLUMNS, as_json=as_json, nothing="there are no invitations")


@app.command()
def revoke(invitation_id: str, config: Config = None) -> None:
    """Make an invitation worthless. Accounts that were made with it stay."""

    async def work(auth: Rimlock) -> None:
        from rimlock.features.invitations import logic

        await logic.revoke(auth.context, invitation_id, by=None)

    on_installation(work, config=config)
    print(f"{plain(invitation_id)} is revoked")


def _duration(text: str) -> timedelta:
    parts = re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text.strip())
    found = UNITS[parts[2]] * int(parts[1]) if parts else timedelta(0)
    if not timedelta(0) < found <= LONGEST:
        raise ConfigurationError("--expires is a number with m, h, d or w after it, like 12h or 7d; at most a year")
    return found


def _shown(one: Invitation) -> dict[str, Any]:
    return {
        "id": one.id,
        "hint": one.hint,
        "email": one.email_key,
        "roles": sorted(one.roles),
        "used": one.used,
        "seats": one.seats,
        "note": one.note,
        "created_by": one.created_by,
        "created_at": time_of(one.created_at),
        "expires_at": time_of(one.expires_at),
        "revoked_at": time_of(one.revoked_at),
    }
