"""One way to the database for every rule: a function of a transaction, run where it is cheapest.

Threat: a half-written state, a guard that two workers pass at once, an event told before it was true.
Source: performance notes in docs/decisions/0002; OWASP ASVS 5.0 V2.3.3 and V15.4.2.

Logic is a plain function `work(tx)`. On SQLite it runs on one writer thread that commits many of them at once;
on PostgreSQL it runs on a pooled connection. Either way all of its statements take effect, or none.
"""

from __future__ import annotations

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from rimlock.core.acting import NOBODY, Acting
from rimlock.core.errors import AuthError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, RowMapping, Table

    from rimlock.core.events import Event
    from rimlock.core.mapped_standing import MappedAccounts

__all__ = ["Database", "Publish", "Record", "Transaction", "Transition"]

T = TypeVar("T")
log = logging.getLogger("rimlock.database")
Publish = Callable[["Event"], None]
Record = Callable[["Transaction"], None]
"""Writes down what a transaction did, as its last statement. What it raises undoes the transaction."""


@dataclass(frozen=True)
class Transition:
    """One guarded statement that moves at most one row from one state to the next and returns what it made.

    Parameters are named (`:name`). `postgres` differs only where the dialects do.
    """

    sqlite: str
    postgres: str

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names in the order of their first use in the PostgreSQL text."""
        return tuple(dict.fromkeys(re.findall(r"(?<!:):([a-z_]+)", self.postgres)))

    @cached_property
    def numbered(self) -> str:
        """The PostgreSQL text with `$1, $2, …` in place of the names."""
        places = {name: f"${place}" for place, name in enumerate(self.parameters, 1)}
        return re.sub(r"(?<!:):([a-z_]+)", lambda found: places[found[1]], self.postgres)


@dataclass(slots=True)
class Transaction:
    """What logic gets: statements in, rows out, events collected until the commit."""

    connection: Connection
    dialect: str
    events: list[Event] = field(default_factory=list)
    statements: int = 0
    locks: set[str] = field(default_factory=set)
    acting: Acting = NOBODY
    """Who does this, and from where."""
    host: MappedAccounts | None = None
    """Where standings come from whose users are in a table of the host's."""

    def all(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Sequence[RowMapping]:
        """Return every row."""
        self.statements += 1
        return self.connection.execute(statement, parameters).mappings().all()

    def one(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> RowMapping | None:
        """Return the first row, or None."""
        self.statements += 1
        return self.connection.execute(statement, parameters).mappings().first()

    def value(self, statement: Executable, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return the first column of the one row there is. Raises NoResultFound."""
        self.statements += 1
        return self.connection.execute(statement, parameters).scalar_one()

    def change(self, statement: Executable, parameters: Any = None) -> int:
        """Run a statement that changes rows and return how many it changed."""
        self.statements += 1
        return self.connection.execute(statement, parameters).rowcount

    def upsert(self, table: Table) -> Any:
        """Return an insertion that may be told what to do on a conflict: each dialect has its own, slow to import."""
        if self.dialect == "postgresql":
            from sqlalchemy.dialects import postgresql

            return postgresql.insert(table)
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)

    def emit(self, event: Event) -> None:
        """Tell observers of `event` once this transaction is committed, never if it is not."""
        self.events.append(event if self.acting is NOBODY else replace(event, acting=self.acting))

    def lock(self, name: str) -> None:
        """Hold the named lock until the end of the transaction. SQLite has one writer and needs none."""
        if self.dialect == "postgresql" and name not in self.locks:
            self.locks.add(name)
            self.statements += 1
            self.connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext($1))", (name,))


class Database(ABC):
    """Reads and writes, whatever the engine. `executed` counts statements, for tests of hot paths."""

    dialect: str
    address: str
    """The database's own URL, with its password: for migrations, never to be shown."""
    executed: int = 0
    record: Record | None = None
    """Called at the end of every transaction that emitted events."""
    host: MappedAccounts | None = None
    """Given to every transaction; see Transaction."""

    @abstractmethod
    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction, commit, deliver its events, return its value.

        Raises whatever `work` raises, after rolling back; Unavailable when the database does not answer.
        """

    @abstractmethod
    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one consistent view. It must not change anything. Raises Unavailable."""

    @abstractmethod
    async def transition(self, statement: Transition, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Run one guarded statement in its own transaction; return the row it made, or None. Raises Unavailable."""

    def carry_out(self, work: Callable[[Transaction], T], transaction: Transaction) -> T:
        """Do the work, and write down what it did, or undo it. For the engines.

        Raises Unavailable, and what the work or a feature's reaction to it raises.
        """
        result = work(transaction)
        if transaction.events and self.record is not None:
            try:
                self.record(transaction)
            except AuthError:
                raise  # a feature has something against it
            except Exception as error:  # noqa: BLE001 - a change that nobody hears of is none
                # The text of a failed statement quotes what was to be written.
                log.error("nothing was changed, it could not be recorded: %s", type(error).__name__)  # noqa: TRY400
                raise Unavailable from None
        return result

    @abstractmethod
    async def close(self) -> None:
        """Give every connection back. Work already accepted is finished first."""
