"""Finds the tables and columns of a source: looked for in the database, never assumed.

Threat: a column of another version or another name that is read as something it is not.
Source: design section 1.4; the tables of each system as its layout names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, TableClause, and_, column, func, inspect, select, table

from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy import Connection, RowMapping, Select

__all__ = ["Looked", "Probed", "Wanted", "look"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the operator said of the source. `tables`: name by part; `columns`: name by `part.column`.

    `fields`: members of the profile, by columns of the table of users.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A table to look for. `part`: what it is called in options.

    `columns`: usual names by ours, of which the first that is there counts. `required`: without these columns it is
    another table.
    """

    part: str
    names: Sequence[str]
    columns: Mapping[str, Sequence[str]]
    required: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Probed:
    """A table that is there, and which of the columns."""

    name: str
    table: TableClause
    columns: Mapping[str, str]

    def has(self, *names: str) -> bool:
        """Say whether all of these columns are there."""
        return all(name in self.columns for name in names)

    def of(self, name: str) -> ColumnElement[Any]:
        """Return a column by our name."""
        return self.table.c[self.columns[name]]

    def query(self) -> Select[Any]:
        """Select all that was found, by our names."""
        return select(*(self.of(name).label(f"r_{name}") for name in self.columns))

    def page(self, connection: Connection, after: Any, limit: int) -> list[dict[str, Any]]:
        """Return rows in order of `id`, those after `after`."""
        query = self.query().order_by(self.of("id")).limit(limit)
        return _rows(connection, query if after is None else query.where(self.of("id") > after))

    def belonging(self, connection: Connection, owner: str, ids: Sequence[Any]) -> dict[Any, list[dict[str, Any]]]:
        """Return the rows that belong to these users, by the user."""
        found: dict[Any, list[dict[str, Any]]] = {}
        if ids:
            for row in _rows(connection, self.query().where(self.of(owner).in_(list(ids)))):
                found.setdefault(row[owner], []).append(row)
        return found

    def count(self, connection: Connection, *filled: str) -> int:
        """Count the rows, or those where one of the columns is filled."""
        conditions = [and_(self.of(name).is_not(None)) for name in filled if self.has(name)]
        if filled and not conditions:
            return 0
        query = select(func.count()).select_from(self.table)
        return int(connection.execute(query.where(*conditions) if conditions else query).scalar_one())


def look(connection: Connection, wanted: Wanted, looked: Looked, *, more: Iterable[str] = ()) -> Probed | None:
    """Return the table if it is there, with its columns; `more`: further columns, by their names in the database.

    Raises ConfigurationError for a table that was named and is not there, and for one that lacks what it must have.
    """
    named = wanted.tables.get(looked.part)
    inspector = inspect(connection)
    for name in (named,) if named else looked.names:
        schema, _, bare = name.rpartition(".")
        if inspector.has_table(bare, schema=schema or None):
            there = [one["name"] for one in inspector.get_columns(bare, schema=schema or None)]
            return _probed(wanted, looked, name, there, tuple(more))
    if named:
        raise ConfigurationError(f"the source has no table {named!r}; look at --table {looked.part}={named}")
    return None


def _probed(wanted: Wanted, looked: Looked, name: str, there: list[str], more: tuple[str, ...]) -> Probed:
    columns = {
        ours: found
        for ours, usual in looked.columns.items()
        if (found := _column(wanted, looked.part, name, ours, usual, there)) is not None
    }
    for ours in sorted(looked.required - set(columns)):
        raise ConfigurationError(
            f"the table {name!r} of the source has no column {looked.columns[ours][0]!r}; name the one it has with "
            f"--column {looked.part}.{ours}=NAME, or another table with --table {looked.part}=NAME"
        )
    for extra in more:
        if extra not in there:
            raise ConfigurationError(f"the table {name!r} of the source has no column {extra!r}; look at --field")
        columns[f"field:{extra}"] = extra
    schema, _, bare = name.rpartition(".")
    return Probed(name, table(bare, *(column(one) for one in set(columns.values())), schema=schema or None), columns)


def _column(wanted: Wanted, part: str, name: str, ours: str, usual: Sequence[str], there: list[str]) -> str | None:
    named = wanted.columns.get(f"{part}.{ours}")
    if named is None:
        return next((one for one in usual if one in there), None)
    if named not in there:
        raise ConfigurationError(f"the table {name!r} of the source has no column {named!r}; look at --column")
    return named


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [_unlabelled(row) for row in connection.execute(query).mappings()]


def _unlabelled(row: RowMapping) -> dict[str, Any]:
    return {name.removeprefix("r_"): value for name, value in row.items()}
