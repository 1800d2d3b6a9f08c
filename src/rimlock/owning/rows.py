"""Statements on one row, by its key and its owner at once, and on the line that says whose it is.

Threat: somebody else's row told apart from one that does not exist; a new row that takes over an old one's owner.
Source: requirements T3 and T6; OWASP ASVS 5.0 V8.2.2 (access to single objects).

What is not there and what is not the principal's is one statement that finds nothing: the same answer, the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Column, Delete, String, Update, bindparam, cast, delete, exists, insert, inspect, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rimlock.core.errors import ConfigurationError, NotFound
from rimlock.owning.conditions import owner_of, undeclared
from rimlock.owning.declaring import Ownership, ownership_of, table_key, table_of
from rimlock.owning.scoping import owned
from rimlock.owning.tables import owner
from rimlock.web.problems import Refusal

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Insert, Select

    from rimlock.core.principal import Principal

__all__ = ["change_of", "claim_of", "forget_deleted", "found", "line_of", "one_row", "removal_of"]

Found = TypeVar("Found")


def found(result: Found | None, detail: str | None = None) -> Found:
    """Return a row, or the result of an UPDATE or DELETE, that there is; otherwise raise the 404 for it.

    None and a result that touched no row are the same Refusal `not_found`. `detail`: its sentence.
    """
    if result is None or getattr(result, "rowcount", None) == 0:
        raise Refusal(NotFound(detail))
    return result


def one_row(thing: Any, key: Any, principal: Principal | None, *, everything: bool = False) -> Select[Any]:
    """Return the SELECT of one row by its primary key and its owner. A composite key is a tuple."""
    return owned(select(thing).where(*_by_key(thing, key)), principal, everything=everything)


def change_of(
    thing: Any, key: Any, values: Mapping[str, Any], principal: Principal | None, *, everything: bool = False
) -> Update:
    """Return the UPDATE of one row by its primary key and its owner.

    Raises ConfigurationError when `values` holds the owner, by whatever name, or the key that the side table knows the
    row by: what came from a request must not give rows away, nor leave an owner behind for the next row of that key.
    """
    ownership = _ownership(thing)
    if (ownership.column or ownership.row_key) in _set_by(thing, values):
        raise ConfigurationError(
            f"the owner of {table_of(thing).name!r}, or the key that tells it, is not changed along with other values"
        )
    return owned(update(thing).where(*_by_key(thing, key)).values(values), principal, everything=everything)


def removal_of(thing: Any, key: Any, principal: Principal | None, *, everything: bool = False) -> Delete:
    """Return the DELETE of one row by its primary key and its owner."""
    return owned(delete(thing).where(*_by_key(thing, key)), principal, everything=everything)


def line_of(thing: Any, key: Any) -> Delete | None:
    """Return the DELETE of the line that says whose a row was, None where the row itself said it.

    A database may give the key of a deleted row to a new one, which must not be the old owner's.
    """
    if _ownership(thing).column is not None:
        return None
    return delete(owner).where(owner.c.table_name == table_key(table_of(thing)), owner.c.row_key == _text(thing, key))


def claim_of(dialect: str, thing: Any, key: Any, principal: Principal | None) -> Insert:
    """Return the INSERT of the line that says whose a new row is; it touches no row when it is somebody else's."""
    if _ownership(thing).column is not None:
        raise ConfigurationError(f"{table_of(thing).name!r} has an owner column; set it to owner_of(principal)")
    line = {"table_name": table_key(table_of(thing)), "row_key": _text(thing, key), "user_id": owner_of(principal)}
    if dialect not in {"sqlite", "postgresql"}:
        return insert(owner).values(line)
    adding = sqlite.insert(owner) if dialect == "sqlite" else postgresql.insert(owner)
    new = adding.excluded.user_id
    return adding.values(line).on_conflict_do_update(
        index_elements=[owner.c.table_name, owner.c.row_key], set_={"user_id": new}, where=owner.c.user_id == new
    )


def forget_deleted(thing: Any) -> Delete:
    """Return the DELETE of the side table's lines whose rows are gone, to be run after an `owned(delete(…))`."""
    if _ownership(thing).column is not None:
        raise ConfigurationError(f"{table_of(thing).name!r} has an owner column; nothing is left of deleted rows")
    table = table_of(thing)
    key = cast(table.c[_ownership(thing).row_key], String)
    gone = ~exists(select(table).where(key == owner.c.row_key).correlate(owner))
    return delete(owner).where(owner.c.table_name == table_key(table), gone).execution_options(rimlock_unowned="sweep")


def _ownership(thing: Any) -> Ownership:
    table = table_of(thing)
    declared = ownership_of(table)
    if declared is None:
        raise undeclared(table.name)
    return declared


def _by_key(thing: Any, key: Any) -> list[ColumnElement[bool]]:
    columns, parts = _keys(thing), key if isinstance(key, tuple) else (key,)
    if len(columns) != len(parts):
        raise ConfigurationError(f"{table_of(thing).name!r} has {len(columns)} primary key columns, not {len(parts)}")
    return [
        column == bindparam("key", part, column.type, unique=True) for column, part in zip(columns, parts, strict=True)
    ]


def _set_by(thing: Any, values: Mapping[Any, Any]) -> set[str]:
    """Return the keys of the columns that these values set, through attributes, synonyms and hybrids of a class too."""
    mapped = getattr(getattr(inspect(thing, raiseerr=False), "mapper", None), "class_", None)
    found: set[str] = set()
    for name, value in values.items():
        attribute = getattr(mapped, name, name) if isinstance(name, str) else name
        pairs = getattr(attribute, "_bulk_update_tuples", lambda it, at=attribute: [(at, it)])(value)
        for column, _ in pairs:
            element = getattr(column, "__clause_element__", lambda it=column: it)()
            found.add(str(getattr(element, "key", element)))
    return found


def _keys(thing: Any) -> tuple[Column[Any], ...]:
    mapper = getattr(inspect(thing, raiseerr=False), "mapper", None)
    return tuple(mapper.primary_key if mapper is not None else thing.primary_key.columns)


def _text(thing: Any, key: Any) -> ColumnElement[str]:
    """Return the key as the text that the database itself makes of it."""
    return cast(bindparam("key", key, table_of(thing).c[_ownership(thing).row_key].type, unique=True), String)
