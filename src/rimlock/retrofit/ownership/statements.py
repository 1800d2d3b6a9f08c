"""The few statements on a host's table that SQLAlchemy has no construct for; names are quoted by its preparer.

Threat: a table named so that a glued statement says something else.
Source: https://docs.sqlalchemy.org/en/20/core/compiler.html; OWASP ASVS 5.0 V1.2.4 (injection).
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, String, Table
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import (
    AddConstraint,
    CreateIndex,
    CreateTable,
    DropConstraint,
    DropIndex,
    ExecutableDDLElement,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = [
    "AddColumn",
    "AlterColumn",
    "DropColumn",
    "RenameTable",
    "ValidateConstraint",
    "add_check",
    "add_reference",
    "create_index",
    "create_table",
    "drop_constraint",
    "drop_index",
    "owner_column",
    "short_name",
    "written",
]

LONGEST_NAME = 60
OWNER_LENGTH = 64


class AddColumn(ExecutableDDLElement):
    """`ALTER TABLE … ADD COLUMN …`, nullable and without a default: the catalogue changes, no row does."""

    def __init__(self, table: Table, name: str) -> None:
        self.table, self.name = table, name


class DropColumn(ExecutableDDLElement):
    """`ALTER TABLE … DROP COLUMN …`."""

    def __init__(self, table: Table, name: str) -> None:
        self.table, self.name = table, name


class AlterColumn(ExecutableDDLElement):
    """`ALTER TABLE … ALTER COLUMN … SET NOT NULL` or `DROP NOT NULL`."""

    def __init__(self, table: Table, name: str, *, required: bool) -> None:
        self.table, self.name, self.required = table, name, required


class ValidateConstraint(ExecutableDDLElement):
    """`ALTER TABLE … VALIDATE CONSTRAINT …`: reads every row, and lets readers and writers pass."""

    def __init__(self, table: Table, name: str) -> None:
        self.table, self.name = table, name


class RenameTable(ExecutableDDLElement):
    """`ALTER TABLE … RENAME TO …`."""

    def __init__(self, before: str, table: Table) -> None:
        self.before, self.table = before, table


@compiles(RenameTable)
def _rename(element: RenameTable, compiler: Any, **_: Any) -> str:
    names = compiler.preparer
    return f"ALTER TABLE {names.quote(element.before)} RENAME TO {names.format_table(element.table)}"


@compiles(AddColumn)
def _add(element: AddColumn, compiler: Any, **_: Any) -> str:
    column = compiler.get_column_specification(Column(element.name, String(OWNER_LENGTH)))
    return f"ALTER TABLE {compiler.preparer.format_table(element.table)} ADD COLUMN {column}"


@compiles(DropColumn)
def _drop(element: DropColumn, compiler: Any, **_: Any) -> str:
    names = compiler.preparer
    return f"ALTER TABLE {names.format_table(element.table)} DROP COLUMN {names.quote(element.name)}"


@compiles(AlterColumn)
def _alter(element: AlterColumn, compiler: Any, **_: Any) -> str:
    names, verb = compiler.preparer, "SET" if element.required else "DROP"
    return f"ALTER TABLE {names.format_table(element.table)} ALTER COLUMN {names.quote(element.name)} {verb} NOT NULL"


@compiles(ValidateConstraint)
def _validate(element: ValidateConstraint, compiler: Any, **_: Any) -> str:
    names = compiler.preparer
    return f"ALTER TABLE {names.format_table(element.table)} VALIDATE CONSTRAINT {names.quote(element.name)}"


def owner_column(host: HostTable, name: str) -> Table:
    """Return the table as it is with the owner's column, for statements and for DDL."""
    table = host.table.to_metadata(host.table.metadata.__class__())
    if name not in table.c:
        table.append_column(Column(name, String(OWNER_LENGTH)))
    return table


def add_check(host: HostTable, column: str) -> ExecutableDDLElement:
    """Say that no row may be without an owner from now on; rows that are there are not looked at yet."""
    return AddConstraint(_check(host, column))


def add_reference(host: HostTable, column: str) -> ExecutableDDLElement:
    """Say that owners have to exist from now on; rows that are there are not looked at yet."""
    return AddConstraint(_reference(host, column))


def drop_constraint(host: HostTable, column: str, kind: str) -> ExecutableDDLElement:
    """Drop the check (`ck`) or the reference (`fk`), if it is there."""
    constraint = _check(host, column) if kind == "ck" else _reference(host, column)
    return DropConstraint(constraint, if_exists=True)


def create_index(host: HostTable, column: str) -> ExecutableDDLElement:
    """Index the owners; on PostgreSQL without keeping writers out."""
    return CreateIndex(_index(host, column), if_not_exists=True)


def drop_index(host: HostTable, column: str, *, online: bool) -> ExecutableDDLElement:
    """Drop the index of owners, if it is there."""
    return DropIndex(_index(host, column, concurrently=online), if_exists=True)


def create_table(table: Table) -> ExecutableDDLElement:
    """Create a table of ours, if it is not there."""
    return CreateTable(table, if_not_exists=True)


def short_name(kind: str, host: HostTable, column: str) -> str:
    """Return a name for an index or a constraint that every database takes."""
    name = f"{kind}_{host.name}_{column}"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name.encode()[:40].decode('utf-8', 'ignore')}_{sha256(name.encode()).hexdigest()[:12]}"


def written(statement: ExecutableDDLElement, dialect: Dialect) -> str:
    """Return the statement as text, for people to read and for files."""
    return str(statement.compile(dialect=dialect)).strip()


def _check(host: HostTable, column: str) -> CheckConstraint:
    table = owner_column(host, column)
    made = CheckConstraint(table.c[column].is_not(None), name=short_name("ck", host, column), postgresql_not_valid=True)
    table.append_constraint(made)
    return made


def _reference(host: HostTable, column: str) -> ForeignKeyConstraint:
    table = owner_column(host, column)
    Table("auth_user", table.metadata, Column("id", String(OWNER_LENGTH), primary_key=True))
    name = short_name("fk", host, column)
    made = ForeignKeyConstraint([column], ["auth_user.id"], name=name, postgresql_not_valid=True)
    table.append_constraint(made)
    return made


def _index(host: HostTable, column: str, *, concurrently: bool = True) -> Index:
    table = owner_column(host, column)
    return Index(short_name("ix", host, column), table.c[column], postgresql_concurrently=concurrently)
