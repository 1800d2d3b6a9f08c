"""Chooses the engine behind a database address.

Threat: an address, which holds a password, repeated in an error.
Source: RFC 3986 section 3.2.1 (user information in addresses).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from rimlock.core.errors import ConfigurationError

if TYPE_CHECKING:
    from rimlock.core.database import Database, Publish

__all__ = ["open_database"]


def open_database(url: str, publish: Publish) -> Database:
    """Open the database behind `url` (sqlite:///file.db, postgresql://…). Raises ConfigurationError."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "DATABASE_URL is not a database address; write sqlite:///app.db or postgresql://…"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        from rimlock.core.database_sqlite import SQLiteDatabase

        return SQLiteDatabase(parsed, publish)
    if backend == "postgresql":
        from rimlock.core.database_postgres import PostgresDatabase

        return PostgresDatabase(parsed, publish)
    raise ConfigurationError(f"Rimlock keeps its tables in SQLite or PostgreSQL, not in {backend!r}")
