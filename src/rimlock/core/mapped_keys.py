"""A host's primary keys as text and back: integers, UUIDs in any storage, strings.

Threat: two texts for one user; an id that is no id and ends as an error of the database; a key that was cut off.
Source: design section 6 (identifiers are text); RFC 9562 section 4 (the one text form of a UUID that is written).

A text is an id only when it is the very text we would write for the key: `07`, `+7` and upper-case UUIDs are nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.types import TypeDecorator

from rimlock.core.errors import ConfigurationError
from rimlock.core.ids import new_id

if TYPE_CHECKING:
    from sqlalchemy import Column
    from sqlalchemy.types import TypeEngine

__all__ = ["LONGEST_ID", "Key", "key_for", "key_of"]

LONGEST_ID = 64
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Key:
    """How one key column is written. `kind`: the Python type of its values; `most`: the largest integer it holds."""

    kind: type
    most: int = 2**31 - 1

    def text(self, value: Any) -> str | None:
        """Return our id for a value of the column; None for one that has none."""
        if self.kind is bytes:
            return str(UUID(bytes=bytes(value))) if len(value) == _UUID_BYTES else None
        text = str(value)
        return text if 0 < len(text) <= LONGEST_ID and text.isprintable() else None

    def value(self, text: str) -> Any:
        """Return the value of the column for an id of ours; None for a text that is none."""
        found = self._parsed(text)
        return found if found is not None and self.text(found) == text else None

    def fresh(self, now: int) -> Any:
        """Return a new value, where neither the table nor its model makes one. None where the database has to."""
        if self.kind is UUID:
            return uuid4()
        if self.kind is bytes:
            return uuid4().bytes
        return new_id(now) if self.kind is str else None

    def _parsed(self, text: str) -> Any:
        if self.kind is str:
            return text
        if self.kind is int:
            digits = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= len(str(2**63))
            return int(text) if digits and -self.most <= int(text) <= self.most else None
        try:
            return UUID(text) if self.kind is UUID else UUID(text).bytes
        except ValueError:
            return None


def key_of(column: Column[Any]) -> Key:
    """Return how a key column is written. Raises ConfigurationError for a type that is no key of ours."""
    found = key_for(column.type)
    if found is None:
        raise ConfigurationError(
            f"the key {column} is of a type that MappedUsers does not know; integers, UUIDs and strings are keys"
        )
    return found


def key_for(type_: TypeEngine[Any]) -> Key | None:
    """Return how values of a type are written as ids; None for a type that is no key of ours."""
    kind, bare = _kind(type_), _bare(type_)
    if kind not in {int, UUID, str, bytes}:
        return None
    if isinstance(bare, BigInteger):
        return Key(int, 2**63 - 1)
    return Key(int, 2**15 - 1) if isinstance(bare, SmallInteger) else Key(kind)


def _kind(type_: TypeEngine[Any]) -> type:
    """Return the Python type of a column's values; a decorator that calls itself one of UUIDs gives UUIDs."""
    if isinstance(type_, TypeDecorator) and any(word in type(type_).__name__.lower() for word in ("uuid", "guid")):
        return UUID
    try:
        return type_.python_type
    except NotImplementedError:
        bare = _bare(type_)
        return object if bare is type_ else _kind(bare)


def _bare(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    return type_.impl_instance if isinstance(type_, TypeDecorator) else type_
