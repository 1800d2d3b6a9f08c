"""`rimlock key`: API keys, issued, taken in, listed and revoked.

Threat: a key on a command line, where other users of the machine and the shell's history read it.
Source: OWASP ASVS 5.0 V13.3 (secret management).
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli import retire
from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show, show_json
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.database import Transaction
    from rimlock.core.keys import ApiKey, NewKey

app = group("Issue, import, list, replace, retire and revoke API keys; see who uses them.")

COLUMNS = ("id", "hint", "name", "user", "scopes", "roles", "source", "expires_at", "last_used_at")

LONGEST_NAME = 100

Owner = Annotated[str | None, typer.Option("--user", help="Whose key it is; without it, a service's.")]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="May be given several times.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="Of a service's key; may be given several times.")]
Days = Annotated[int | None, typer.Option("--days", min=1, max=36_500, help="How long it lives; for ever without.")]


@app.command()
def create(
    name: str,
    owner: Owner = None,
    scope: Scopes = None,
    role: Roles = None,
    days: Days = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Issue a key and show it once."""

    async def work(auth: Rimlock) -> tuple[str, ApiKey]:
        def write(tx: Transaction) -> tuple[str, ApiKey]:
            from rimlock.core import keys

            new, now = _new(auth, tx, name, owner, scope, role, days), auth.context.now()
            return keys.issue(tx, new, prefix=auth.settings.api_key_prefix, now=now)

        return await auth.database.write(write)

    text, made = on_installation(work, config=config)
    if as_json:
        return show_json(_shown(made) | {"key": text})
    return print(f"{text}\n\nKeep it now: it is shown this once. Its id is {made.id}.")


@app.command("import")
def import_key(
    name: str,
    variable: Annotated[str | None, typer.Option("--env", help="The environment variable that holds it.")] = None,
    owner: Owner = None,
    scope: Scopes = None,
    role: Roles = None,
    days: Days = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Take in a key that callers hold already, from standard input or --env. Its text is not kept."""
    text = _read(variable)

    async def work(auth: Rimlock) -> tuple[ApiKey, bool]:
        def write(tx: Transaction) -> tuple[ApiKey, bool]:
            from rimlock.core import keys
            from rimlock.crypto.opaque import digest, hint

            new = _new(auth, tx, name, owner, scope, role, days, source="imported:command")
            return keys.admit(tx, new, digest=digest(text), shown=hint(text), now=auth.context.now())

        return await auth.database.write(write)

    made, new = on_installation(work, config=config)
    if as_json:
        return show_json(_shown(made) | {"new": new})
    return print(f"{made.hint} {'is taken in' if new else 'was known already'} as {plain(made.name)}, id {made.id}")


@app.command("list")
def list_keys(
    owner: Owner = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="The id of the last one seen.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List the keys of services, or of --user, that are not revoked."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        def read(tx: Transaction) -> list[dict[str, Any]]:
            from rimlock.core import keys

            page = keys.page(tx, _owner(auth, tx, owner), after=after, limit=limit)
            return [_shown(one) for one in page]

        return await auth.database.read(read)

    show(on_installation(work, config=config), COLUMNS, as_json=as_json, nothing="there are no keys")


@app.command()
def revoke(key_id: str, config: Config = None) -> None:
    """Revoke a key by its id, in every running process."""

    async def work(auth: Rimlock) -> bool:
        from rimlock.core import keys

        return await auth.database.write(lambda tx: keys.revoke(tx, key_id, now=auth.context.now()))

    if not on_installation(work, config=config):
        raise ConfigurationError(f"there is no key with the id {plain(key_id)!r} that is not revoked already")
    print(f"{plain(key_id)} is revoked")


def _readable(name: str) -> str:
    """Return the name as over HTTP: without space around it, and refused when nobody could read it."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"the name of a key has 1 to {LONGEST_NAME} characters, all of them to be seen")
    return name


def _new(
    auth: Rimlock,
    tx: Transaction,
    name: str,
    owner: str | None,
    scopes: list[str] | None,
    roles: list[str] | None,
    days: int | None,
    source: str = "issued",
) -> NewKey:
    from rimlock.core.keys import NewKey

    ends = None if days is None else auth.context.now() + int(timedelta(days=days).total_seconds())
    return NewKey(
        name=_readable(name),
        user_id=_owner(auth, tx, owner),
        scopes=frozenset(scopes or ()),
        roles=frozenset(roles or ()),
        expires_at=ends,
        source=source,
    )


def _owner(auth: Rimlock, tx: Transaction, who: str | None) -> str | None:
    from rimlock.cli.users import found

    return None if who is None else found(auth, tx, who).id


def _read(variable: str | None) -> str:
    """Return the key. An argument would show it to everybody on the machine."""
    if variable is not None:
        text = os.environ.get(variable, "")
    elif sys.stdin.isatty():
        text = typer.prompt("Key", hide_input=True)
    else:
        text = sys.stdin.readline()
    if not text.strip():
        raise ConfigurationError(f"{'no key was given' if variable is None else f'{variable} is not set'}")
    return text.strip()


def _shown(key: ApiKey) -> dict[str, Any]:
    from rimlock.web.presenting import moment

    times = {name: getattr(key, name) for name in ("created_at", "expires_at", "last_used_at")}
    return {
        "id": key.id,
        "hint": key.hint,
        "name": key.name,
        "user": key.user_id,
        "scopes": sorted(key.scopes),
        "roles": sorted(key.roles),
        "source": key.source,
        **{name: None if at is None else moment(at) for name, at in times.items()},
        "replaced_by": key.replaced_by,
    }


app.registered_commands += retire.app.registered_commands
