"""The host's own table of users: whether it is there, told apart by address, and found without reading all of it.

Threat: two users of whom neither can sign in; a sign-in that reads the whole table; an account that outlives its user.
Source: design section 6; OWASP ASVS 5.0 V6.3.8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, text

from rimlock.core.schema import account
from rimlock.retrofit.checks.finding import EXPECTED, Finding, Say

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.database import Transaction
    from rimlock.core.mapped_users import MappedUsers

__all__ = ["own_users"]

BATCH = 500
_INDEXES = {
    "sqlite": "SELECT coalesce(sql, '') AS told FROM sqlite_master WHERE type = 'index' AND tbl_name = :name",
    "postgresql": "SELECT indexdef AS told FROM pg_indexes WHERE tablename = :name",
}


async def own_users(auth: Rimlock, say: Say, *, ours_stand: bool) -> list[Finding]:
    """Look at the table that MappedUsers was given; nothing to say where the users are ours."""
    host = auth.database.host
    if host is None:
        return []
    try:
        await auth.database.read(host.users.require_there)
        found = await auth.database.read(lambda tx: _looked_at(tx, host.users))
        return [*found, *(await auth.database.read(lambda tx: _left(tx, host.users)) if ours_stand else [])]
    except EXPECTED as error:
        why = "nobody can sign in or register"
        return [Finding("own users", "fail", say(error), why=why, mend="give MappedUsers the table as it is")]


def _looked_at(tx: Transaction, users: MappedUsers) -> list[Finding]:
    twins = [finding for role in ("email", "username") if (finding := _twins(tx, users, role)) is not None]
    return twins or [_index(tx, users)]


def _twins(tx: Transaction, users: MappedUsers, role: str) -> Finding | None:
    """Say which addresses or names several users have, told apart by case alone."""
    if role not in users.columns:
        return None
    folded = func.lower(users.columns[role])
    several = select(folded).where(*users.living(), folded.is_not(None)).group_by(folded).having(func.count() > 1)
    count = tx.value(select(func.count()).select_from(several.subquery()))
    if not count:
        return None
    return Finding(
        "own users",
        "warn",
        f"{count} spellings of {users.columns[role].name} belong to several users each",
        why=f"none of these users can sign in by {role}: the right one cannot be told",
        mend=f"find them by lower({users.columns[role].name}), and rename or delete all but one",
    )


def _index(tx: Transaction, users: MappedUsers) -> Finding:
    column, table = users.columns["email"].name, users.columns.table.name
    told = [row["told"] for row in tx.all(text(_INDEXES[tx.dialect]), {"name": table})]
    folded = re.compile(rf"UNIQUE INDEX.*lower\W+\"?{re.escape(column)}\b", re.IGNORECASE | re.DOTALL)
    if any(folded.search(one) for one in told):
        return Finding("own users", "ok", f"{table} is there, and its index over lower({column}) keeps spellings apart")
    return Finding(
        "own users",
        "warn",
        f"no unique index of {table} is over lower({column})",
        why="every sign-in reads the whole table, and the application can make two users whom only case tells apart",
        mend=f'in a migration of its own: CREATE UNIQUE INDEX {table}_{column}_lower ON "{table}" (lower("{column}"))',
    )


def _left(tx: Transaction, users: MappedUsers) -> list[Finding]:
    """Say how many accounts have no user any more."""
    left, after = 0, ""
    while ids := _ids(tx, after):
        left += len(ids) - len(users.rows(tx, ids, ()))
        after = ids[-1]
    if not left:
        return []
    return [
        Finding(
            "own users",
            "warn",
            f"{left} accounts belong to users whom the application deleted",
            why="their sessions end by themselves only; where the database uses a key again, the next user gets them",
            mend="call auth.user_changed(id) after a deletion, and once now for those that are gone",
        )
    ]


def _ids(tx: Transaction, after: str) -> list[Any]:
    query = select(account.c.user_id).where(account.c.user_id > after).order_by(account.c.user_id).limit(BATCH)
    return [row["user_id"] for row in tx.all(query)]
