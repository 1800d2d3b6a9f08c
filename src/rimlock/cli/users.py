"""`rimlock user`: accounts, by hand.

Threat: a password on a command line, in a shell's history or in a log; an account removed by mistake.
Source: OWASP ASVS 5.0 V6.4.1 (initial passwords), V7.4 (ending sessions).
"""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from rimlock.cli.running import Config, Json, group, on_installation
from rimlock.cli.showing import plain, show, show_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from rimlock import Rimlock, User
    from rimlock.core.database import Transaction

T = TypeVar("T")

app = group("Create, list, disable and delete accounts, end their sessions.")

Who = Annotated[str, typer.Argument(metavar="USER", help="An email address, a username or an id.")]
COLUMNS = ("id", "email", "username", "roles", "active", "verified", "created_at")
GENERATED_BYTES = 18


@app.command()
def create(
    email: str,
    username: Annotated[str | None, typer.Option()] = None,
    name: Annotated[str, typer.Option(help="What the account is called when shown.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Make a password and show it once.")] = False,  # noqa: FBT002 - a switch
    verified: Annotated[bool, typer.Option("--verified", help="The address is known to be theirs.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Create an account. The password is asked for, or read from standard input when that is no terminal."""
    password = secrets.token_urlsafe(GENERATED_BYTES) if generate else _asked()

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.core.users import NewUser
        from rimlock.features.password.logic import create_user

        new = NewUser(email=email, username=username, display_name=name)
        known = await create_user(auth.context, new, password, roles=role or (), verified=verified)
        return await auth.database.read(lambda tx: _shown(tx, known.user))

    made = on_installation(work, config=config)
    _tell(made | ({"password": password} if generate else {}), as_json=as_json)


@app.command("list")
def list_users(
    search: Annotated[str | None, typer.Option(help="How the address or the username begins.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="The id of the last one seen.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List accounts in order of their ids."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        def read(tx: Transaction) -> list[dict[str, Any]]:
            found = auth.context.users.page(tx, after=after, limit=limit, search=search)
            return [_shown(tx, user) for user in found]

        return await auth.database.read(read)

    show(on_installation(work, config=config), COLUMNS, as_json=as_json, nothing="there is no such account")


@app.command("show")
def show_user(who: Who, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Show an account and its sessions."""

    def work(auth: Rimlock, tx: Transaction, user: User) -> dict[str, Any]:
        from rimlock.core import sessions
        from rimlock.web.presenting import moment

        living = sessions.living(tx, user.id, now=auth.context.now())
        seen = [{"id": one.id, "device": one.device, "since": moment(one.created_at)} for one in living]
        return _shown(tx, user) | {"sessions": seen}

    _tell(_with_user(who, work, config), as_json=as_json)


@app.command()
def disable(who: Who, config: Config = None) -> None:
    """Keep an account from acting, at once, and end its sessions."""

    def work(auth: Rimlock, tx: Transaction, user: User) -> None:
        from rimlock.core import accounts, sessions

        accounts.set_active(tx, user.id, active=False, now=auth.context.now())
        sessions.end_all(tx, user.id, reason="disabled", now=auth.context.now())

    _with_user(who, work, config)
    print(f"{plain(who)} is disabled")


@app.command()
def enable(who: Who, config: Config = None) -> None:
    """Let a disabled account act again."""

    def work(auth: Rimlock, tx: Transaction, user: User) -> None:
        from rimlock.core import accounts

        accounts.set_active(tx, user.id, active=True, now=auth.context.now())

    _with_user(who, work, config)
    print(f"{plain(who)} is enabled")


@app.command("end-sessions")
def end_sessions(who: Who, config: Config = None) -> None:
    """Sign an account out on every device."""

    def work(auth: Rimlock, tx: Transaction, user: User) -> int:
        from rimlock.core import sessions

        return sessions.end_all(tx, user.id, reason="ended_by_admin", now=auth.context.now())

    print(f"{_with_user(who, work, config)} sessions of {plain(who)} ended")


@app.command()
def delete(
    who: Who,
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - a switch
) -> None:
    """Delete an account, with its sessions and keys. It cannot be undone."""
    if not yes:
        typer.confirm(f"Delete {plain(who)} for good?", abort=True)

    def work(auth: Rimlock, tx: Transaction, user: User) -> None:
        from rimlock.core import accounts, keys, sessions

        now = auth.context.now()
        keys.revoke_all(tx, user.id, now=now)
        sessions.end_all(tx, user.id, reason="deleted", now=now)
        accounts.close(tx, user.id, now=now)
        auth.context.users.delete(tx, user.id)

    _with_user(who, work, config)
    print(f"{plain(who)} is deleted")


def found(auth: Rimlock, tx: Transaction, who: str) -> User:
    """Return the user named by login or id. Raises NotFound."""
    from rimlock.core.errors import ConfigurationError, NotFound

    by_id, by_login = auth.context.users.get(tx, who), auth.context.users.find(tx, who)
    if by_id and by_login and by_id.id != by_login.id:
        raise ConfigurationError("this is the id of one account and the username of another; name it by its email")
    user = by_id or by_login
    if user is None:
        raise NotFound(f"There is no account {plain(who)!r}.")
    return user


def _with_user(who: str, work: Callable[[Rimlock, Transaction, User], T], config: Any) -> T:
    async def run(auth: Rimlock) -> T:
        return await auth.database.write(lambda tx: work(auth, tx, found(auth, tx, who)))

    return on_installation(run, config=config)


def _shown(tx: Transaction, user: User) -> dict[str, Any]:
    from rimlock.core import accounts
    from rimlock.web.presenting import moment

    account = accounts.standing(tx, user.id)
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "name": user.display_name,
        "roles": sorted(account.roles) if account else [],
        "active": account is not None and account.active,
        "verified": account is not None and account.verified,
        "created_at": moment(user.created_at),
    }


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    asked: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked


def _tell(shown: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return show_json(shown)
    for name, value in shown.items():
        print(f"{name.replace('_', ' '):<12}{plain(value)}")
    return None
