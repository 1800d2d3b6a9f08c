"""House rules that no linter knows. Each yields (line, sentence) for what breaks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

from architecture.source import Module

__all__ = [
    "HOMES",
    "RULES",
    "Finding",
    "Rule",
    "code_is_never_made_from_data",
    "dice_are_not_secrets",
    "libraries_stay_at_home",
    "modules_say_what_they_guard",
    "secrets_are_compared_in_constant_time",
    "statements_are_never_glued",
    "time_has_one_source",
]

Finding = tuple[int, str]
Rule = Callable[[Module], Iterator[Finding]]

HOMES = {
    "aiosmtplib": ("rimlock.features.mail.outward",),
    "alembic": ("rimlock.migrations",),
    "argon2": ("rimlock.crypto.passwords",),
    "asyncpg": ("rimlock.core", "rimlock.migrations"),
    "bcrypt": ("rimlock.crypto.passwords",),
    "cryptography": ("rimlock.crypto",),
    "email_validator": ("rimlock.core",),
    "jinja2": ("rimlock.features.mail.logic",),
    "limits": ("rimlock.core",),
    "opentelemetry": ("rimlock.features.metrics",),
    "markupsafe": ("rimlock.features.mail.logic",),
    "precis_i18n": ("rimlock.core",),
    "prometheus_client": ("rimlock.features.metrics",),
    "redis": ("rimlock.core",),
    "typer": ("rimlock.cli",),
    "uvicorn": ("rimlock.server", "rimlock.cli"),
}
"""A third-party library and the only rooms that may import it."""

CLOCKS = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
MAKERS_OF_CODE = {"eval", "exec", "compile", "__import__"}
LOADERS_OF_CODE = {"pickle", "cPickle", "dill", "marshal", "shelve", "jsonpickle"}
TAKERS_OF_SQL = {"text", "exec_driver_sql"}
SECRET_WORDS = {"digest", "secret", "mac", "hmac", "signature", "tag"}
NOT_SECRET_ENDINGS = {"size", "length", "name", "id", "count", "bytes", "bits", "kind", "method", "algorithm"}


def modules_say_what_they_guard(module: Module) -> Iterator[Finding]:
    """A module opens with its purpose, the threat it answers and the source of its rules."""
    if module.path.endswith("__init__.py") or len(module.tree.body) <= 1:
        return
    opening = ast.get_docstring(module.tree) or ""
    for part in ("Threat:", "Source:"):
        if not re.search(rf"^{part} \S", opening, re.MULTILINE):
            yield 1, f"the module's docstring has no line that begins with {part!r}"


def time_has_one_source(module: Module) -> Iterator[Finding]:
    """Only `core/clock.py` reads the time of day."""
    if module.name == "rimlock.core.clock":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and ".".join(_dotted(node)[-2:]) in CLOCKS:
            yield node.lineno, f"{'.'.join(_dotted(node))} reads the time; take a Clock"
        if isinstance(node, ast.ImportFrom) and node.module == "time" and {"time", "time_ns"} & _imported(node):
            yield node.lineno, "the time of day is imported; take a Clock"


def dice_are_not_secrets(module: Module) -> Iterator[Finding]:
    """`random` can be predicted; what is unpredictable comes from `secrets`."""
    for line, library in _imports(module):
        if library.partition(".")[0] == "random":
            yield line, "random can be predicted; use secrets"


def secrets_are_compared_in_constant_time(module: Module) -> Iterator[Finding]:
    """`==` stops at the first difference and so tells how much of a guess was right.

    A column (`table.c.digest == digest`) is looked up, not compared: the database holds digests of strong secrets.
    """
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare) or not any(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            continue
        sides = [_dotted(side) for side in (node.left, *node.comparators)]
        if any("c" in side for side in sides) or any(map(_is_no_secret, (node.left, *node.comparators))):
            continue
        for side in sides:
            if side and _is_secret(side[-1]):
                yield node.lineno, f"{'.'.join(side)} is compared with ==; use hmac.compare_digest"


def code_is_never_made_from_data(module: Module) -> Iterator[Finding]:
    """Nothing that came from outside becomes a program."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MAKERS_OF_CODE:
            yield node.lineno, f"{node.func.id}() makes code of data"
        if isinstance(node, ast.Attribute) and _dotted(node)[-2:] in (["yaml", "load"], ["yaml", "unsafe_load"]):
            yield node.lineno, f"{'.'.join(_dotted(node))}() makes objects of data"
    for line, library in _imports(module):
        if library.partition(".")[0] in LOADERS_OF_CODE:
            yield line, f"{library} makes objects of data"


def statements_are_never_glued(module: Module) -> Iterator[Finding]:
    """SQL text is written out, but for the program's own CONSTANTS; values travel as parameters."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = (_dotted(node.func) or [""])[-1]
        if name in TAKERS_OF_SQL and _is_glued(node.args[0]):
            yield node.lineno, f"the statement given to {name}() is put together from pieces"


def libraries_stay_at_home(module: Module) -> Iterator[Finding]:
    """One third-party library is imported in one room, so that it can be replaced there."""
    for line, imported in _imports(module):
        library = imported.partition(".")[0]
        homes = HOMES.get(library)
        if homes and not any(f"{module.name}.".startswith(f"{home}.") for home in homes):
            yield line, f"{library} is imported outside {' and '.join(homes)}"


RULES: tuple[Rule, ...] = (
    modules_say_what_they_guard,
    time_has_one_source,
    dice_are_not_secrets,
    secrets_are_compared_in_constant_time,
    code_is_never_made_from_data,
    statements_are_never_glued,
    libraries_stay_at_home,
)


def _dotted(node: ast.AST) -> list[str]:
    """Return `["table", "c", "digest"]` for `table.c.digest`, and the last names for anything longer."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [*_dotted(node.value), node.attr]
    return []


def _imports(module: Module) -> Iterator[Finding]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def _imported(node: ast.ImportFrom) -> set[str]:
    return {alias.name for alias in node.names}


def _is_secret(name: str) -> bool:
    words = name.strip("_").lower().split("_")
    return not name.isupper() and bool(SECRET_WORDS & set(words)) and words[-1] not in NOT_SECRET_ENDINGS


def _is_no_secret(node: ast.AST) -> bool:
    """What equals a list, a tuple, a number or None is none of the secrets of this house, which are bytes or text."""
    if isinstance(node, ast.Call):
        return (_dotted(node.func) or [""])[-1] in {"list", "tuple", "set", "frozenset", "len", "int"}
    return isinstance(node, ast.List | ast.Tuple | ast.Set) or (
        isinstance(node, ast.Constant) and not isinstance(node.value, str | bytes)
    )


def _is_glued(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        values = (part.value for part in node.values if isinstance(part, ast.FormattedValue))
        return not all(isinstance(value, ast.Name) and value.id.isupper() for value in values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"format", "join"}
