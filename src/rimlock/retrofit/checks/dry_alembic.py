"""Runs Alembic's own program, `python -m` this, with every connection of SQLAlchemy unable to write.

Threat: an `env.py` that writes while it is only to be asked: a version table, a new database file.
Source: https://docs.sqlalchemy.org/en/20/core/events.html (do_connect, begin); https://sqlite.org/uri.html.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

__all__ = ["forbid_writing"]


def forbid_writing() -> None:
    """Open SQLite files read-only, and begin every transaction on another database as one that reads."""
    event.listen(Engine, "do_connect", _read_only_file)
    event.listen(Engine, "begin", _read_only_transaction)


def _read_only_file(dialect: Any, _record: Any, arguments: list[Any], named: dict[str, Any]) -> None:
    if dialect.name != "sqlite" or not arguments or arguments[0] in {"", ":memory:"} or named.get("uri"):
        return
    arguments[0] = f"{Path(str(arguments[0])).absolute().as_uri()}?mode=ro"
    named["uri"] = True


def _read_only_transaction(connection: Connection) -> None:
    if connection.dialect.name in {"postgresql", "mysql", "mariadb"}:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


if __name__ == "__main__":
    forbid_writing()
    sys.argv[0] = "alembic"
    runpy.run_module("alembic", run_name="__main__", alter_sys=True)
