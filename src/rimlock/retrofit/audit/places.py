"""Where the code behind a route stands: file, line and name, through whatever it was wrapped in.

Threat: a route whose code nobody finds is a route nobody reads.
Source: inspect.unwrap (PEP 362), functools.partial; PEP 3155 (qualified names).
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from functools import lru_cache, partial, partialmethod
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["Place", "name_of", "place_of"]

_DEEPEST = 50
_LIBRARIES = "site-packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What runs. `file` is relative to the working directory, or to where libraries are; None without a source."""

    name: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """Return it as editors and terminals understand it."""
        return self.name if self.file is None else f"{self.file}:{self.line}"


def place_of(endpoint: Any) -> Place:
    """Return where `endpoint` was written: a function, a class, or an object that is called. Never raises."""
    inner = _unwrapped(endpoint)
    code = getattr(inner, "__code__", None)
    if isinstance(code, CodeType):
        source = _relative(code.co_filename)
        return Place(name=name_of(inner), file=source, line=code.co_firstlineno if source else None)
    kind: Any = inner if inspect.isclass(inner) else type(inner)
    file, line = _class_place(kind) if not _built_in(inner) else (None, None)
    return Place(name=name_of(inner), file=None if file is None else _relative(file), line=line)


def name_of(thing: Any) -> str:
    """Return module and qualified name of a function or class, or those of the class of anything else."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", type(thing).__qualname__)
    return f"{module}.{name}" if isinstance(module, str) and module else str(name)


def _unwrapped(thing: Any) -> Any:
    """Look through partial applications, bound methods and decorators that say what they wrap."""
    for _ in range(_DEEPEST):
        if isinstance(thing, (partial, partialmethod)):
            thing = thing.func
        elif inspect.ismethod(thing):
            thing = thing.__func__
        elif "__wrapped__" in getattr(thing, "__dict__", {}):
            thing = thing.__wrapped__
        else:
            break
    return thing


def _built_in(thing: Any) -> bool:
    return inspect.isbuiltin(thing) or inspect.ismethoddescriptor(thing)


@lru_cache(maxsize=1024)
def _class_place(kind: type) -> tuple[str | None, int | None]:
    try:
        return inspect.getsourcefile(kind), inspect.getsourcelines(kind)[1]
    except (OSError, TypeError, SyntaxError, IndexError, ValueError):
        return None, None


@lru_cache(maxsize=1024)
def _relative(file: str) -> str | None:
    """Return the path as one would write it here; None for what was never a file, like `<stdin>`."""
    if file.startswith("<"):
        return None
    here = Path.cwd()
    absolute = Path(os.path.abspath(file))  # noqa: PTH100 - resolve() would leave a linked checkout
    if _LIBRARIES in absolute.parts:
        return str(Path(*absolute.parts[absolute.parts.index(_LIBRARIES) + 1 :]))
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)
