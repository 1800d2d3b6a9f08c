"""Writes the reference pages out of the code: settings, errors, events, commands, HTTP.

Threat: a page that says what the code no longer does.
Source: design section 7 (settings, errors), section 8 (what has no description fails the build).

`python docs/generate.py` writes; `pages()` returns the same texts. What is not described raises Undescribed.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import MISSING, fields
from datetime import timedelta
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

from generate_http import http_page
from tables import table

HERE = Path(__file__).parent
GENERATED = "<!-- made by docs/generate.py out of the code; change it there -->\n\n"


class Undescribed(Exception):
    """Something a reader would look for has no description, or a description has nothing it describes."""


def pages() -> dict[str, str]:
    """Return every generated page by its path below `docs`. Raises Undescribed."""
    _import_everything()
    made = {
        "reference/settings.md": settings_page(),
        "reference/errors.md": errors_page(),
        "reference/events.md": events_page(),
        "reference/cli.md": cli_page(),
        "reference/http.md": http_page({kind.__name__: kind for kind in _errors().values()}),
        **error_pages(),
    }
    return {path: GENERATED + text.rstrip() + "\n" for path, text in made.items()}


def main() -> None:
    """Write the pages, and take away those of codes that are gone."""
    made = pages()
    for old in HERE.glob("errors/*.md"):
        if f"errors/{old.name}" not in made:
            old.unlink()
    for path, text in made.items():
        (HERE / path).parent.mkdir(parents=True, exist_ok=True)
        (HERE / path).write_text(text, encoding="utf-8")
    print(f"{len(made)} pages")


# Settings


def settings_page() -> str:
    """One row for each field of Settings."""
    from rimlock.settings import _ALIASES, Settings

    meanings = field_meanings(Settings)
    rows = []
    for one in fields(Settings):
        names = [f"RIMLOCK_{one.name.upper()}", *([_ALIASES[one.name]] if one.name in _ALIASES else [])]
        meaning = meanings.get(one.name) or _undescribed(f"setting {one.name}")
        rows.append((f"`{one.name}`", " ".join(f"`{n}`" for n in names), _type(one), _default(one), meaning))
    return SETTINGS_HEAD + table(("setting", "environment", "type", "default", "meaning"), rows) + SETTINGS_TAIL


def field_meanings(kind: type) -> dict[str, str]:
    """Return the string that stands under each field of a class."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - what getsource of a class returns
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name) and _is_text(after):
            found[before.target.id] = inspect.cleandoc(after.value.value).replace("\n", " ")  # type: ignore[attr-defined]
    return found


def _type(one: Any) -> str:
    name = str(one.type)
    for long, short in TYPES.items():
        name = name.replace(long, short)
    return name.replace("|", "or")


def _default(one: Any) -> str:
    if one.default is MISSING:
        return "made at first start, see below" if one.name == "secrets" else "—"
    value = one.default
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    if value is None:
        return "unset"
    return f"`{value.value if isinstance(value, Enum) else value!s}`".replace("True", "true").replace("False", "false")


def _duration(value: timedelta) -> str:
    for seconds, unit in ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds")):
        count, rest = divmod(value.total_seconds(), seconds)
        if not rest and count > 1:
            return f"{int(count)} {unit}"
    return f"{value.total_seconds():g} seconds"


TYPES = {
    "Sequence[str]": "list",
    "timedelta": "duration",
    "Algorithm": "`EdDSA`, `ES256`, `RS256` or `HS256`",
    "Registration": "`open`, `invitation`, `approval` or `closed`",
    "OnStale": "`refuse` or `ask`",
    "Stage": "stage",
    "str": "text",
    "int": "number",
    "bool": "switch",
    "Path": "path",
    " | None": "",
}

SETTINGS_HEAD = """# Settings

In code they are keyword arguments of `Settings`: durations are `timedelta`, lists are sequences. `Rimlock.from_env()`,
the server and the command line read them from the environment: lists are separated by commas, durations are seconds,
switches are `true` or `false`. A value that cannot be safe is refused at start, and the message says what to write.

"""

SETTINGS_TAIL = """

Without `RIMLOCK_SECRETS`, `JWT_SECRET` is the root secret when it is set. Otherwise an SQLite database gets a random
one in the file `rimlock.secret` beside it, readable by its owner only. Other databases need `RIMLOCK_SECRETS`, the same
for every process: `python -c "import secrets; print(secrets.token_urlsafe(48))"` makes one.

The standalone server alone reads `RIMLOCK_DOCS`: `1` shows `/docs` and `/openapi.json`.

Settings that begin with `insecure_` weaken what is promised elsewhere. `rimlock doctor` lists those in use.
"""


# Errors


def errors_page() -> str:
    """Return the table of codes."""
    rows = [
        (f"[`{code}`](../errors/{code}.md)", str(kind.status), kind.title) for code, kind in sorted(_errors().items())
    ]
    return ERRORS_HEAD + table(("code", "status", "title"), rows)


def error_pages() -> dict[str, str]:
    """Return one page for each code. Raises Undescribed where the advice and the codes differ."""
    errors = _errors()
    advice = tomllib.loads((HERE / "errors" / "advice.toml").read_text(encoding="utf-8"))
    if surplus := advice.keys() - errors.keys():
        _undescribed(f"docs/errors/advice.toml advises on codes that are none: {', '.join(sorted(surplus))}")
    return {f"errors/{code}.md": _error_page(kind, advice) for code, kind in sorted(errors.items())}


def _error_page(kind: Any, advice: dict[str, str]) -> str:
    meaning = _paragraphs(kind.__doc__) or _undescribed(f"error {kind.code}")
    mend = advice.get(kind.code) or _undescribed(f"error {kind.code}, in docs/errors/advice.toml,")
    return (
        f"# {kind.code}\n\n**{kind.status}** {kind.title}\n\n## Meaning\n\n{meaning}\n\n"
        f"## What to do\n\n{mend.strip()}\n\n[All codes](../reference/errors.md)\n"
    )


def _errors() -> dict[str, Any]:
    from rimlock.core.errors import REGISTRY

    return {code: kind for code, kind in REGISTRY.items() if kind.__module__.startswith("rimlock.")}


ERRORS_HEAD = """# Errors

Our own routes answer with `application/problem+json` (RFC 9457):

```json
{
  "type": "https://rimlock.dev/errors/credential_missing",
  "title": "This route needs a credential.",
  "status": 401,
  "detail": "This route needs a credential.",
  "code": "credential_missing"
}
```

`code` never changes; decide by it. `detail` is safe to show. Where single fields are wrong, `errors` lists them with
`name`, `code` and `detail`. Nothing that was sent is repeated. `POST /auth/token` answers in the form of RFC 6749
section 5.2.

A route of the application that is refused by the gate answers in the application's own form: an `HTTPException` with
the same status, detail and headers goes through its exception handlers. In a handler, `error.code` is the code.

"""


# Events


def events_page() -> str:
    """Return every event with its fields."""
    from rimlock.core.events import EVENTS

    parts = [EVENTS_HEAD]
    for name, kind in sorted(EVENTS.items()):
        if not kind.__module__.startswith("rimlock."):
            continue
        meaning = _paragraphs(kind.__doc__) or _undescribed(f"event {name}")
        rows = [(f"`{one.name}`", str(one.type).replace("|", "or")) for one in fields(kind) if one.name != "at"]
        listing = table(("field", "type"), rows) if rows else "No fields of its own."
        parts.append(f"## {name}\n\n{meaning}\n\n`from {kind.__module__} import {name}`\n\n{listing}\n")
    return "\n".join(parts)


EVENTS_HEAD = """# Events

`auth.on(SomeEvent, handler)` calls a function, sync or async, after the transaction that made the event true is
committed. A handler can veto nothing, and its failure is logged. Every event has `at`, seconds since the epoch. No
field holds a secret.
"""


# Command line


def cli_page() -> str:
    """Return every command with its arguments and options."""
    parts = [CLI_HEAD]
    parts += [_command(" ".join(("rimlock", *path)), command) for path, command in commands().items()]
    return "\n".join(parts)


def commands() -> dict[tuple[str, ...], Any]:
    """Return every command by its words, without `rimlock`."""
    from typer.main import get_command

    from rimlock.cli.main import COMMANDS

    found: dict[tuple[str, ...], Any] = {}
    for name, (module, _) in COMMANDS.items():
        found.update(_within(get_command(import_module(f"rimlock.cli.{module}").app), (name,)))
    return found


def _within(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, found in sorted(inner.items()):
        if not found.hidden:
            yield from _within(found, (*path, name))


def _command(name: str, command: Any) -> str:
    meaning = _paragraphs(command.help) or _undescribed(f"command {name}")
    usage, rows = [name], []
    for one in command.params:
        if one.name == "help":
            continue
        shown = ", ".join([*one.opts, *one.secondary_opts])
        if one.param_type_name == "argument":
            shown = (one.metavar or one.name).strip("[]").upper()
            usage.append(shown if one.required else f"[{shown}]")
        elif one.required:
            usage.append(f"{shown} …")
        rows.append((f"`{shown}`", _given(one.default), getattr(one, "help", None) or ""))
    listing = table(("", "default", "meaning"), rows) + "\n" if rows else ""
    return f"## {name}\n\n{meaning}\n\n```text\n{' '.join(usage)}\n```\n\n{listing}"


def _given(default: Any) -> str:
    """Return a default that says something."""
    return f"`{default}`" if isinstance(default, str | int) and default not in {"", False} else ""


CLI_HEAD = """# Command line

Every command reads the [settings](settings.md) from the environment, and `rimlock.toml` in the working directory. Exit
codes: 0 done, 1 refused or failed, 2 not understood. `rimlock COMMAND --help` says the same as this page.
"""


# All


def _import_everything() -> None:
    import rimlock

    for module in pkgutil.walk_packages(rimlock.__path__, "rimlock."):
        if ".versions" not in module.name and not module.name.endswith((".env", ".__main__")):
            import_module(module.name)


def _paragraphs(text: str | None) -> str:
    return inspect.cleandoc(text).strip() if text else ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _undescribed(what: str) -> Any:
    raise Undescribed(f"{what} has no description")


if __name__ == "__main__":
    sys.exit(main())
