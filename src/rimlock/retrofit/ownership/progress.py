"""Where the retrofit stands, read and written in the transactions that move it.

Threat: work that is done and not noted, or noted and not done.
Source: design section 1.4; https://www.postgresql.org/docs/current/transaction-iso.html 13.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import delete, inspect, select, update
from sqlalchemy.schema import DropTable

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.statements import create_table
from rimlock.retrofit.ownership.tables import state

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, RowMapping

__all__ = ["WHOLE", "Phase", "Standing", "all_standing", "drop_state", "keep", "make_state", "require", "standing"]

WHOLE = ""
"""The name of the line that is about the whole and no table."""

Phase = Literal["counted", "waiting", "ready", "filling", "filled", "finished", "leaving"]
"""waiting: for the host's revision. ready: owners can be given. leaving: on the way back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One line of the state. `data`: what the phases noted, as JSON."""

    name: str
    phase: Phase
    cursor: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    def at(self, phase: Phase, **noted: Any) -> Standing:
        """Return it in another phase, with more noted."""
        return replace(self, phase=phase, data={**self.data, **noted})


def make_state(connection: Connection) -> None:
    """Make the table, if it is not there."""
    connection.execute(create_table(state))


def drop_state(connection: Connection) -> None:
    """Drop the table: the last step back."""
    connection.execute(DropTable(state, if_exists=True))


def standing(connection: Connection, name: str, *, held: bool = False) -> Standing | None:
    """Return where one table stands; `held` keeps everybody else from moving it until the transaction ends."""
    wanted = select(state).where(state.c.name == name)
    row = connection.execute(wanted.with_for_update() if held else wanted).mappings().first()
    return None if row is None else _read(row)


def all_standing(connection: Connection) -> dict[str, Standing]:
    """Return every line by name; none where the retrofit never began."""
    if not inspect(connection).has_table(state.name):
        return {}
    return {row["name"]: _read(row) for row in connection.execute(select(state)).mappings()}


def require(found: Mapping[str, Standing]) -> Standing:
    """Return the line for the whole. Raises ConfigurationError before `apply`."""
    if WHOLE not in found:
        raise ConfigurationError("nothing was begun here; run `rimlock retrofit apply` first")
    return found[WHOLE]


def keep(connection: Connection, line: Standing, *, now: float) -> None:
    """Write a line down, new or again."""
    values = {"phase": line.phase, "cursor": line.cursor, "data": dict(line.data), "changed_at": int(now)}
    if connection.execute(update(state).where(state.c.name == line.name).values(**values)).rowcount == 0:
        connection.execute(state.insert().values(name=line.name, **values))


def forget(connection: Connection, name: str) -> None:
    """Remove a line."""
    connection.execute(delete(state).where(state.c.name == name))


def _read(row: RowMapping) -> Standing:
    return Standing(name=row["name"], phase=row["phase"], cursor=row["cursor"], data=row["data"])
