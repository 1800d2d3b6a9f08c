"""Which mapped classes the ORM may load along relationships, once a statement has loaded one.

Threat: `project.tasks`, `joinedload`, a `column_property` that counts tasks: no WHERE of the statement reaches them.
Source: OWASP ASVS 5.0 V8.2.2 (access to single objects).
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Column, FromClause, Table
from sqlalchemy.orm import Mapper, Query
from sqlalchemy.sql.visitors import iterate

__all__ = ["related"]

_reachable: WeakKeyDictionary[Mapper[Any], tuple[Mapper[Any] | Table, ...]] = WeakKeyDictionary()


def related(statement: Any) -> list[Mapper[Any] | Table]:
    """Return the mapped classes that relationships and computed columns lead to from what a statement returns.

    A table that a computed column reads, and not by a mapped class, is returned as it is: the ORM cannot narrow it.
    """
    core: Any = statement.statement if isinstance(statement, Query) else statement
    found: dict[Mapper[Any] | Table, None] = {}
    # What is selected, or returned by a change, has no public name.
    for part in getattr(core, "_raw_columns", getattr(core, "_returning", ())):
        entity = part._annotations.get("parententity") if isinstance(part, FromClause) else None  # noqa: SLF001
        if entity is not None:
            found |= dict.fromkeys(_reach(entity.mapper))
    return list(found)


def _reach(mapper: Mapper[Any]) -> tuple[Mapper[Any] | Table, ...]:
    """Follow relationships from a class, and those of the classes found; worked out once for each class."""
    known = _reachable.get(mapper)
    if known is None:
        known = _reachable[mapper] = tuple(_walk(mapper))
    return known


def _walk(start: Mapper[Any]) -> dict[Mapper[Any] | Table, None]:
    found: dict[Mapper[Any] | Table, None] = {}
    pending = list(start.self_and_descendants)
    while pending:
        mapper = pending.pop()
        counted, bare = _computed(mapper)
        near = [*(relation.mapper for relation in mapper.relationships), *counted]
        for target in (one for it in near for one in (*it.iterate_to_root(), *it.self_and_descendants)):
            pending += [] if target in found else [target]
            found[target] = None
        found |= dict.fromkeys(bare)
    return found


def _computed(mapper: Mapper[Any]) -> tuple[set[Mapper[Any]], set[Table]]:
    """Return the classes that a `column_property` of this one reads in a subquery, and the tables read without one."""
    computed = (one for attribute in mapper.column_attrs for one in attribute.columns if not isinstance(one, Column))
    parts = [part for one in computed for part in iterate(one)]
    entities = {entity.mapper for part in parts if (entity := getattr(part, "_annotations", {}).get("parententity"))}
    known = {str(table) for entity in (mapper, *entities) for table in entity.tables}
    return entities - {mapper}, {part for part in parts if isinstance(part, Table) and str(part) not in known}
