"""`rimlock mail`: see every mail before it is sent, what waits and what is dead, and whether mails arrive.

Threat: a list of who was written to, or a link, on a terminal; a message sent twice because two people mend at once.
Source: OWASP ASVS 5.0 V14.2.6 (only what is needed is shown).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Application, Config, Json, environment, group, installation, on_installation
from rimlock.cli.showing import plain, show, time_of
from rimlock.core.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from rimlock import Rimlock, Settings
    from rimlock.features.mail.logic.delivering import Delivery, Round

app = group("See every mail, what waits and what is dead; try again, and try out.")

COLUMNS = ("id", "kind", "state", "attempts", "created_at", "due_at", "error")


@app.command()
def preview(folder: Path, app_name: Application = None, config: Config = None) -> None:
    """Write every mail in every language into a folder, with a page that lists them. Needs no database and no secret.

    The exit code is 1 when a template is wrong.
    """
    from rimlock import Rimlock
    from rimlock.core.mail_url import sender
    from rimlock.features.mail import mail_of
    from rimlock.features.mail.logic.previewing import previewed

    auth = installation(app_name, config) if app_name else Rimlock(_settings(config))
    kinds, writer = auth.context.kinds().values(), mail_of(auth).writer(auth.context)
    found = previewed(kinds, writer, sender(auth.settings.mail_from), folder, at=auth.context.now())
    for one in found:
        if one.broken:
            print(f"{one.kind}.{one.locale} cannot be written: {one.broken}")
    print(f"{len(found)} mails; open {folder / 'index.html'}")
    if any(one.broken for one in found):
        raise typer.Exit(1)


@app.command("list")
def list_messages(
    dead: Annotated[bool, typer.Option("--dead", help="Only those that nobody tries any more.")] = False,  # noqa: FBT002 - a switch
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List the messages that were not sent, the oldest first. To whom they are, and what they say, is not shown."""
    from rimlock.features.mail.logic import rows

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        found = await auth.database.read(lambda tx: rows.listed(tx, dead_only=dead, limit=limit))
        return [_shown(row) for row in found]

    show(on_installation(work, config=config), COLUMNS, as_json=as_json, nothing="no message waits")


@app.command()
def retry(
    message_id: Annotated[str | None, typer.Argument(metavar="ID")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead message.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
) -> None:
    """Let a dead message be tried again, or all of them. What has expired meanwhile is not sent."""
    if (message_id is None) is not everything:
        raise ConfigurationError("name one message by its id, or all of them with --all")
    from rimlock.features.mail.logic import rows

    def raised(auth: Rimlock) -> Any:
        return auth.database.write(lambda tx: rows.raise_dead(tx, now=auth.context.now(), message_id=message_id))

    count = on_installation(raised, config=config)
    if message_id is not None and not count:
        raise NotFound("There is no dead message with this id, or what it said is gone.")
    print(f"{count} are tried again")


@app.command()
def send(app_name: Application = None, config: Config = None) -> None:
    """Send what is due now, and end: for a timer, where no server of ours runs."""

    async def work(auth: Rimlock) -> Round:
        return await _delivery(auth).all_due()

    done = on_installation(work, config=config, app=app_name)
    print(f"{done.sent} sent, {done.failed} not")
    if done.failed:
        raise typer.Exit(1)


@app.command("test")
def try_out(address: str, app_name: Application = None, config: Config = None) -> None:
    """Send a mail to an address at once, past the outbox, and say what the server answered."""
    from rimlock.core.ids import new_id
    from rimlock.core.messages import Message
    from rimlock.features.mail.errors import NotSent, Unwritable
    from rimlock.features.mail.messages import TEST

    async def work(auth: Rimlock) -> None:
        delivery = _delivery(auth)
        mail = delivery.letter_of(new_id(auth.context.now()), Message(kind=TEST.name, to=address))
        lane = delivery.transport.lane()
        try:
            await lane.send(mail)
        finally:
            await lane.close()

    try:
        on_installation(work, config=config, app=app_name)
    except (NotSent, Unwritable) as error:
        raise ConfigurationError(f"it was not sent: {error.reason}; see mail_url and mail_from") from None
    print("it was taken; see whether it arrives")


def _delivery(auth: Rimlock) -> Delivery:
    from rimlock.features.mail import mail_of

    found = mail_of(auth).delivery
    if found is None:
        raise ConfigurationError("mail_url is none:, so nothing is sent from here; name another way out")
    return found


def _settings(config: Path | None) -> Settings:
    """Return the settings with a secret of this moment, so that none is made for good."""
    from secrets import token_urlsafe

    from rimlock.settings import from_environment

    return from_environment(environment(config), secrets=(token_urlsafe(48),))


def _shown(row: Any) -> dict[str, Any]:
    dead = row["dead_at"] is not None
    claimed = row["claimed_by"] is not None
    return {
        "id": row["id"],
        "kind": plain(row["kind"]),
        "state": ("dead" if row["held"] else "dead, emptied") if dead else "being sent" if claimed else "waits",
        "attempts": row["attempts"],
        "created_at": time_of(row["created_at"]),
        "due_at": None if dead else time_of(row["due_at"]),
        "error": plain(row["error"]),
    }
