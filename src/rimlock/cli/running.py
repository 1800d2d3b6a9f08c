"""How a command gets an installation to work with: made from the environment, or found on an application.

Threat: a command that works on another database, or by other rules, than the server it is meant for.
Source: design section 7 (settings).
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from inspect import iscoroutinefunction, isfunction
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from rimlock.core.acting import Acting, begin
from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock import Rimlock, Settings

__all__ = [
    "Application",
    "Config",
    "Json",
    "actor",
    "environment",
    "group",
    "installation",
    "load",
    "on_installation",
    "settings_without_secret",
]

T = TypeVar("T")

Config = Annotated[Path | None, typer.Option("--config", help="The rule file, in place of rimlock.toml.")]
Application = Annotated[str | None, typer.Option("--app", help="An application with Rimlock on it, as module:name.")]
Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


def group(purpose: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(
        help=purpose,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def on_installation(
    work: Callable[[Rimlock], Awaitable[T]], *, config: Path | None = None, app: str | None = None
) -> T:
    """Run `work` with an installation that is started, and stop it again. Raises what starting and `work` raise.

    Meanwhile nothing is logged beside the answer. Afterwards it is again: this process may go on as a server.
    """
    log, silence = logging.getLogger("rimlock"), logging.NullHandler()
    log.addHandler(silence)
    try:
        return asyncio.run(_between(installation(app, config), work))
    finally:
        log.removeHandler(silence)


def installation(app: str | None, config: Path | None) -> Rimlock:
    """Find the installation on an application, or make one from the environment. Raises ConfigurationError."""
    from rimlock import Rimlock

    return Rimlock.from_env(environment(config)) if app is None else Rimlock.of(load(app)[0])


def environment(config: Path | None) -> dict[str, str]:
    """Return the variables of the process, with the rule file that was named.

    A command is over before there is anything to be told, so it holds no connection for LISTEN.
    """
    named = {} if config is None else {"RIMLOCK_CONFIG": str(config)}
    return {**os.environ, "RIMLOCK_LISTEN": "0", **named}


def settings_without_secret(config: Path | None) -> Settings:
    """Return the settings for what needs no secret, so that none has to be there. Raises ConfigurationError."""
    from rimlock.settings import from_environment

    logging.getLogger("rimlock").addHandler(logging.NullHandler())
    return from_environment(environment(config), secrets=("no secret is needed for this",))


def load(name: str) -> tuple[Any, bool]:
    """Import `module:name`, and say whether it was a function that had to be called. Raises ConfigurationError."""
    module, _, attribute = name.partition(":")
    if not module or not attribute or module.startswith("."):
        raise ConfigurationError(f"{name!r} names no application; write module:name, like main:app")
    sys.path.insert(0, str(Path.cwd()))
    holder = _tried(lambda: import_module(module), f"{name!r} cannot be imported", f"import {module}")
    found = getattr(holder, attribute, None)
    if found is None:
        raise ConfigurationError(f"the module {module!r} has no {attribute!r}")
    if iscoroutinefunction(found):
        raise ConfigurationError(f"{name!r} is asynchronous; name a plain function that returns the application")
    if not isfunction(found):
        return found, False
    return _tried(found, f"{name!r} cannot be called", f"import {module}; {module}.{attribute}()"), True


def _tried(work: Callable[[], T], what: str, again: str) -> T:
    """Run the host's code. Whatever it raises, its leaving too, is told by kind and place: a message may hold values.

    Raises ConfigurationError.
    """
    from rimlock.cli.sentences import EXPECTED

    try:
        return work()
    except EXPECTED:
        raise
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"{what}: there is no module {error.name!r} here") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the host's code may raise anything
        told = f"{what}: {type(error).__name__}{_place(error)}"
        raise ConfigurationError(f'{told}; see what it says with python -c "{again}"') from None


def _place(error: BaseException) -> str:
    """Return where the host's code raised it: the last line below the working directory, without one the last."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" at {_shown(error.filename)}:{error.lineno}"
    frames = [one for one in extract_tb(error.__traceback__) if not one.filename.startswith(_NOT_THE_HOSTS)]
    near = [one for one in frames if _shown(one.filename) != one.filename and "site-packages" not in one.filename]
    return next((f" at {_shown(one.filename)}:{one.lineno}" for one in reversed(near or frames)), "")


def _shown(file: str) -> str:
    return file.removeprefix(f"{Path.cwd()}{os.sep}")


_NOT_THE_HOSTS = ("<", str(Path(__file__).parents[1]), str(Path(importlib.__file__).parent))


def actor() -> str:
    """Return who is changing something, for the record."""
    from getpass import getuser

    try:
        return f"cli:{getuser()}"
    except (KeyError, OSError):  # a container's user has no name
        return f"cli:{os.getuid()}"


async def _between(auth: Rimlock, work: Callable[[Rimlock], Awaitable[T]]) -> T:
    begin(Acting(actor=actor()))
    try:
        await auth.start()
        return await work(auth)
    finally:
        await auth.stop()
