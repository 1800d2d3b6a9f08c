"""Walking a table by its key: where a batch ended, kept as text, and the condition that takes up from there.

Threat: a walk by OFFSET, which misses rows when others are deleted meanwhile, and reads all that went before.
Source: https://use-the-index-luke.com/no-offset; https://sqlite.org/rowvalue.html 2.2 (scrolling queries).

A place is JSON. On SQLite it holds the stored values; on PostgreSQL their text, turned back into the type they have.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import LargeBinary, String, Text, bindparam, cast, literal_column, true, tuple_
from sqlalchemy.types import NullType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["above", "keys_of", "not_above", "pack", "unpack"]


def keys_of(table: HostTable) -> list[ColumnElement[Any]]:
    """Return what tells the rows of a table apart and puts them in order: SQLite's row number, else the primary key."""
    if table.rowid is not None:
        return [literal_column(table.rowid)]
    return [table.table.c[name] for name in table.key]


def pack(values: Sequence[Any]) -> str:
    """Write down a place."""
    return json.dumps([{"hex": one.hex()} if isinstance(one, bytes) else one for one in values])


def unpack(place: str) -> list[Any]:
    """Read a place again."""
    return [bytes.fromhex(one["hex"]) if isinstance(one, dict) else one for one in json.loads(place)]


def above(keys: Sequence[ColumnElement[Any]], place: str | None) -> ColumnElement[bool]:
    """Return the condition for what comes after `place`; everything does after None."""
    if place is None:
        return true()
    after: ColumnElement[bool] = _one(keys) > _one(_values(keys, place))
    return after


def not_above(keys: Sequence[ColumnElement[Any]], place: str | None) -> ColumnElement[bool]:
    """Return the condition for what comes up to and with `place`; everything does up to None."""
    if place is None:
        return true()
    until: ColumnElement[bool] = _one(keys) <= _one(_values(keys, place))
    return until


def _one(parts: Sequence[ColumnElement[Any]]) -> Any:
    return parts[0] if len(parts) == 1 else tuple_(*parts)


def _values(keys: Sequence[ColumnElement[Any]], place: str) -> list[ColumnElement[Any]]:
    return [_value(key, value) for key, value in zip(keys, unpack(place), strict=True)]


def _value(key: ColumnElement[Any], value: Any) -> ColumnElement[Any]:
    """A stored value as it is, where columns have no type here (SQLite); else text that the database reads."""
    if isinstance(key.type, NullType):
        if isinstance(value, str) and not value.isascii():
            # It may hold bytes that are no UTF-8, which only a blob can carry.
            return cast(
                bindparam(None, value.encode("utf-8", "surrogateescape"), type_=LargeBinary(), unique=True), Text
            )
        return bindparam(None, value, type_=NullType(), unique=True)
    return cast(bindparam(None, value, type_=String(), unique=True), key.type)
