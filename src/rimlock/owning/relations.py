"""Which mapped classes the ORM may load along relationships, once a statement has loaded one.

Threat: `project.tasks` and `joinedload`, which no WHERE of the statement reaches.
Source: OWASP ASVS 5.0 V8.2.2 (access to single objects).
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import FromClause
from sqlalchemy.orm import Mapper, Query

__all__ = ["related"]

_reachable: WeakKeyDictionary[Mapper[Any], tuple[Mapper[Any], ...]] = WeakKeyDictionary()


def related(statement: Any) -> list[Mapper[Any]]:
    """Return the mapped classes that relationships lead to from the entities of a SELECT, each once."""
    core: Any = statement.statement if isinstance(statement, Query) else statement
    found: dict[Mapper[Any], None] = {}
    for part in core._raw_columns:  # noqa: SLF001 - what is selected as a whole has no public name
        entity = part._annotations.get("parententity") if isinstance(part, FromClause) else None  # noqa: SLF001
        if entity is not None:
            found |= dict.fromkeys(_reach(entity.mapper))
    return list(found)


def _reach(mapper: Mapper[Any]) -> tuple[Mapper[Any], ...]:
    """Follow relationships from a class, and those of the classes found; worked out once for each class."""
    known = _reachable.get(mapper)
    if known is None:
        known = _reachable[mapper] = tuple(_walk(mapper))
    return known


def _walk(start: Mapper[Any]) -> dict[Mapper[Any], None]:
    found: dict[Mapper[Any], None] = {}
    pending = list(start.self_and_descendants)
    while pending:
        for relation in pending.pop().relationships:
            for target in (*relation.mapper.iterate_to_root(), *relation.mapper.self_and_descendants):
                pending += [] if target in found else [target]
                found[target] = None
    return found
