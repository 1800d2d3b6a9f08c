"""Guards in the host's own source that decide by the path of the request.

Threat: a check of `request.url.path`, which a Host header could change (CVE-2026-48710), or of a path that is spelt
otherwise than the router reads it: doubled slashes, encodings, a root path, another case.
Source: https://github.com/encode/starlette/security/advisories; OWASP ASVS 5.0 V4.1; the gate judges by the route.

The source is read, never run: every module of the application that was imported with it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from rimlock.retrofit.checks.finding import Finding

__all__ = ["guards_in", "path_guards"]

MOST_SHOWN = 8
LARGEST = 1_000_000
_ASKING = {"startswith", "endswith", "match", "fullmatch", "search", "fnmatch", "removeprefix", "find", "count"}
_ROUTES = {"get", "post", "put", "patch", "delete", "head", "options", "trace", "route", "api_route", "websocket"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def path_guards(module: str | None, *, host_is_trusted: bool) -> Finding:
    """Look through the modules of an application. `host_is_trusted`: the Host header does not change the path."""
    if module is None:
        return Finding("path guards", "ok", "not looked at: --app names the application")
    found = [place for file in _sources(module) for place in _guards_of(file)]
    if not found:
        return Finding("path guards", "ok", "no code of the application decides by the path of a request")
    shown = ", ".join(found[:MOST_SHOWN]) + (f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else "")
    why = "a path can be spelt in ways the router reads as the same route, and then the guard looks elsewhere"
    if not host_is_trusted:
        why = f"with this Starlette a Host header changes the path that it sees; and {why}"
    return Finding(
        "path guards",
        "warn" if host_is_trusted else "fail",
        f"decided by the path of the request: {shown}",
        why=why,
        mend="state a rule for the route instead, or use a dependency on it; then delete the guard",
    )


def guards_in(source: str) -> list[int]:
    """Return the lines on which a request's path is compared or searched, outside of route functions."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return sorted({line for function in _guarding(tree) for line in _compared(function)})


def _sources(module: str) -> Iterator[Path]:
    """Yield the files of the application's own modules: below its top package, or beside its one module."""
    homes = _homes(sys.modules.get(module.partition(".")[0]))
    for file in sorted({Path(one) for one in map(_file_of, list(sys.modules.values())) if one}):
        if any(_is_within(file, home) for home in homes) and not _is_ours(file):
            yield file


def _homes(top: object) -> list[Path]:
    """Return the folders of a package, those of one without an `__init__.py` too, or the folder of a module."""
    file = getattr(top, "__file__", None)
    return [Path(file).resolve().parent] if file else [Path(one).resolve() for one in getattr(top, "__path__", ())]


def _is_within(file: Path, home: Path) -> bool:
    return file.is_relative_to(home) and not {"site-packages", "dist-packages"} & set(file.parts[len(home.parts) :])


def _file_of(module: object) -> str | None:
    file = getattr(module, "__file__", None)
    return str(Path(file).resolve()) if isinstance(file, str) and file.endswith(".py") else None


def _is_ours(file: Path) -> bool:
    return file.is_relative_to(Path(__file__).resolve().parents[2])


def _guards_of(file: Path) -> Iterator[str]:
    try:
        if file.stat().st_size > LARGEST:
            return
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    here = Path.cwd().resolve()
    shown = file.relative_to(here) if file.is_relative_to(here) else file
    yield from (f"{shown}:{line}" for line in guards_in(source))


def _guarding(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield functions that are no route functions. What a route does with its own path decides about nobody."""
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and not any(map(_declares_route, node.decorator_list)):
            yield node


def _declares_route(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(called, ast.Attribute) and called.attr in _ROUTES


def _compared(function: ast.AST) -> Iterator[int]:
    """Yield the lines of one function where its path, or a name that was given the path, decides something."""
    names = {name for node in ast.walk(function) for name in _given_the_path(node)}

    def is_path(node: ast.AST) -> bool:
        return _reads_path(node) or (isinstance(node, ast.Name) and node.id in names)

    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and any(map(is_path, (node.left, *node.comparators))):
            yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ASKING:
            if is_path(node.func.value) or any(map(is_path, node.args)):
                yield node.lineno
        elif isinstance(node, ast.Match) and is_path(node.subject):
            yield node.lineno


def _given_the_path(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign) and _reads_path(_stripped(node.value)):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))
    elif isinstance(node, (ast.NamedExpr, ast.AnnAssign)):
        named = isinstance(node.target, ast.Name) and node.value is not None and _reads_path(_stripped(node.value))
        yield from [ast.unparse(node.target)] if named else []


def _stripped(node: ast.AST) -> ast.AST:
    """Look through `path.rstrip("/")`, `str(path)` and `path.lower()`."""
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and not _reads_path(node):
            node = node.func.value
        elif isinstance(node.func, ast.Name) and node.func.id == "str" and node.args:
            node = node.args[0]
        else:
            break
    return node


def _reads_path(node: ast.AST) -> bool:
    """Whether this is `….url.path`, `scope["path"]` or `scope.get("path")`; or one of them, stripped or cut."""
    node = _stripped(node.value) if isinstance(node, ast.NamedExpr) else node
    if isinstance(node, ast.Attribute) and node.attr == "path":
        return isinstance(node.value, ast.Attribute) and node.value.attr == "url"
    if isinstance(node, ast.Subscript):
        named = _is_scope(node.value) and isinstance(node.slice, ast.Constant) and node.slice.value in _KEYS
        return named or _reads_path(_stripped(node.value))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str":
        return any(_is_url(one) or _reads_path(one) for one in node.args)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "get" and _is_scope(node.func.value) and node.args:
            return isinstance(node.args[0], ast.Constant) and node.args[0].value in _KEYS
        return node.func.attr in {"lower", "rstrip", "strip", "lstrip", "casefold"} and _reads_path(node.func.value)
    return False


_KEYS = {"path", "raw_path"}


def _is_url(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "url"


def _is_scope(node: ast.AST) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name == "scope" or name.endswith("_scope")
