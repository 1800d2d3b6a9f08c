"""The source as data: every module of the package and of the tests, parsed once."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "Function", "Module", "functions", "modules", "package", "parse"]

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file; `name` is dotted for the package, a path for everything else."""

    name: str
    path: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """How many lines the file has."""
        return self.text.count("\n")


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method; `lines` are counted without its docstring."""

    where: str
    name: str
    lines: int
    docstring: str | None


def parse(text: str, name: str = "planted", path: str = "planted.py") -> Module:
    """Make a module of a text."""
    return Module(name, path, text, ast.parse(text))


@cache
def package() -> tuple[Module, ...]:
    """Every module under `src`, but for Alembic's numbered scripts."""
    return tuple(found for found in modules("src/rimlock") if ".versions." not in found.name)


@cache
def modules(folder: str) -> tuple[Module, ...]:
    """Every Python file under a folder of the repository."""
    files = sorted(file for file in (ROOT / folder).rglob("*.py") if "__pycache__" not in file.parts)
    return tuple(parse(file.read_text(encoding="utf-8"), _dotted(file), str(file.relative_to(ROOT))) for file in files)


def functions(module: Module) -> list[Function]:
    """Every function of a module, nested ones and methods included."""
    definitions = (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [
        Function(f"{module.path}:{node.lineno}", node.name, _lines(node), ast.get_docstring(node))
        for node in definitions
    ]


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    whole = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is None or first.end_lineno is None:
        return whole
    return whole - (first.end_lineno - first.lineno + 1)


def _dotted(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts[1:] if part != "__init__") if parts[0] == "src" else "/".join(parts)
