"""Writes owners down for the rows of one batch, beside the table or in its column.

Threat: an owner set by live traffic that is overwritten; a row whose owner is written a thousand times one by one.
Source: https://sqlite.org/lang_upsert.html; https://www.postgresql.org/docs/current/sql-update.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import String, Text, bindparam, cast, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import NullType

from rimlock.owning.tables import owner
from rimlock.retrofit.ownership.statements import owner_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from rimlock.retrofit.ownership.evidence import Judged, Row, Target

    Given = tuple[Row, str]

__all__ = ["give"]


def give(connection: Connection, target: Target, judged: Judged) -> int:
    """Write the owners down, where there is none still; return how many rows got one."""
    given = [(row, verdict.owner) for verdict, rows in judged.items() if verdict.owner is not None for row in rows]
    if not given:
        return 0
    if connection.dialect.name == "sqlite":
        return (_column_lite if target.plan.mode == "column" else _side_lite)(connection, target, given)
    return (_column_pg if target.plan.mode == "column" else _side_pg)(connection, target, given)


def _column_lite(connection: Connection, target: Target, given: Sequence[Given]) -> int:
    table = owner_column(target.host, target.plan.column)
    held = table.c[target.plan.column]
    key = table.c[target.host.key[0]] == bindparam("rimlock_key", type_=NullType())
    statement = update(table).where(key, held.is_(None)).values({held: bindparam("rimlock_owner")})
    return connection.execute(statement, [{"rimlock_key": row[0], "rimlock_owner": to} for row, to in given]).rowcount


def _side_lite(connection: Connection, target: Target, given: Sequence[Given]) -> int:
    label = target.host.label
    rows = [{"table_name": label, "row_key": row[1], "user_id": to} for row, to in given]
    return connection.execute(sqlite.insert(owner).on_conflict_do_nothing(), rows).rowcount


def _column_pg(connection: Connection, target: Target, given: Sequence[Given]) -> int:
    table = owner_column(target.host, target.plan.column)
    held, pairs = table.c[target.plan.column], _pairs()
    same = table.c[target.host.key[0]] == cast(pairs.c.row_key, target.key.type)
    statement = update(table).where(same, held.is_(None)).values({held: pairs.c.user_id})
    return connection.execute(statement, _parameters(given)).rowcount


def _side_pg(connection: Connection, target: Target, given: Sequence[Given]) -> int:
    pairs = _pairs()
    name = bindparam("table_name", target.host.label, type_=String())
    rows = select(name.label("table_name"), pairs.c.row_key, pairs.c.user_id)
    made = postgresql.insert(owner).from_select(["table_name", "row_key", "user_id"], rows)
    return connection.execute(made.on_conflict_do_nothing(), _parameters(given)).rowcount


def _pairs() -> Any:
    """Two lists travel as two parameters, however many rows there are."""
    keys, owners = (bindparam(name, type_=postgresql.ARRAY(Text)) for name in ("keys", "owners"))
    return func.unnest(keys, owners).table_valued("row_key", "user_id").render_derived(name="given")


def _parameters(given: Sequence[Given]) -> dict[str, list[str]]:
    return {"keys": [row[1] for row, _ in given], "owners": [to for _, to in given]}
