"""Makes a column NOT NULL in SQLite, which has no statement for it: the table is put up anew in one transaction.

Threat: a copy that loses a row, an index, a trigger, a view, a number already given out, or empties what refers to it.
Source: https://sqlite.org/lang_altertable.html section 7 (the twelve steps); foreign keys are off on our connection.

Everything is compared before the commit: rows, checksum, every other object of the schema, references without a row.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, MetaData, Table, func, insert, literal_column, select, text
from sqlalchemy.schema import DropTable

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.checksums import add_up
from rimlock.retrofit.ownership.schema_print import HEAD, differences, print_of
from rimlock.retrofit.ownership.statements import RenameTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import ColumnElement, Connection

    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["rebuild", "with_not_null"]

TEMPORARY = "rimlock_rebuilt"
_QUOTES = {'"': '"', "'": "'", "`": "`", "[": "]"}
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|"(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|[(),]|[^\s"'`\[(),/-]+|\s+|.""",
    re.DOTALL,
)


def rebuild(connection: Connection, table: HostTable, column: str) -> None:
    """Put the table up anew with `column` NOT NULL. Raises ConfigurationError, and then nothing was changed.

    The connection has the write lock, foreign keys off and `legacy_alter_table` on.
    """
    before = _image(connection, table)
    written = connection.execute(_TABLE, {"name": table.name}).scalar_one()
    hanging = list(connection.execute(_HANGING, {"name": table.name}).scalars())
    last_number = _number(connection, table)
    connection.exec_driver_sql(with_not_null(written, column))
    _copy(connection, table)
    connection.execute(DropTable(table.table))
    connection.execute(RenameTable(TEMPORARY, table.table))
    for statement in hanging:
        connection.exec_driver_sql(statement)
    if last_number is not None:
        connection.execute(_SET_NUMBER, {"name": table.name, "seq": last_number})
    _compare(before, _image(connection, table), table)


def with_not_null(written: str, column: str) -> str:
    """Return the statement that makes such a table under a passing name, with the column NOT NULL."""
    body, found = re.subn(HEAD, f"CREATE TABLE {TEMPORARY} (", written, count=1)
    if not found:
        raise ConfigurationError(
            "the definition of the table begins in a way that is not known here; nothing was changed"
        )
    for start, end in _definitions(body):
        words = [word for word in _TOKEN.findall(body[start:end]) if word.strip() and not word.startswith(("--", "/*"))]
        if words and _unquoted(words[0]).casefold() == column.casefold():
            return f"{body[:end].rstrip() if '--' not in body[start:end] else body[:end]} NOT NULL{body[end:]}"
    raise ConfigurationError(f"the definition of the table says nothing of {column!r}; nothing was changed")


def _definitions(written: str) -> Iterator[tuple[int, int]]:
    """Yield where each part between the outer parentheses begins and ends."""
    depth, start = 0, 0
    for found in _TOKEN.finditer(written):
        word = found[0]
        if word == "(":
            depth += 1
            start = found.end() if depth == 1 else start
        elif word in {",", ")"} and depth == 1:
            yield start, found.start()
            start = found.end()
        depth -= word == ")"
        if word == ")" and depth == 0:
            return


def _unquoted(word: str) -> str:
    if word[0] in _QUOTES:
        return word[1:-1].replace(_QUOTES[word[0]] * 2, _QUOTES[word[0]])
    return word


def _copy(connection: Connection, table: HostTable) -> None:
    """Copy every row under its own number; what the table computes it computes again."""
    names = [column.name for column in table.table.c if column.name not in table.generated]
    held: list[ColumnElement[Any]] = [table.table.c[name] for name in names]
    if table.rowid is not None and table.rowid not in names:
        names, held = [table.rowid, *names], [literal_column(table.rowid), *held]
    made = Table(TEMPORARY, MetaData(), *(Column(name) for name in names))
    connection.execute(insert(made).from_select(names, select(*held).select_from(table.table)))


def _image(connection: Connection, table: HostTable) -> dict[str, Any]:
    """Return everything that has to be the same afterwards, but for the definition of the table itself."""
    names = [column.name for column in table.table.c]
    schema = print_of(connection)
    schema.pop(f"table {table.name}", None)
    broken = connection.execute(select(func.count()).select_from(text("pragma_foreign_key_check"))).scalar_one()
    return {"schema": schema, "content": add_up(connection, table, names), "broken": broken}


def _compare(before: dict[str, Any], after: dict[str, Any], table: HostTable) -> None:
    if wrong := differences(before["schema"], after["schema"]):
        raise ConfigurationError(f"{table.label!r} was not rebuilt, nothing was changed: {wrong[0]}")
    if before != after:
        raise ConfigurationError(
            f"{table.label!r} was not rebuilt, nothing was changed: its content came out different"
        )


def _number(connection: Connection, table: HostTable) -> int | None:
    """Return the highest number given out so far, where the table never gives one out twice."""
    if connection.execute(_HAS_NUMBERS).scalar() is None:
        return None
    found: int | None = connection.execute(_NUMBER, {"name": table.name}).scalar()
    return found


_TABLE = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
_HANGING = text(
    "SELECT sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
    "AND tbl_name = :name COLLATE NOCASE ORDER BY type, rowid"
)
_HAS_NUMBERS = text("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
_NUMBER = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
_SET_NUMBER = text("UPDATE sqlite_sequence SET seq = :seq WHERE name = :name")
