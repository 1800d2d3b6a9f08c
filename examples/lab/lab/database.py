"""The engine, and the session each request works in.

There is one engine per process. It is built on first use from LAB_DATABASE_URL; `configure` points the process at
another database, which is how the tests give every test a fresh one. Building it creates the tables that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateIndex, CreateTable

from lab import settings
from lab.models import Base

_lock = Lock()
_engine: Engine | None = None


def configure(url: str | None = None) -> Engine:
    """Point the process at `url` (default: the environment's) and return the new engine; the old one is closed."""
    global _engine
    engine = _build(url or settings.database_url())
    with _lock:
        previous, _engine = _engine, engine
    if previous is not None:
        previous.dispose()
    return engine


def current_engine() -> Engine:
    """Return the process's engine, building it from the environment when nothing has configured one yet."""
    return _engine or configure()


def open_session() -> Session:
    """Return a new session. The caller closes it."""
    return Session(current_engine(), expire_on_commit=False)


def get_session() -> Iterator[Session]:
    """Yield the request's session; what was not committed is rolled back."""
    with open_session() as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


def _build(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
    _create_missing_tables(engine)
    return engine


def _tune_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _create_missing_tables(engine: Engine) -> None:
    # IF NOT EXISTS rather than create_all: several workers may start on an empty file at the same moment.
    with engine.begin() as connection:
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
