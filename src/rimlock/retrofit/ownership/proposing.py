"""Proposes a plan by looking at the host's tables: something to begin with, which people correct.

Threat: a proposal that is taken for a decision.
Source: requirement N3.

Everything is proposed beside the tables, where it is undone without a trace. What was left out is said in comments.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.surveying import require_one_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rimlock.retrofit.ownership.surveying import HostTable

__all__ = ["propose"]

MAKERS = (
    "created_by",
    "creator",
    "author",
    "owner",
    "submitted_by",
    "uploaded_by",
    "operator",
    "user_email",
    "username",
    "user_name",
    "email",
)
RECORDS = ("audit", "history", "event", "activity", "log")
ABOUT = ("row_id", "entity_id", "record_id", "resource_id", "object_id", "target_id", "analysis_id", "item_id")
NAMING = ("table_name", "entity", "entity_type", "resource", "resource_type", "object_type", "target_type")
BY = ("user", "user_email", "username", "user_name", "actor", "email", "performed_by", "created_by", "user_id")

OPENING = """\
# Who owns the rows that are there already. Read it, correct it, then: rimlock retrofit plan, apply, backfill, verify.
#
# mode = "side"    owners are kept beside the table, which is not touched
# mode = "column"  owners are kept in a column of the table, which comes by ddl = "sql" or ddl = "alembic"
# Rules are asked in their order; the first that names one person decides. Whoever nobody names belongs to the default.

ddl = "sql"

# [map]
# "a text in the data" = "the email, username or id of the account that is meant"
"""


def propose(tables: Mapping[str, HostTable]) -> str:
    """Return a plan for these tables, as TOML with comments."""
    parts = [OPENING]
    records = [table for table in tables.values() if _is_record(table)]
    for table in tables.values():
        if table.bookkeeping or _is_record(table):
            parts.append(f"# {json.dumps(table.label)} is left out: it seems to be a record of other tables.\n")
            continue
        try:
            require_one_key(table)
        except ConfigurationError as error:
            what, _, _ = str(error).partition("; ")  # the mend is to leave it out, which is done
            parts.append(f"# Left out: {what}.\n")
        else:
            parts.append("\n".join([*_head(table), *_rules(table, records), ""]))
    return "\n".join(parts)


def _head(table: HostTable) -> Iterator[str]:
    yield "[[table]]"
    yield f"name = {json.dumps(table.label)}"
    yield 'mode = "side"'
    if table.triggers:
        yield f"# a column would fire these triggers when it is filled: {', '.join(table.triggers)}"


def _rules(table: HostTable, records: list[HostTable]) -> Iterator[str]:
    for record in records:
        yield from _audit_rule(table, record)
    names = {column.name.lower(): column.name for column in table.table.c}
    if found := next((names[word] for word in MAKERS if word in names), None):
        yield from ("", "[[table.rule]]", f"column = {json.dumps(found)}", 'match = ["email", "username", "display"]')


def _audit_rule(table: HostTable, record: HostTable) -> Iterator[str]:
    names = {column.name.lower(): column.name for column in record.table.c}
    about = next((names[word] for word in ABOUT if word in names), None)
    by = next((names[word] for word in BY if word in names), None)
    naming = next((names[word] for word in NAMING if word in names), None)
    if (
        about is None
        or by is None
        or (naming is None and not about.lower().startswith(table.name.lower().rstrip("s")[:5]))
    ):
        return
    where = [f"{json.dumps(naming)} = {json.dumps(table.name)}"] if naming else []
    if "action" in names:
        where.append(f'{json.dumps(names["action"])} = "created"')
    yield from ("", "[[table.rule]]", f"audit = {json.dumps(record.label)}", f"row = {json.dumps(about)}")
    yield f"user = {json.dumps(by)}"
    yield f"where = {{ {', '.join(where)} }}" if where else '# where = { action = "created" }'
    yield 'match = ["id", "email", "username"]'


def _is_record(table: HostTable) -> bool:
    words = table.name.lower()
    return any(word in words for word in RECORDS) and any(column.name.lower() in BY for column in table.table.c)
