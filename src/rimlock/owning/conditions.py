"""The condition that a row is somebody's, as a part of SQL that can be recognised again.

Threat: a condition that only looks like one; an owner compared as text with a column of another type.
Source: OWASP ASVS 5.0 V8.2.2 (access to single objects); design, section 6 (SQLAlchemy Core).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import String, bindparam, cast, exists, inspect, select
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.elements import Grouping

from rimlock.core.errors import ConfigurationError, CredentialMissing
from rimlock.core.mapped_keys import key_for
from rimlock.owning.declaring import Ownership, ownership_of, table_key, table_of
from rimlock.owning.tables import owner
from rimlock.web.problems import Refusal

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.types import TypeEngine

    from rimlock.core.principal import Principal

__all__ = ["OWNER", "OwnerCondition", "condition", "mine", "owner_of", "undeclared"]


OWNER = "owner_id"
"""What the parameter with the user's id is called, to tell it from the others of a condition."""


class OwnerCondition(Grouping[bool]):
    """A condition, in parentheses, that the rows of one table or alias are one user's. Copies stay of this class."""

    inherit_cache = True


def owner_of(principal: Principal | None) -> str:
    """Return the id of the user a principal acts as.

    Raises Refusal `credential_missing` for nobody and for a key without a user: neither owns anything.
    """
    if principal is None or not principal.user_id:
        raise Refusal(CredentialMissing())
    return principal.user_id


def mine(thing: Any, principal: Principal | None) -> OwnerCondition:
    """Return the condition that a row of a table, a mapped class or an alias of either is the principal's.

    For the ON of an outer join, for `any()` and `has()`; anywhere else `owned` is shorter. Raises ConfigurationError
    without a declaration, Refusal `credential_missing` for a principal without a user.
    """
    table = table_of(thing)
    ownership = ownership_of(table)
    if ownership is None:
        raise undeclared(table.name)
    found = inspect(thing, raiseerr=False)
    leaf = table if getattr(found, "is_mapper", False) else getattr(found, "selectable", thing)
    return condition(leaf, ownership, owner_of(principal))


def condition(leaf: Any, ownership: Ownership, user_id: str, *, single: bool = False) -> OwnerCondition:
    """Return the condition for a table, an alias or a mapper.

    `single`: rows are found by something else, most often by their key, and only looked at one by one.
    """
    column = _column(leaf, ownership.column or ownership.row_key)
    if ownership.column is not None:
        return OwnerCondition(column == _owner(user_id, column.type))
    name = table_key(table_of(leaf))
    return OwnerCondition(_one_beside(column, name, user_id) if single else _many_beside(column, name, user_id))


def undeclared(name: str) -> ConfigurationError:
    """Return the error for a table of which nobody said whose its rows are."""
    return ConfigurationError(
        f"nothing says whose the rows of {name!r} are; give the model an owner_column(), or write "
        f"declare({name}, column=…) or declare({name}, side=True)"
    )


def _column(leaf: Any, key: str) -> Any:
    """Return a column; of a mapper, the attribute, which the ORM follows into its own aliases."""
    if not isinstance(leaf, Mapper):
        return leaf.c[key]
    column = leaf.local_table.c[key]
    return leaf.get_property_by_column(column).class_attribute


def _many_beside(key: Any, name: str, user_id: str) -> ColumnElement[bool]:
    """Begin at the owner's lines, which one index holds entirely, and find each row by its primary key."""
    lines = select(_as_key(key.type)).where(owner.c.user_id == _owner(user_id), owner.c.table_name == name)
    found: ColumnElement[bool] = key.in_(lines.correlate(None))
    return found


def _one_beside(key: Any, name: str, user_id: str) -> ColumnElement[bool]:
    """Begin at the row, and find its one line by the side table's primary key."""
    line = exists().where(
        owner.c.table_name == name, owner.c.row_key == cast(key, String), owner.c.user_id == _owner(user_id)
    )
    return line.correlate_except(owner)


def _as_key(type_: TypeEngine[Any]) -> ColumnElement[Any]:
    return owner.c.row_key if isinstance(type_, String) else cast(owner.c.row_key, type_)


def _owner(user_id: str, type_: TypeEngine[Any] | None = None) -> Any:
    """Return the user's id as a parameter of the column's type. Raises ConfigurationError where it does not fit."""
    kind = type_ or owner.c.user_id.type
    key = key_for(kind)
    value = user_id if key is None else key.value(user_id)
    if value is None:
        raise ConfigurationError("the owner column is of a type that the users' ids do not fit")
    return bindparam(OWNER, value, type_=kind, unique=True)
