"""Which tables belong to somebody, and where it is written whose a row is.

Threat: a table that is taken for nobody's because its declaration was forgotten; two places that name the owner.
Source: requirement T6 (owner scoping is a building block); OWASP ASVS 5.0 V8.2.2 (access to single objects).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, String, Table, inspect
from sqlalchemy.orm import Mapper

from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from sqlalchemy.sql.schema import SchemaItem
    from sqlalchemy.types import TypeEngine

__all__ = ["Ownership", "declare", "owner_column", "ownership_of", "table_key", "table_of"]

MARK = "rimlock.owner"
"""Under this name a column's or a table's `info` says what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Where a table keeps its owners: in a `column` of its own (its key in `table.c`), or in the side table when None.

    `row_key`: the key of the single primary key column that the side table speaks of, "" for a column of its own.
    """

    column: str | None = None
    row_key: str = ""


def owner_column(
    *items: SchemaItem, type_: TypeEngine[Any] | None = None, nullable: bool = False, index: bool = True
) -> Any:
    """Return a column that holds the id of the user a row belongs to; its table is declared by it.

    For Core tables (`Column` in `Table(…, Column(…))` needs a name: use `declare`), declarative models and
    `Field(sa_column=…)`. `items`: foreign keys and the like. `type_`: String(64) unless the host's keys are others.
    """
    return Column(type_ or String(64), *items, nullable=nullable, index=index, info={MARK: True})


def declare(thing: Any, *, column: Any = None, side: bool = False) -> None:
    """Say where a table or a mapped class keeps its owners. Raises ConfigurationError when that cannot be.

    `column`: the name, column or attribute that holds the user's id. `side`: owners stand in `auth_owner`.
    """
    table = table_of(thing)
    if side is (column is not None):
        raise ConfigurationError(f"declare {table.name!r} with either column=… or side=True")
    table.info[MARK] = _beside(table) if side else Ownership(column=_named(table, column))


def ownership_of(table: Any) -> Ownership | None:
    """Return what was declared for a table, None for one that belongs to nobody. Raises ConfigurationError for two."""
    if not isinstance(table, Table):
        return None
    table = table.metadata.tables.get(table.key, table)  # statements hold copies with notes of the ORM's
    declared: Ownership | None = table.info.get(MARK)
    return declared or _by_column(table)


def table_of(thing: Any) -> Table:
    """Return the table of a mapped class, an alias or a table itself. Raises ConfigurationError for anything else."""
    found = inspect(thing, raiseerr=False)
    mapper = getattr(found, "mapper", None)
    table = mapper.local_table if isinstance(mapper, Mapper) else thing
    table = table if isinstance(table, Table) else getattr(table, "element", None)
    if not isinstance(table, Table):
        raise ConfigurationError(f"{thing!r} is neither a table nor a class mapped to one")
    return table.metadata.tables.get(table.key, table)


def table_key(table: Table) -> str:
    """Return the name under which the side table knows a table: with its schema where it has one."""
    return str(table.fullname)


def _by_column(table: Table) -> Ownership | None:
    marked = [column.key for column in table.columns if column.info.get(MARK)]
    if len(marked) > 1:
        raise ConfigurationError(f"{table.name!r} has two owner columns, {' and '.join(marked)}; keep one")
    if not marked:
        return None
    table.info[MARK] = declared = Ownership(column=marked[0])
    return declared


def _beside(table: Table) -> Ownership:
    keys = list(table.primary_key.columns)
    if len(keys) != 1:
        raise ConfigurationError(f"{table.name!r} has no single primary key column; give it an owner column instead")
    return Ownership(row_key=keys[0].key)


def _named(table: Table, column: Any) -> str:
    """Return the key of a column given by name, as a column or as a mapped attribute."""
    name = column if isinstance(column, str) else getattr(column, "key", "")
    given = getattr(column, "__clause_element__", lambda: column)()
    found = table.columns.get(given.key if isinstance(given, Column) else name)
    if found is None:
        raise ConfigurationError(f"{table.name!r} has no column {name!r} to hold the owner")
    return str(found.key)
