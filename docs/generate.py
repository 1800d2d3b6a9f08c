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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, fields
from datetime import timedelta
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SAMPLE_SECRET = "hG7fQ2mZpX9vLkR4tYwB8nJcD3sA6eUq5oTi1"
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
        "reference/http.md": http_page(),
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
    return SETTINGS_HEAD + _table(("setting", "environment", "type", "default", "meaning"), rows) + SETTINGS_TAIL


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
    "Registration": "`open` or `closed`",
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
    return ERRORS_HEAD + _table(("code", "status", "title"), rows)


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
        listing = _table(("field", "type"), rows) if rows else "No fields of its own."
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
    listing = _table(("", "default", "meaning"), rows) + "\n" if rows else ""
    return f"## {name}\n\n{meaning}\n\n```text\n{' '.join(usage)}\n```\n\n{listing}"


def _given(default: Any) -> str:
    """Return a default that says something."""
    return f"`{default}`" if isinstance(default, str | int) and default not in {"", False} else ""


CLI_HEAD = """# Command line

Every command reads the [settings](settings.md) from the environment, and `rimlock.toml` in the working directory. Exit
codes: 0 done, 1 refused or failed, 2 not understood. `rimlock COMMAND --help` says the same as this page.
"""


# HTTP


def http_page() -> str:
    """Return every route of ours with what it takes, answers and refuses with."""
    document, endpoints = _own_routes()
    parts = [HTTP_HEAD]
    for path, item in sorted(document["paths"].items()):
        for method, operation in sorted(item.items()):
            if not operation.get("summary"):
                _undescribed(f"{method.upper()} {path}")
            parts.append(
                _operation(method.upper(), path, operation, document, endpoints.get((method.upper(), path), []))
            )
    return "\n".join(parts)


def _own_routes() -> tuple[dict[str, Any], dict[tuple[str, str], list[Any]]]:
    from fastapi import APIRouter, FastAPI

    from rimlock import Rimlock, Settings

    auth = Rimlock(Settings(secrets=[SAMPLE_SECRET]))
    app = FastAPI()
    auth.install(app)
    prefix = auth.settings.prefix
    endpoints = {
        (method, prefix + route.path): [route.endpoint]
        for feature in auth.features
        for route in (feature.routes(auth.context) or APIRouter()).routes
        for method in getattr(route, "methods", ())
    }
    grants = [handler for feature in auth.features for handler in feature.grants(auth.context).values()]
    endpoints["POST", f"{prefix}/token"] = grants
    return app.openapi(), endpoints


def _operation(method: str, path: str, operation: dict[str, Any], document: dict[str, Any], run: list[Any]) -> str:
    told = operation.get("description", "").strip()
    parts = [f"## {method} {path}\n", operation["summary"] + ".\n"]
    if told:
        parts.append(told + "\n")
    if rows := [*_parameters(operation, document), *_body(operation, document)]:
        parts.append(_table(("field", "in", "type", ""), rows) + "\n")
    parts.append("Answers: " + "; ".join(_answers(operation, document)) + ".\n")
    if codes := _codes(operation, run, has_input=bool(rows)):
        parts.append("Refuses with:\n" + ",\n".join(f"[`{code}`](../errors/{code}.md)" for code in codes) + ".\n")
    return "\n".join(parts)


def _parameters(operation: dict[str, Any], document: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (f"`{one['name']}`", one["in"], _schema(one["schema"], document), "required" if one.get("required") else "")
        for one in operation.get("parameters", [])
    ]


def _body(operation: dict[str, Any], document: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: dict[str, tuple[str, ...]] = {}
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _object(content["schema"], document)
        for name, one in schema.get("properties", {}).items():
            kind = "body or form" if name in rows else "form" if "form" in media else "body"
            told = [*(["required"] if name in schema.get("required", ()) else []), one.get("description", "")]
            rows[name] = (f"`{name}`", kind, _schema(one, document), ". ".join(filter(None, told)))
    return list(rows.values())


def _answers(operation: dict[str, Any], document: dict[str, Any]) -> list[str]:
    found = []
    for status, answer in sorted(operation["responses"].items()):
        if not status.startswith(("2", "3")):
            continue
        schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
        names = [name for schema in schemas for name in _object(schema, document).get("properties", {})]
        found.append(f"{status}" + (" with " + ", ".join(f"`{name}`" for name in names) if names else ""))
    return found


def _object(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return the object a schema describes, also where null is allowed beside it."""
    schema = _resolved(schema, document)
    for one in schema.get("anyOf", ()):
        if "properties" in (inner := _resolved(one, document)):
            return inner
    return schema


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _schema(schema: dict[str, Any], document: dict[str, Any]) -> str:
    schema = _resolved(schema, document)
    if "anyOf" in schema:
        return " or ".join(_schema(one, document) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_schema(schema.get('items', {}), document)}"
    return str(schema.get("format") or schema.get("type", "any"))


def _codes(operation: dict[str, Any], run: list[Any], *, has_input: bool) -> list[str]:
    """Return the codes a route may refuse with: by its credential, by its form, and by what its code says it raises."""
    found = {"invalid_request"} if has_input else set()
    security = operation.get("security", [])
    if any(security):
        found |= {"credential_missing", "credential_invalid", "credential_expired"}
    if security and all(security):
        found.add("permission_missing")
    for function in run:
        found |= {_known()[name].code for name in _raised(function, set())}
    return sorted(found - {"auth_error", "unavailable", "internal_error"})


def _raised(function: Any, seen: set[Any]) -> set[str]:
    """Return the errors that a function makes, or says that it raises, and what it calls does, within Rimlock."""
    function = inspect.unwrap(function)
    if (
        function in seen
        or not function.__module__.startswith("rimlock.")
        or function.__module__ == "rimlock.web.problems"
    ):
        return set()
    seen.add(function)
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))))
    space = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    called = {found for node in nodes if inspect.isfunction(found := _named(node, space))}
    found = set().union(*(_raised(one, seen) for one in called))
    caught = {name for node in nodes if isinstance(node, ast.ExceptHandler) for name in _names_in(node.type)}
    made = {name for node in nodes if isinstance(node, ast.Call | ast.Raise) for name in _names_in(_maker(node))}
    spoken = _words((inspect.getdoc(function) or "").partition("Raises ")[2])
    return (found - caught) | ({*made, *spoken} & _known().keys())


def _known() -> dict[str, Any]:
    return {kind.__name__: kind for kind in _errors().values()}


def _maker(node: ast.Call | ast.Raise) -> ast.AST | None:
    return node.func if isinstance(node, ast.Call) else node.exc


def _names_in(node: ast.AST | None) -> set[str]:
    if isinstance(node, ast.Tuple):
        return {one.id for one in node.elts if isinstance(one, ast.Name)}
    return {node.id} if isinstance(node, ast.Name) else set()


def _named(node: ast.AST, space: dict[str, Any]) -> Any:
    if isinstance(node, ast.Name):
        return space.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        home = space.get(node.value.id)
        return getattr(home, node.attr, None) if inspect.ismodule(home) else None
    return None


HTTP_HEAD = """# HTTP API

What stands under the prefix, `/auth` unless set. The application's own OpenAPI document (`/openapi.json`) shows it too,
beside its own routes. Bodies are JSON objects, at most 64 kB, without any field that is not listed. Times are ISO 8601
in UTC. Lists are paged: `?after=<next>&limit=<1..100>` answers `{"items": [...], "next": "…"}`; `next` is null at the
end. Every route may also answer [`unavailable`](../errors/unavailable.md) or
[`internal_error`](../errors/internal_error.md).
"""


# All


def _import_everything() -> None:
    import rimlock

    for module in pkgutil.walk_packages(rimlock.__path__, "rimlock."):
        if ".versions" not in module.name and not module.name.endswith((".env", ".__main__")):
            import_module(module.name)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _paragraphs(text: str | None) -> str:
    return inspect.cleandoc(text).strip() if text else ""


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(".", " ").replace(";", " ").split()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _undescribed(what: str) -> Any:
    raise Undescribed(f"{what} has no description")


if __name__ == "__main__":
    sys.exit(main())
