"""Which columns of a host's user table mean what, checked once, before anybody signs in.

Threat: a column that was forgotten, so that a disabled or deleted user comes in; a column nobody can fill, found out at
    the first registration.
Source: design section 6 (nothing is added to that table); OWASP ASVS 5.0 V8.3.1 (fail closed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Boolean, Column, ColumnElement, Date, Integer, Table, inspect, not_
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeDecorator

from rimlock.core.errors import ConfigurationError
from rimlock.core.mapped_keys import Key, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["USUAL", "Columns", "Usual", "columns_of", "moment", "require_room", "seconds"]

LONGEST_HASH = 97
"""How long a hash is that we write into the host's column."""


class Usual:
    """Stands for the usual name of a column, where the table has it."""

    def __repr__(self) -> str:
        """Read well in a signature."""
        return "USUAL"


USUAL = Usual()
_USUAL_NAMES = {
    "password": "hashed_password",
    "active": "is_active",
    "verified": "is_verified",
    "superuser": "is_superuser",
    "deleted": "deleted_at",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of one table by what they mean; `gone`: what is set by a deletion, None where rows are deleted."""

    table: Table
    id: Column[Any]
    key: Key
    by_role: Mapping[str, Column[Any]]
    living: ColumnElement[bool] | None
    gone: Mapping[str, Any] | None
    unset: Mapping[str, Any]
    """What says of a new row that it is not deleted, where NULL does not."""

    def __getitem__(self, role: str) -> Column[Any]:
        """Return the column that has this meaning."""
        return self.by_role[role]

    def __contains__(self, role: object) -> bool:
        """Say whether the table has such a column."""
        return role in self.by_role

    def among(self, roles: Iterable[str]) -> list[Any]:
        """Return the key and those of these columns that there are, each labelled by what it means."""
        return [self.id.label("id"), *(self.by_role[role].label(role) for role in roles if role in self.by_role)]

    def called(self, values: Mapping[str, Any]) -> dict[Column[Any], Any]:
        """Return values by meaning as values by column, without those that the table has no column for."""
        return {self.by_role[role]: value for role, value in values.items() if role in self.by_role}


def columns_of(
    thing: Any, names: Mapping[str, Any], when_deleted: Mapping[str, Any] | None, defaults: Mapping[str, Any]
) -> Columns:
    """Find the columns. Raises ConfigurationError that names what is missing."""
    table, mapper = _table(thing)
    keys = list(table.primary_key.columns)
    if len(keys) != 1:
        raise ConfigurationError(
            f"MappedUsers needs a table with one primary key column; {table.name!r} has {len(keys)}"
        )
    deleted = _or_usual(table, mapper, "deleted", names["deleted"])
    by_role = {
        role: _column(table, mapper, role, found)
        for role, name in names.items()
        if role != "deleted" and (found := _or_usual(table, mapper, role, name)) is not None
    }
    living, gone, unset = _deletion(table, mapper, deleted, when_deleted)
    found = Columns(
        table=table, id=keys[0], key=key_of(keys[0]), by_role=by_role, living=living, gone=gone, unset=unset
    )
    for name in defaults:
        _column(table, mapper, "defaults", name)
    _require_fillable(found, defaults)
    return found


def require_room(columns: Columns) -> None:
    """Return when the host's password column holds our hashes. Raises ConfigurationError."""
    length = getattr(columns["password"].type, "length", None)
    if length is not None and length < LONGEST_HASH:
        raise ConfigurationError(
            f"{columns['password']} holds {length} characters and a hash has {LONGEST_HASH}; widen it, or say "
            "write_back=False, and new passwords are kept beside it"
        )


def seconds(value: Any) -> int:
    """Return a moment of the host's as seconds since the epoch; one without a zone is UTC, none at all is 0."""
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0


def moment(column: Column[Any], now: int) -> Any:
    """Return a moment in the form of the column."""
    bare = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(bare, Boolean):
        return True
    if isinstance(bare, Integer):
        return now
    at = datetime.fromtimestamp(now, UTC)
    if isinstance(bare, Date):
        return at.date()
    return at if getattr(bare, "timezone", False) else at.replace(tzinfo=None)


def _table(thing: Any) -> tuple[Table, Mapper[Any] | None]:
    found: Any = inspect(thing, raiseerr=False) if isinstance(thing, type) else None
    mapper = found if isinstance(found, Mapper) else None
    table = thing if mapper is None else mapper.local_table
    if not isinstance(table, Table) or (mapper is not None and mapper.inherits is not None):
        raise ConfigurationError(f"MappedUsers needs a Table, or a class mapped to one alone; {thing!r} is neither")
    return table, mapper


def _or_usual(table: Table, mapper: Mapper[Any] | None, role: str, name: Any) -> Any:
    if not isinstance(name, Usual):
        return name
    usual = _USUAL_NAMES[role]
    if _lookup(table, mapper, usual) is not None:
        return usual
    if role == "password":
        raise ConfigurationError(
            f"{table.name!r} has no column {usual!r}; say password=… with the column of the password hashes, or "
            "password=None when there is none"
        )
    return None


def _column(table: Table, mapper: Mapper[Any] | None, role: str, name: Any) -> Column[Any]:
    found = _lookup(table, mapper, getattr(name, "key", name))
    if found is None:
        raise ConfigurationError(f"{table.name!r} has no column {name!r}, which MappedUsers was given as {role}")
    return found


def _lookup(table: Table, mapper: Mapper[Any] | None, name: str) -> Column[Any] | None:
    """Find a column by the attribute of the class, by its key or by its name in the database."""
    if mapper is not None and name in mapper.column_attrs:
        found = mapper.column_attrs[name].columns[0]
        return found if isinstance(found, Column) else None
    return table.columns.get(name, next((one for one in table.columns if one.name == name), None))


def _deletion(
    table: Table, mapper: Mapper[Any] | None, deleted: Any, when_deleted: Mapping[str, Any] | None
) -> tuple[ColumnElement[bool] | None, Mapping[str, Any] | None, Mapping[str, Any]]:
    """Return the condition that a row is somebody's, what a deletion sets (None: its moment), what a new row has."""
    if deleted is None:
        return None, when_deleted, {}
    if isinstance(deleted, ColumnElement) and not isinstance(deleted, Column) and not hasattr(deleted, "property"):
        if not when_deleted:
            raise ConfigurationError("with a condition as deleted=…, say when_deleted={column: value} as well")
        return not_(deleted), when_deleted, {}
    column = _column(table, mapper, "deleted", deleted)
    if isinstance(column.type, Boolean):
        return not_(column), when_deleted or {column.key: True}, {column.key: False}
    return column.is_(None), when_deleted or {column.key: None}, {}


def _require_fillable(columns: Columns, defaults: Mapping[str, Any]) -> None:
    """Return when a registration can fill every column. Raises ConfigurationError."""
    filled = {column.key for column in columns.by_role.values()} | {columns.id.key, *defaults, *columns.unset}
    empty = [
        column.name
        for column in columns.table.columns
        if not column.nullable
        and column.default is None
        and column.server_default is None
        and column.computed is None
        and column.identity is None
        and column.key not in filled
        and column.name not in filled
    ]
    if empty:
        raise ConfigurationError(
            f"nobody could register: {columns.table.name!r} wants a value for {', '.join(empty)}; map what holds a "
            f"name, and say defaults={{{empty[0]!r}: …}} for the rest, with a value or a function of the new user"
        )
