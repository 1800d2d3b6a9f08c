"""Which tables are ours and which are the host's, for their migrations and for our own.

Threat: a host's autogenerate that proposes to drop the accounts; a migration that takes a host's table for ours.
Source: https://alembic.sqlalchemy.org/en/latest/autogenerate.html (include_name and include_object).

Names are compared whole, never by prefix: a table of the host's that begins with `auth_` stays the host's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from rimlock.core.errors import ConfigurationError
from rimlock.core.schema import VERSION_TABLE, metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

__all__ = [
    "BESIDE",
    "OURS",
    "forget_empty_version",
    "include_name",
    "include_object",
    "ours_only",
    "refuse_foreign_references",
    "refuse_taken_names",
    "standing_tables",
]

OURS = frozenset(metadata.tables) | {VERSION_TABLE}
"""Names of every table this version makes, the version table included."""

BESIDE = frozenset({"auth_owner", "auth_retrofit"})
"""Ours too, but they come and go with the ownership of the host's rows, by themselves and in the host's database."""


def include_name(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Say whether the host's Alembic should look at what is named so: everything but our tables.

    For `context.configure(include_name=include_name)` in the host's `env.py`. A table of another schema is the host's,
    whatever its name.
    """
    table = name if type_ == "table" else parent_names.get("table_name")
    return parent_names.get("schema_name") is not None or table not in OURS | BESIDE


def include_object(thing: Any, name: str | None, type_: str, reflected: bool, compare_to: Any) -> bool:  # noqa: FBT001
    """Say the same of an object, for hosts that filter with `context.configure(include_object=include_object)`.

    An object in the host's own metadata is always the host's business.
    """
    if not reflected or compare_to is not None:
        return True
    table = thing if type_ == "table" else getattr(thing, "table", None)
    return getattr(table, "schema", None) is not None or getattr(table, "name", name) not in OURS | BESIDE


def ours_only(name: str | None, type_: str, parent_names: Mapping[Any, str | None]) -> bool:
    """Say whether our Alembic should look at what is named so: our tables, and nothing else."""
    table = name if type_ == "table" else parent_names.get("table_name")
    return type_ == "schema" or (table not in BESIDE and not include_name(name, type_, parent_names))


def standing_tables(connection: Connection) -> frozenset[str]:
    """Return the names of those of our tables that the database has."""
    return OURS.intersection(inspect(connection).get_table_names())


def refuse_taken_names(connection: Connection) -> None:
    """Refuse to build where tables of our names stand that we did not record. Raises ConfigurationError."""
    standing = standing_tables(connection)
    if standing and VERSION_TABLE not in standing:
        raise ConfigurationError(
            f"the database has tables named {_listed(standing)} and no record that Rimlock made them: rename or remove "
            "them, or give Rimlock a database of its own; nothing was changed"
        )


def refuse_foreign_references(connection: Connection) -> None:
    """Refuse to leave while a table of the host's refers to one of ours. Raises ConfigurationError.

    PostgreSQL would refuse the drop; SQLite would delete the host's rows or leave them pointing at nothing.
    """
    keys = inspect(connection).get_multi_foreign_keys()
    referring = {table for (_, table), found in keys.items() for key in found if key["referred_table"] in OURS}
    if referring := referring - OURS:
        raise ConfigurationError(
            f"by foreign key, {_listed(referring)} refers to Rimlock's tables: remove that first; nothing was changed"
        )


def forget_empty_version(connection: Connection) -> None:
    """Drop the version table once it records nothing, so that only the host's tables are left."""
    if VERSION_TABLE not in standing_tables(connection):
        return
    if connection.exec_driver_sql(f"SELECT count(*) FROM {VERSION_TABLE}").scalar() == 0:  # noqa: S608 - our own constant
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")


def _listed(names: frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names))
