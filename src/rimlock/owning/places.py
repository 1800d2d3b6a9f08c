"""The places of a FROM clause, and the conditions that every row from a place has to meet.

Threat: a condition that an OR makes void; an outer join whose other side nobody narrowed.
Source: OWASP ASVS 5.0 V8.2.2 (access to single objects), V1.2.4 (statements without injection).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import FromClause, Join, Select, TableClause, TextClause, and_, true
from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, Case, Cast, ColumnClause, Grouping
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import AliasedReturnsRows, FromGrouping, SelectBase

from rimlock.owning.conditions import OwnerCondition

__all__ = ["Joined", "Place", "conjuncts", "is_loose", "joined", "places", "sound", "sources"]

CLOSED = (Grouping, FunctionElement, Case, Cast, SelectBase, FromClause)
"""What is written between parentheses or words of its own, so that nothing beside it can change its meaning."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a statement where rows come from or are changed.

    `leaf`: a table, a subquery, or the alias of either. `conditions`: those parts of WHERE and ON that every row from
    here has to meet. `optional`: it is on the outer side of a join, so that a condition belongs into that ON.
    `nested`: it is inside of another statement.
    """

    leaf: FromClause
    conditions: tuple[Any, ...] = ()
    optional: bool = False
    nested: bool = False

    @property
    def base(self) -> Any:
        """The table, or the statement, behind the aliases."""
        found: Any = self.leaf
        while isinstance(found, AliasedReturnsRows | FromGrouping):
            found = found.element
        return found

    @property
    def table(self) -> TableClause | None:
        """The table that is read or changed here, None for a subquery or a function."""
        return self.base if isinstance(self.base, TableClause) else None

    @property
    def owners(self) -> list[OwnerCondition]:
        """The owner's conditions that hold here and speak of this place."""
        return [
            one
            for one in self.conditions
            if isinstance(one, OwnerCondition) and self.leaf in set(sources(one, deep=True))
        ]

    def under(self, conditions: list[Any]) -> Place:
        """Return the same place with more conditions."""
        return Place(self.leaf, (*self.conditions, *conditions), self.optional, self.nested)


@dataclass(frozen=True, slots=True)
class Joined:
    """One `.join()` of a SELECT: what it brings, its ON, and what every row has to meet because of it."""

    places: list[Place]
    on: list[Any]
    always: list[Any]
    left: Any
    full: bool


def places(clause: Any) -> list[Place]:
    """Return the places of one item of a FROM clause."""
    if isinstance(clause, FromGrouping):
        return places(clause.element)
    if not isinstance(clause, Join):
        return [Place(clause)]
    left, right, on = places(clause.left), places(clause.right), sound(clause.onclause)
    if clause.full:
        return [replace(place, optional=True) for place in [*left, *right]]
    if clause.isouter:
        return [*left, *(replace(place.under(on), optional=True) for place in right)]
    return [place.under(on) for place in [*left, *right]]


def joined(entry: tuple[Any, Any, Any, dict[str, bool]]) -> Joined:
    """Return what one `.join(target, on)` of a SELECT means: its target, its ON, its left side and its kind."""
    target, on, left, kind = entry
    found = places(_target(target))
    relation: Any = next((one for one in (on, target) if isinstance(one, QueryableAttribute)), None)
    if relation is not None:
        # The relationship's own ON speaks of keys; what `.and_(…)` added to it stands beside.
        on = and_(true(), *getattr(relation, "_extra_criteria", ()))
        between = relation.comparator.property.secondary
        found += [] if between is None else places(between)
    if not (kind["isouter"] or kind["full"]):
        return Joined(found, conjuncts(on), sound(on), left, full=False)
    if kind["isouter"]:
        found = [place.under(sound(on)) for place in found]
    return Joined([replace(place, optional=True) for place in found], conjuncts(on), [], left, full=kind["full"])


def conjuncts(expression: Any) -> list[Any]:
    """Return the parts of a condition that all have to hold."""
    if expression is None:
        return []
    if isinstance(expression, BooleanClauseList) and expression.operator is operators.and_:
        return [part for one in expression.clauses for part in conjuncts(one)]
    return [expression]


def sound(expression: Any) -> list[Any]:
    """Return the parts of a condition that all have to hold; none when text among them may make the others void."""
    parts = conjuncts(expression)
    return [] if any(map(is_loose, parts)) else parts


def is_loose(expression: Any) -> bool:
    """Say whether a condition holds SQL written as text without parentheses: an OR in it would reach beyond it."""
    if isinstance(expression, CLOSED):
        return False
    if isinstance(expression, TextClause) or getattr(expression, "is_literal", False):
        return True
    if isinstance(expression, BinaryExpression) and isinstance(expression.operator, operators.custom_op):
        return True
    return any(map(is_loose, expression.get_children()))


def sources(expression: Any, *, entities: bool = False, deep: bool = False) -> Iterator[FromClause]:
    """Yield the items of FROM that an expression names, by its columns or as a whole.

    `entities`: a column of a mapped class stands for all the tables of that class, as it does among the columns of a
    SELECT. `deep`: look into the WHERE of subqueries too.
    """
    entity = getattr(expression, "_annotations", {}).get("parententity")
    if entities and entity is not None:
        yield entity.selectable
    if isinstance(expression, SelectBase):
        expression = getattr(expression, "element", expression)
        yield from sources(expression.whereclause, deep=True) if deep and isinstance(expression, Select) else ()
    elif isinstance(expression, FromClause) and not isinstance(expression, FunctionElement):
        yield expression
    elif isinstance(expression, ColumnClause):
        yield from () if expression.table is None else (expression.table,)
    elif expression is not None:
        for part in expression.get_children():
            yield from sources(part, entities=entities, deep=deep)


def _target(target: Any) -> Any:
    comparator: Any = target.comparator if isinstance(target, QueryableAttribute) else None
    return target if comparator is None else comparator.entity.selectable
