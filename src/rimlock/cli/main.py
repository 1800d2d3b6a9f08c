"""`rimlock`: finds the command, runs it, and turns what it could not do into one sentence.

Threat: a stack trace that shows an address with its password, or hides what to do; a slow start that teaches people to
go around the tool.
Source: https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap12.html (utility conventions).

Only the module of the command that was asked for is imported. Exit codes: 0 done, 1 refused or failed, 2 usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "serve": ("serve", "Run the standalone server, or an application with Rimlock on it."),
    "db": ("db", "Bring our tables up or down, and see where they are."),
    "user": ("users", "Find, create, let in, disable and delete accounts; temporary passwords, roles, sessions."),
    "invitation": ("invitations", "Let somebody make an account by a code; list and revoke such codes."),
    "role": ("roles", "Say what an account may do."),
    "key": ("keys", "Issue, import, list, replace, retire and revoke API keys; see who uses them."),
    "rollout": ("rollout", "Turn routes, see who would be refused, go back."),
    "routes": ("routes", "List the routes of an application and what is in force for each."),
    "retrofit": ("retrofit", "Give the rows of the application's tables an owner, and take it back."),
    "import": ("importing", "Take over accounts or keys from another system, and take that back."),
    "token": ("tokens", "Look into a token; list, rotate and revoke the keys that sign them."),
    "mail": ("mail", "See every mail, what waits and what is dead; try again, and try out."),
    "audit": ("audit", "Read who did what to whom, when and from where."),
    "doctor": ("doctor", "Check the settings, the database and the keys of this installation."),
}
"""Each command, the module it is in, and what it is for."""

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in {"--help", "-h"}:
        print(_help())
        return DONE if given else MISUSED
    if given[0] == "--version":
        return _version()
    if given[0] not in COMMANDS:
        return _complain(f"there is no command {given[0]!r}; see rimlock --help", MISUSED)
    return _run(given[0], given[1:])


def _run(name: str, arguments: list[str]) -> int:
    command = import_module(f"rimlock.cli.{COMMANDS[name][0]}").app
    try:
        command(args=arguments, prog_name=f"rimlock {name}")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from rimlock.cli.sentences import EXPECTED, sentence

        if not isinstance(error, EXPECTED):
            raise
        return _complain(sentence(error), FAILED)
    return DONE


def _complain(text: str, code: int) -> int:
    print(f"rimlock: {text}", file=sys.stderr)
    return code


def _help() -> str:
    lines = [f"  {name:<12}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: rimlock COMMAND …",
            "",
            "Accounts, tokens and access rules for an application that already runs.",
            "Settings come from the environment, as they do for the server.",
            "",
            *lines,
            "",
            "  rimlock COMMAND --help says more; --version says which Rimlock this is.",
        ]
    )


def _version() -> int:
    from importlib.metadata import version

    print(f"rimlock {version('rimlock')}")
    return DONE
