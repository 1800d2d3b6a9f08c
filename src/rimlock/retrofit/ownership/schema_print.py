"""A print of the host's whole schema, object by object, so that the way back can be shown to be complete.

Threat: an index, a trigger, a view or a constraint that did not survive, and nobody noticed.
Source: https://www.postgresql.org/docs/current/functions-info.html 9.26.3; https://sqlite.org/schematab.html.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import text

from rimlock.retrofit.ownership.tables import NOT_THE_HOSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

__all__ = ["HEAD", "differences", "print_of"]

SHORT = 24


def print_of(connection: Connection) -> dict[str, str]:
    """Return a digest of every object that is the host's: tables, columns, constraints, indexes, triggers, views."""
    if connection.dialect.name == "sqlite":
        rows = [(kind, name, of, _plain(sql or "")) for kind, name, of, sql in connection.execute(_SQLITE)]
    else:
        rows = [(kind, name, of, sql) for kind, name, of, sql in connection.execute(_POSTGRES)]
    return {f"{kind} {name}": sha256(sql.encode()).hexdigest()[:SHORT] for kind, name, of, sql in rows if _theirs(of)}


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return one sentence for each object that is not as it was."""
    gone = [f"{name} is gone" for name in before.keys() - after.keys()]
    new = [f"{name} is new" for name in after.keys() - before.keys()]
    other = [f"{name} differs" for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted([*gone, *new, *other])


def _theirs(table: str) -> bool:
    return table not in NOT_THE_HOSTS


def _plain(sql: str) -> str:
    """SQLite writes a table anew, with other spaces and a quoted name, after a column came and went."""
    found = re.sub(HEAD, "CREATE TABLE (", sql, count=1)
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", found)).strip()


HEAD = r"""(?is)^CREATE\s+TABLE\s+("(?:[^"]|"")*"|\[[^\]]*\]|`(?:[^`]|``)*`|'(?:[^']|'')*'|[^\s("]+)\s*\("""

_SQLITE = text("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_stat%' ESCAPE '\\'")

_POSTGRES = text("""
WITH theirs AS (
    SELECT c.oid, c.relkind,
           CASE WHEN n.nspname = current_schema() THEN '' ELSE n.nspname || '.' END || c.relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
)
SELECT 'table', t.name, t.name, COALESCE((
    SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                a.attidentity::text, a.attgenerated::text, pg_get_expr(d.adbin, d.adrelid)),
                      ', ' ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
FROM theirs t WHERE t.relkind IN ('r', 'p')
UNION ALL
SELECT 'constraint', t.name || ' ' || k.conname, t.name, pg_get_constraintdef(k.oid) || k.convalidated
FROM pg_constraint k JOIN theirs t ON t.oid = k.conrelid WHERE k.contype <> 'n'
UNION ALL
SELECT 'index', i.name, t.name, pg_get_indexdef(x.indexrelid) || x.indisvalid
FROM pg_index x JOIN theirs t ON t.oid = x.indrelid JOIN theirs i ON i.oid = x.indexrelid
UNION ALL
SELECT 'trigger', t.name || ' ' || g.tgname, t.name, pg_get_triggerdef(g.oid) || g.tgenabled::text
FROM pg_trigger g JOIN theirs t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL
SELECT 'view', t.name, t.name, pg_get_viewdef(t.oid) FROM theirs t WHERE t.relkind IN ('v', 'm')
UNION ALL
SELECT 'sequence', t.name, t.name, '' FROM theirs t
WHERE t.relkind = 'S' AND NOT EXISTS (SELECT 1 FROM pg_depend d JOIN theirs o ON o.oid = d.refobjid
                                      WHERE d.objid = t.oid AND d.deptype IN ('a', 'i') AND o.relkind IN ('r', 'p'))
""")
