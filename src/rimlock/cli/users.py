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
from rimlock.cli.showing import plain, show, show_json, time_of
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from rimlock import Rimlock, User
    from rimlock.core.accounts import Account
    from rimlock.core.database import Transaction
    from rimlock.core.sessions import Session
    from rimlock.core.users import NewUser
    from rimlock.feature import Context
    from rimlock.features.admin.logic import Temporary

T = TypeVar("T")

app = group("Find, create, let in, disable and delete accounts; temporary passwords, roles, sessions.")

Who = Annotated[str, typer.Argument(metavar="USER", help="An email address, a username or an id.")]
COLUMNS = ("id", "email", "username", "roles", "active", "waiting", "must_change_password", "created_at")
SESSION_COLUMNS = ("id", "device", "address", "created_at", "last_used_at", "expires_at")
GENERATED_BYTES = 18


@app.command()
def create(
    email: str,
    username: Annotated[str | None, typer.Option()] = None,
    name: Annotated[str, typer.Option(help="What the account is called when shown.")] = "",
    role: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    generate: Annotated[bool, typer.Option("--generate", help="Make a password and show it once.")] = False,  # noqa: FBT002 - a switch
    temporary: Annotated[bool, typer.Option("--temporary", help="Make one that has to be changed first.")] = False,  # noqa: FBT002 - a switch
    verified: Annotated[bool, typer.Option("--verified", help="The address is known to be theirs.")] = False,  # noqa: FBT002 - a switch
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Create an account. The password is asked for, or read from standard input when that is no terminal."""
    if generate and temporary:
        raise ConfigurationError("--generate makes a password to keep, --temporary one to change: choose one of them")
    password = None if temporary else secrets.token_urlsafe(GENERATED_BYTES) if generate else _asked()

    async def work(auth: Rimlock) -> dict[str, Any]:
        from rimlock.core.users import NewUser

        new = NewUser(email=email, username=username, display_name=name)
        return await _created(auth, new, password, role or (), verified=verified)

    made = on_installation(work, config=config)
    _tell(made | ({"password": password} if generate else {}), as_json=as_json)


async def _created(
    auth: Rimlock, new: NewUser, password: str | None, roles: Iterable[str], *, verified: bool
) -> dict[str, Any]:
    """Make the account, without a password with a temporary one."""
    from rimlock.features.admin import logic
    from rimlock.features.password.logic import create_user

    if password is not None:
        known = await create_user(auth.context, new, password, roles=roles, verified=verified)
        return _fields(known.user, known.account)
    known, made = await logic.create(auth.context, new, roles=roles, verified=verified, by=None)
    return _fields(known.user, known.account) | _temporary(made)


@app.command("list")
def list_users(
    search: Annotated[str | None, typer.Option(help="How the address or the username begins.")] = None,
    role: Annotated[str | None, typer.Option(help="Who has this role.")] = None,
    disabled: Annotated[bool | None, typer.Option("--disabled/--active", help="Who may not act; who may.")] = None,
    waiting: Annotated[bool | None, typer.Option("--waiting/--let-in", help="Who waits to be let in.")] = None,
    must_change: Annotated[bool | None, typer.Option("--must-change/--settled", help="Temporary passwords.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="The id of the last one seen.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """List accounts in order of their ids."""

    async def work(auth: Rimlock) -> list[dict[str, Any]]:
        from rimlock.features.admin import logic

        wanted = logic.Sought(search=search, role=role, disabled=disabled, waiting=waiting, must_change=must_change)
        page = await logic.page(auth.context, wanted, after=after, limit=limit)
        return [_fields(one.user, one.account) for one in page.items]

    show(on_installation(work, config=config), COLUMNS, as_json=as_json, nothing="there is no such account")


@app.command("search")
def search_users(start: str, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """List accounts whose address or username begins like this."""
    list_users(search=start, limit=100, config=config, as_json=as_json)


@app.command("show")
def show_user(who: Who, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Show an account, its sessions and how many keys it has."""

    async def work(auth: Rimlock, user_id: str) -> dict[str, Any]:
        from rimlock.features.admin import logic

        one = await logic.details(auth.context, user_id)
        living = await logic.sessions_of(auth.context, user_id, after=None, limit=100)
        more = {"last_sign_in": time_of(one.last_sign_in), "keys": one.keys}
        seen = [{"id": each.id, "device": each.device, "since": time_of(each.created_at)} for each in living]
        return _fields(one.user, one.account) | more | {"sessions": seen}

    _tell(_with_user(who, work, config), as_json=as_json)


@app.command("temporary-password")
def temporary_password(who: Who, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """Give an account a temporary password, shown once, and end its sessions. Another has to be chosen with it."""

    async def work(auth: Rimlock, user_id: str) -> dict[str, str | None]:
        from rimlock.features.admin import logic

        return _temporary(await logic.temporary_password(auth.context, user_id, by=None))

    made = _with_user(who, work, config)
    if as_json:
        return show_json(made)
    print(made["temporary_password"])
    return print(f"\nIt is shown this once, and good until {made['password_expires_at']} for choosing another.")


@app.command()
def disable(who: Who, config: Config = None) -> None:
    """Keep an account from acting, at once, and end its sessions."""
    _change(who, lambda logic, context, user_id: logic.disable(context, user_id, by=None), config)
    print(f"{plain(who)} is disabled")


@app.command()
def enable(who: Who, config: Config = None) -> None:
    """Let a disabled account act again."""
    _change(who, lambda logic, context, user_id: logic.enable(context, user_id, by=None), config)
    print(f"{plain(who)} is enabled")


@app.command()
def approve(who: Who, config: Config = None) -> None:
    """Let in somebody who registered and waits for it."""
    _change(who, lambda logic, context, user_id: logic.approve(context, user_id, by=None), config)
    print(f"{plain(who)} is let in")


@app.command()
def reject(who: Who, config: Config = None) -> None:
    """Delete the account of somebody who registered and is not let in."""
    _change(who, lambda logic, context, user_id: logic.reject(context, user_id, by=None), config)
    print(f"{plain(who)} is not let in")


@app.command()
def unlock(who: Who, config: Config = None) -> None:
    """Forget the failed sign-ins that lock somebody out of an account."""
    _change(who, lambda logic, context, user_id: logic.unlock(context, user_id, by=None), config)
    print(f"{plain(who)} is unlocked")


@app.command("roles")
def set_roles(
    who: Who,
    roles: Annotated[list[str] | None, typer.Argument(metavar="ROLE…", help="None takes all roles away.")] = None,
    config: Config = None,
    as_json: Json = False,  # noqa: FBT002 - a switch
) -> None:
    """Replace the roles of an account; its access tokens stop counting at once, its sessions go on."""
    names = sorted(set(roles or ()))

    async def work(auth: Rimlock) -> str:
        from rimlock.features.admin import logic

        user = await auth.database.read(lambda tx: found(auth, tx, who))
        await logic.set_roles(auth.context, user.id, names, by=None)
        return user.id

    user_id = on_installation(work, config=config)
    if as_json:
        return show_json({"id": user_id, "roles": names})
    return print(f"{plain(who)}: {plain(names) or 'no roles'}")


@app.command("sessions")
def list_sessions(who: Who, config: Config = None, as_json: Json = False) -> None:  # noqa: FBT002 - a switch
    """List the devices an account is signed in on."""

    async def work(auth: Rimlock, user_id: str) -> list[dict[str, Any]]:
        from rimlock.features.admin import logic

        return [_session(one) for one in await logic.sessions_of(auth.context, user_id, after=None, limit=1000)]

    nothing = f"{plain(who)} is signed in nowhere"
    show(_with_user(who, work, config), SESSION_COLUMNS, as_json=as_json, nothing=nothing)


@app.command("end-sessions")
def end_sessions(
    who: Who,
    session: Annotated[str | None, typer.Option(help="The id of the only one to end.")] = None,
    config: Config = None,
) -> None:
    """Sign an account out on every device, or on one."""

    async def end(logic: Any, context: Context, user_id: str) -> int:
        if session is None:
            return int(await logic.end_sessions(context, user_id, by=None))
        await logic.end_session(context, user_id, session, by=None)
        return 1

    print(f"{_change(who, end, config)} sessions of {plain(who)} ended")


@app.command()
def delete(
    who: Who,
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - a switch
) -> None:
    """Delete an account, with its sessions and keys. It cannot be undone."""
    if not yes:
        typer.confirm(f"Delete {plain(who)} for good?", abort=True)

    _change(who, lambda logic, context, user_id: logic.delete(context, user_id, by=None), config)
    print(f"{plain(who)} is deleted")


def found(auth: Rimlock, tx: Transaction, who: str) -> User:
    """Return the user named by login or id. Raises NotFound."""
    from rimlock.core.errors import NotFound

    by_id, by_login = auth.context.users.get(tx, who), auth.context.users.find(tx, who)
    if by_id and by_login and by_id.id != by_login.id:
        raise ConfigurationError("this is the id of one account and the username of another; name it by its email")
    user = by_id or by_login
    if user is None:
        raise NotFound(f"There is no account {plain(who)!r}.")
    return user


def _with_user(who: str, work: Callable[[Rimlock, str], Awaitable[T]], config: Any) -> T:
    async def run(auth: Rimlock) -> T:
        user = await auth.database.read(lambda tx: found(auth, tx, who))
        return await work(auth, user.id)

    return on_installation(run, config=config)


def _change(who: str, change: Callable[[Any, Context, str], Awaitable[T]], config: Any) -> T:
    """Do what administrators do: by the same rules, with nobody to ask whether they still may."""

    async def work(auth: Rimlock, user_id: str) -> T:
        from rimlock.features.admin import logic

        return await change(logic, auth.context, user_id)

    return _with_user(who, work, config)


def _fields(user: User, account: Account | None) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "name": user.display_name,
        "roles": sorted(account.roles) if account else [],
        "active": account is not None and account.active,
        "verified": account is not None and account.verified,
        "waiting": account is not None and account.waiting,
        "must_change_password": account is not None and account.must_change_password,
        "created_at": time_of(user.created_at),
    }


def _temporary(made: Temporary) -> dict[str, str | None]:
    return {"temporary_password": made.password, "password_expires_at": time_of(made.expires_at)}


def _session(one: Session) -> dict[str, Any]:
    return {
        "id": one.id,
        "device": one.device,
        "address": one.address,
        "created_at": time_of(one.created_at),
        "last_used_at": time_of(one.refreshed_at),
        "expires_at": time_of(one.expires_at),
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
        print(f"{name.replace('_', ' '):<22}{plain(value)}")
    return None
