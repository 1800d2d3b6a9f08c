"""Finds the statements on owned tables that nobody narrowed to one user.

Threat: one query of many, in a route that no test looks at closely, that gives everybody's rows to anybody.
Source: requirement T6 (owner scoping); OWASP ASVS 5.0 V8.2.2 (access to single objects).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import MetaData, Table, TextClause, event
from sqlalchemy.orm import Session

import rimlock
from rimlock.core.errors import ConfigurationError
from rimlock.owning.declaring import ownership_of
from rimlock.owning.reading import read
from rimlock.owning.scoping import ALL, LEFT

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["UnownedQuery", "unowned_queries"]

ON_PURPOSE = "rimlock_unowned"
"""The execution option of a statement that reads everybody's rows on purpose; its value says why."""

_KNOWN = "rimlock_known_row"
_LIBRARIES = tuple(str(Path(str(module.__file__)).parent) for module in (sqlalchemy, rimlock))
_flushing: ContextVar[bool] = ContextVar("rimlock_flushing", default=False)


@dataclass(frozen=True, slots=True)
class UnownedQuery:
    """A statement that went past the owner: its SQL, the owned tables it touches so, and the line that sent it."""

    sql: str
    tables: tuple[str, ...]
    sent_by: str


@contextmanager
def unowned_queries(engine: Any, *metadata: Any) -> Iterator[list[UnownedQuery]]:
    """Collect the statements of the block that touch an owned table without `owned`: none, when all is well.

    `engine`: the application's Engine or AsyncEngine. `metadata`: its MetaData, or its declarative base, in which at
    least one table has a declared owner; ConfigurationError otherwise.

    Not reported: INSERT, reading an object again that the session has already, what a flush writes of such objects, and
    statements that stand for everybody on purpose, by `everything`, by `of`, or by
    `execution_options(rimlock_unowned="why")`. SQL written as text is reported when an owned table's name is in it.
    """
    judge = _Judge([table for one in metadata for table in _metadata(one).tables.values()])
    heard = (
        (getattr(engine, "sync_engine", engine), "before_cursor_execute", judge.before_cursor_execute),
        (Session, "do_orm_execute", _mark_known),
        (Session, "before_flush", _begin_flush),
        (Session, "after_flush", _end_flush),
        (Session, "after_soft_rollback", _end_flush),
    )
    with ExitStack() as listening:
        for target, name, listener in heard:
            event.listen(target, name, listener)
            listening.callback(event.remove, target, name, listener)
        yield judge.found


class _Judge:
    def __init__(self, tables: list[Table]) -> None:
        self.found: list[UnownedQuery] = []
        self._names = {table.name for table in tables if ownership_of(table)}
        if not self._names:
            raise ConfigurationError("no table of this metadata has a declared owner, so nothing could be found")
        self._columns = {column.name for table in tables for column in table.columns}
        self._patterns = {name: _pattern(name) for name in self._names}

    def before_cursor_execute(self, _c: Any, _cursor: Any, sql: str, _p: Any, context: Any, _many: bool) -> None:  # noqa: FBT001 - SQLAlchemy's order
        options = {} if context is None else context.execution_options
        if not {ON_PURPOSE, ALL, _KNOWN}.isdisjoint(options) or _is_harmless(sql, context):
            return
        tables = self._tables(sql, context) - options.get(LEFT, frozenset())
        if tables:
            self.found.append(UnownedQuery(sql, tuple(sorted(tables)), _sender()))

    def _tables(self, sql: str, context: Any) -> set[str]:
        """Return the owned tables that the statement touches without a condition."""
        compiled: Any = None if context is None else context.compiled
        statement = getattr(compiled, "statement", None)
        if statement is None or isinstance(statement, TextClause):
            return self._mentioned(sql)
        reading = read(getattr(compiled.compile_state, "statement", statement))
        places = [(str(place.table.name), place) for place in reading.places if place.table is not None]
        bare = {name for name, place in places if name in self._names and not place.owners}
        written = self._mentioned(" ".join(reading.texts))
        # What is in the SQL and at none of the places came in by a hint or a prefix, unless it is a column's name.
        expected = {name for name, _ in places} | {table.name for table in reading.inserted} | self._columns
        return bare | written | (self._mentioned(sql) - expected)

    def _mentioned(self, sql: str) -> set[str]:
        return {name for name, pattern in self._patterns.items() if pattern.search(sql)}


def _metadata(one: Any) -> MetaData:
    found: MetaData = one if isinstance(one, MetaData) else one.metadata
    return found


def _pattern(name: str) -> re.Pattern[str]:
    """Return what finds a table's name in SQL, quoted or not, but not as the name of a parameter."""
    quoted = re.escape(name.replace('"', '""'))
    return re.compile(rf"(?<![\w$])(?<!%\()(?<!(?<!:):){quoted}(?![\w$])", re.IGNORECASE)


def _is_harmless(sql: str, context: Any) -> bool:
    """Say whether a statement shows nobody's rows: DDL, a PRAGMA, or a flush of objects the session was given."""
    if sql.lstrip()[:6].upper() == "PRAGMA":
        return True
    return context is not None and bool(context.isddl or (_flushing.get() and (context.isupdate or context.isdelete)))


def _mark_known(state: Any) -> None:
    if state.is_column_load:
        state.update_execution_options(**{_KNOWN: True})


def _begin_flush(*_: Any) -> None:
    _flushing.set(True)


def _end_flush(*_: Any) -> None:
    _flushing.set(False)


def _sender() -> str:
    """Return file and line of the code nearest to the statement that is neither SQLAlchemy's nor ours."""
    for frame in _stacks():
        if not frame.f_code.co_filename.startswith(_LIBRARIES):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return ""


def _stacks() -> Iterator[FrameType]:
    """Yield the frames from here outwards, and then those of the coroutine that waits on a stack of its own."""
    greenlets = sys.modules.get("greenlet")
    parent = greenlets.getcurrent().parent if greenlets else None
    for start in (inspect.currentframe(), parent and parent.gr_frame):
        frame = start
        while frame is not None:
            yield frame
            frame = frame.f_back
