"""`rimlock token`: what a token says and which rules it breaks; the keys that sign tokens.

Threat: a token that the tool itself writes into a terminal's history or a log; a revoked key that leaves nobody able
to sign in.
Source: RFC 8725 (what a verifier must check); OWASP ASVS 5.0 V9.1, V11.1.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show, show_json
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.keyring import StoredKey

app = group("Look into a token; list, rotate and revoke the keys that sign them.")

COLUMNS = ("kid", "algorithm", "state", "created_at", "signs_from", "verifies_until")


@app.command()
def inspect(
    offline: Annotated[bool, typer.Option("--offline", help="Leave the database alone.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Read a token from standard input; show what it says and which rules it breaks. The token is never shown.

    The exit code is 0 for a token that would be accepted, 1 for any other.
    """
    from rimlock.cli.inspecting import look_into

    token = (typer.prompt("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()).strip()
    seen = look_into(token.removeprefix("Bearer ").encode(), offline=offline, config=config)
    if as_json:
        show_json(seen.facts())
    else:
        _tell(seen.facts())
    if seen.breaks:
        raise typer.Exit(1)


@app.command()
def keys(config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """List the signing keys."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        now = auth.context.now()
        signing = auth.context.ring().signer(now).kid
        return [_shown(stored, signing, now) for stored in auth.context.ring().keys]

    show(on_installation(work, config=config), COLUMNS, as_json=as_json, nothing="there are no signing keys")


@app.command()
def rotate(
    lead: Annotated[int, typer.Option(min=0, max=86_400, help="Seconds until the new key signs.")] = 600,
    config: Config = None,
) -> None:
    """Make the next signing key. It is published now and signs later; tokens of the old one stay good meanwhile."""
    kid = on_installation(lambda auth: auth.rotate_signing_key(lead=lead), config=config)
    print(f"{kid} signs in {lead} seconds")


@app.command("revoke-key")
def revoke_key(kid: str, config: Config = None) -> None:
    """Take a signing key out at once, in every running process: each token it signed is refused."""

    async def work(auth: Rimlock) -> str | None:
        if auth.settings.algorithm == "HS256":
            raise ConfigurationError("the HS256 key is JWT_SECRET; change it there")
        return await _revoked(auth, kid)

    made = on_installation(work, config=config)
    print(f"{plain(kid)} is revoked" + (f"; {made} signs from now on" if made else ""))


async def _revoked(auth: Rimlock, kid: str) -> str | None:
    """Revoke, and when no other key may sign by now, make one in the same step: else nobody could sign in."""
    from rimlock.core import keyring
    from rimlock.core.database import Transaction
    from rimlock.core.errors import NotFound, Unavailable

    context, now = auth.context, auth.context.now()
    spare = keyring.new_key(auth.settings.algorithm)

    def write(tx: Transaction) -> str | None:
        try:
            keyring.revoke(tx, kid, now=now)
        except NotFound:
            raise NotFound(f"There is no signing key {plain(kid)!r}.") from None
        try:
            keyring.load(tx, context.root).signer(now)
        except Unavailable:
            return keyring.add(tx, context.root, spare, now=now)
        return None

    return await auth.database.write(write)


def _shown(stored: StoredKey, signing: str, now: int) -> dict[str, Any]:
    from rimlock.web.presenting import moment

    over = stored.verifies_until
    state = "signs" if stored.kid == signing else "signs later" if stored.signs_from > now else "verifies"
    return {
        "kid": stored.kid,
        "algorithm": str(stored.key.algorithm),
        "state": "over" if over is not None and over <= now else state,
        "created_at": moment(stored.created_at),
        "signs_from": moment(stored.signs_from),
        "verifies_until": None if over is None else moment(over),
    }


def _tell(facts: dict[str, Any]) -> None:
    for part in ("header", "claims"):
        print(part)
        for name, value in (facts[part] or {}).items():
            print(f"  {plain(name):<12}{plain(value)}")
    print(f"signature   {facts['signature']}")
    for broken in facts["breaks"]:
        print(f"breaks      {broken['rule']}: {broken['text']}")
    if not facts["breaks"]:
        print("accepted    this token would be let in")
