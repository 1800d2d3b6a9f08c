"""Finds every place where a statement reads or changes a table, in joins, aliases, subqueries and CTEs.

Threat: a table reached on a way that nobody looked at; another one taken for the table outside of its subquery.
Source: OWASP ASVS 5.0 V8.2.2 (access to single objects).

Where it is not certain that SQLAlchemy ties a table of a subquery to the one outside, the place is reported: a
condition too many is harmless. The pieces of a SELECT have no public names; the tests hold for the oldest and the
newest SQLAlchemy that is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Delete, FromClause, Insert, Join, Lateral, Select, TextClause, Update
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import CTE, CompoundSelect, SelectBase

from rimlock.owning.places import Joined, Place, joined, places, sound, sources

__all__ = ["Reading", "read"]

STATEMENTS = (SelectBase, Insert, Update, Delete)
_NOTHING: frozenset[Any] = frozenset()


@dataclass(slots=True)
class Reading:
    """What a statement touches: tables by place, those it inserts into, and what of it is written as text.

    `loose`: text in its own WHERE, without parentheses, reaches beyond what is written there.
    """

    places: list[Place] = field(default_factory=list)
    inserted: list[Any] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    loose: bool = False


def read(statement: Any) -> Reading:
    """Find every place where a statement of SQLAlchemy's reads or changes a table."""
    reader = _Reader()
    reader.statement(statement, _NOTHING, nested=False)
    return reader.reading


class _Reader:
    def __init__(self) -> None:
        self.reading = Reading()
        self._seen: dict[Any, Any] = {}
        self._entered: set[int] = set()

    def statement(self, statement: Any, outer: frozenset[Any], *, nested: bool = True, free: bool = True) -> None:
        """Read a statement. `outer`: the places around it. `free`: it may be tied to them without being told to."""
        key = (id(statement), outer, free)
        if key in self._seen:
            return
        self._seen[key] = statement  # kept, so that its identity is not given to another
        for clause, _ in (*(_piece(statement, "_prefixes") or ()), *(_piece(statement, "_suffixes") or ())):
            self._part(clause, outer)
        if isinstance(statement, Select):
            self._select(statement, outer, nested=nested, free=free)
        elif isinstance(statement, CompoundSelect):
            self._compound(statement, outer, free=free)
        elif isinstance(statement, Update | Delete):
            self._change(statement, outer, nested=nested)
        elif isinstance(statement, Insert):
            self._insert(statement, outer, nested=nested)
        else:
            self._parts(statement, outer)

    def _select(self, select: Select[Any], outer: frozenset[Any], *, nested: bool, free: bool) -> None:
        joins = [joined(entry) for entry in _piece(select, "_setup_joins")]
        items = _items(select, joins)
        tied = _tied(select, items, outer, free=free)
        found = _merged([item for item in items.all if item not in tied], joins)
        always = self._where(select, nested=nested)
        inner = [part for join in joins for part in join.always]
        self._enter([place.under(always).under(inner) for place in found], outer, nested=nested)
        around = outer.union(place.leaf for place in found)
        for part in (part for join in joins for part in join.on):
            self._part(part, around)
        self._parts(select, around)

    def _compound(self, statement: CompoundSelect[Any], outer: frozenset[Any], *, free: bool) -> None:
        for select in statement.selects:
            self.statement(getattr(select, "element", select), outer, free=free)
        self._parts(statement, outer)

    def _change(self, statement: Update | Delete, outer: frozenset[Any], *, nested: bool) -> None:
        # A column of another table among the new values puts that table into FROM, as one in WHERE does.
        named = [statement.whereclause, *_values(statement)]
        items = dict.fromkeys([statement.table, *(source for one in named for source in sources(one))])
        found = _merged(list(items), [])
        always = self._where(statement, nested=nested)
        self._enter([place.under(always) for place in found], outer, nested=nested)
        self._parts(statement, outer.union(place.leaf for place in found))

    def _where(self, statement: Any, *, nested: bool) -> list[Any]:
        """Return the parts of WHERE that every row has to meet, and note when text makes them void."""
        always = sound(statement.whereclause)
        if not nested:
            self.reading.loose = not always and statement.whereclause is not None
        return always

    def _insert(self, statement: Insert, outer: frozenset[Any], *, nested: bool) -> None:
        """Read an INSERT: new rows are nobody else's, but those that ON CONFLICT changes may be."""
        self.reading.inserted.append(statement.table)
        clause = _piece(statement, "_post_values_clause")
        if clause is not None and "nothing" not in str(getattr(clause, "__visit_name__", "")):
            where = sound(getattr(clause, "update_whereclause", None))
            self._enter([Place(statement.table).under(where)], outer, nested=nested)
        self._parts(statement, outer)

    def _enter(self, found: list[Place], outer: frozenset[Any], *, nested: bool) -> None:
        """Report the tables among the places, and read the statements behind the others."""
        around = outer.union(place.leaf for place in found)
        for place in found:
            if place.table is not None:
                self.reading.places.append(replace(place, nested=True) if nested else place)
            elif isinstance(place.base, STATEMENTS):
                self._entered.add(id(place.base))
                lateral, common = isinstance(place.leaf, Lateral), isinstance(place.leaf, CTE)
                self.statement(place.base, around if lateral else _NOTHING if common else outer, free=lateral)
            else:
                self._parts(place.base, around)

    def _parts(self, element: Any, outer: frozenset[Any]) -> None:
        """Look into everything an element is made of."""
        for part in element.get_children():
            self._part(part, outer)

    def _part(self, part: Any, outer: frozenset[Any]) -> None:
        if isinstance(part, TextClause):
            self.reading.texts.append(part.text)
        elif isinstance(part, ColumnClause):
            self.reading.texts += [part.name] if part.is_literal else []
        elif isinstance(part, STATEMENTS):
            self.statement(part, outer)
        elif isinstance(part, Join | FunctionElement) or not isinstance(part, FromClause):
            self._parts(part, outer)
        elif isinstance(base := Place(part).base, STATEMENTS) and id(base) not in self._entered:
            self._entered.add(id(base))
            self.statement(base, outer if isinstance(part, Lateral) else _NOTHING)


@dataclass(frozen=True, slots=True)
class _Items:
    """The items of a FROM clause.

    `all`: every one. `loose`: those that may be tied to a statement outside.
    `several`: how many there are beside each other.
    """

    all: list[Any]
    loose: list[Any]
    several: int


def _items(select: Select[Any], joins: list[Joined]) -> _Items:
    columns = (one for part in _piece(select, "_raw_columns") for one in sources(part, entities=True))
    listed = dict.fromkeys([*columns, *_piece(select, "_from_obj")])
    listed |= dict.fromkeys(join.left for join in joins if join.left is not None)
    everything = list(listed | dict.fromkeys(sources(select.whereclause)))
    within = {place.leaf for item in everything if isinstance(item, Join) for place in places(item)}
    within |= {place.leaf for join in joins for place in join.places}
    apart = [item for item in everything if item not in within]
    # Which item a .join() begins with is decided late; it is never one that only WHERE names.
    alone = [item for item in apart if not isinstance(item, Join) and not (joins and item in listed)]
    return _Items(everything, alone, several=len(apart))


def _tied(select: Select[Any], items: _Items, outer: frozenset[Any], *, free: bool) -> set[Any]:
    """Return the items that are the outer statement's, by the rules of `Select.correlate`."""
    if not outer:
        return set()
    near = [item for item in items.loose if item in outer]
    told, but = _piece(select, "_correlate"), _piece(select, "_correlate_except")
    tied = {item for item in near if item in set(told or ())}
    if but is not None:
        tied |= {item for item in near if item not in set(but)}
    rest = [item for item in near if item not in tied]
    if free and _piece(select, "_auto_correlate") and items.several - len(tied) > 1:
        tied |= set(rest)
    return tied


def _merged(items: Iterable[Any], joins: list[Joined]) -> list[Place]:
    """Return one place for each leaf. What a join says of it counts: the bare table stands in that join."""
    found: dict[Any, Place] = {}
    for item in sorted(items, key=lambda one: isinstance(one, Join)):
        found |= {place.leaf: place for place in places(item)}
    for join in joins:
        found |= {place.leaf: place for place in join.places}
        if join.full:
            found = {leaf: replace(place, optional=True) for leaf, place in found.items()}
    return list(found.values())


def _values(statement: Update | Delete) -> list[Any]:
    """Return the expressions that an UPDATE sets columns to."""
    pairs = [*dict(_piece(statement, "_values") or {}).items(), *(_piece(statement, "_ordered_values") or ())]
    return [value for _, value in pairs if hasattr(value, "get_children")]


def _piece(statement: Any, name: str) -> Any:
    return getattr(statement, name, None)
