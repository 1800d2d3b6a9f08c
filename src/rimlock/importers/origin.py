"""Where people come from: pages of records, in the order of their ids, out of tables or a file.

Threat: a source larger than the memory; a page that begins where rows were deleted meanwhile.
Source: https://use-the-index-luke.com/no-offset (keyset pages).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rimlock.core.errors import ConfigurationError
from rimlock.importers.probing import Looked, Probed, Wanted, look
from rimlock.importers.records import Leftover, Name, Record, RowUnfit, Unfit
from rimlock.importers.values import field_of, id_of, moment_of, optional, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sqlalchemy import Connection

    from rimlock.importers.source import Source

__all__ = ["Layout", "Origin", "TableOrigin", "basics", "everyone"]

Row = dict[str, Any]
NAMES_AT_ONCE = 5_000


class Origin(ABC):
    """A source that is open. `unique`: no two rows of it have one id."""

    unique: ClassVar[bool] = True

    @abstractmethod
    def names(self) -> AsyncIterator[list[Name]]:
        """Yield what tells people apart, all of them."""

    @abstractmethod
    def records(self, size: int) -> AsyncIterator[list[Record | Unfit]]:
        """Yield all people, `size` at a time."""

    @abstractmethod
    async def leftovers(self) -> list[Leftover]:
        """Return the secrets that stay behind."""


class Layout(ABC):
    """The tables of one system. `parts`: their names in options."""

    parts: ClassVar[frozenset[str]]
    uuids: ClassVar[bool] = False
    """Whether an id of 32 hexadecimal digits is a UUID that a database without such a type holds."""
    users: Probed

    @abstractmethod
    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        """Look for the tables. Raises ConfigurationError."""

    def beside(self, connection: Connection, ids: Sequence[Any]) -> Mapping[str, Mapping[Any, list[Row]]]:  # noqa: ARG002 - layouts use it
        """Return what belongs to these users in other tables, by table and user."""
        return {}

    @abstractmethod
    def record(self, row: Row, beside: Mapping[str, list[Row]]) -> Record:
        """Read one person. Raises RowUnfit."""

    def leftovers(self, connection: Connection) -> list[Leftover]:  # noqa: ARG002 - layouts use it
        """Return the secrets that stay behind."""
        return []

    def row(self, row: Row) -> str:
        """Return the id of a row. Raises RowUnfit."""
        return id_of(row["id"], uuids=self.uuids)

    def name(self, row: Row) -> str | None:
        """Return the username in a row."""
        return optional(row.get("username"))


@dataclass(slots=True)
class TableOrigin(Origin):
    """People in tables."""

    source: Source
    layout: Layout

    async def names(self) -> AsyncIterator[list[Name]]:
        """See Origin.names."""
        after = None
        while rows := await self.source.ask(lambda tx, after=after: self.layout.users.page(tx, after, NAMES_AT_ONCE)):  # type: ignore[misc]
            after = rows[-1]["id"]
            yield [self._name(row) for row in rows]

    def _name(self, row: Row) -> Name:
        named = text_of(row["id"]) if row["id"] is None else self.layout.row(row)
        return Name(named, text_of(row.get("email")), self.layout.name(row))

    async def records(self, size: int) -> AsyncIterator[list[Record | Unfit]]:
        """See Origin.records."""
        after = None
        while True:
            after, found = await self.source.ask(lambda tx, after=after: self._page(tx, after, size))  # type: ignore[misc]
            if not found:
                return
            yield found

    async def leftovers(self) -> list[Leftover]:
        """See Origin.leftovers."""
        found = await self.source.ask(self.layout.leftovers)
        return [one for one in found if one.rows]

    def _page(self, connection: Connection, after: Any, size: int) -> tuple[Any, list[Record | Unfit]]:
        rows = self.layout.users.page(connection, after, size)
        if not rows:
            return after, []
        beside = self.layout.beside(connection, [row["id"] for row in rows])
        return rows[-1]["id"], [self._read(row, beside) for row in rows]

    def _read(self, row: Row, beside: Mapping[str, Mapping[Any, list[Row]]]) -> Record | Unfit:
        try:
            return self.layout.record(row, {part: found.get(row["id"], []) for part, found in beside.items()})
        except RowUnfit as unfit:
            return Unfit(text_of(row["id"]), unfit.reason)


def everyone(connection: Connection, wanted: Wanted, looked: Looked, parts: frozenset[str]) -> Probed:
    """Return the table of users. Raises ConfigurationError where it is not, and for options that name nothing."""
    named = {*wanted.tables, *(name.partition(".")[0] for name in wanted.columns)}
    if strange := sorted(named - parts):
        raise ConfigurationError(f"{strange[0]!r} is no part of this source; its parts are {', '.join(sorted(parts))}")
    found = look(connection, wanted, looked, more=wanted.fields.values())
    if found is None:
        raise ConfigurationError(
            f"the source has no table {' or '.join(map(repr, looked.names))}; name the one it has with "
            f"--table {looked.part}=NAME"
        )
    return found


def basics(row: Row, wanted: Wanted) -> dict[str, Any]:
    """Return the fields of a record that every system calls alike."""
    return {
        "email": text_of(row.get("email")),
        "username": optional(row.get("username")),
        "display_name": text_of(row.get("display_name")),
        "avatar_url": text_of(row.get("avatar_url")),
        "locale": optional(row.get("locale")),
        "created_at": moment_of(row.get("created_at")),
        "profile": {name: field_of(row[f"field:{column}"]) for name, column in wanted.fields.items()},
    }
