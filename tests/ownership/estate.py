"""A host whose tables are as awkward as tables are, filled, on either database; and our accounts beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import make_url

from rimlock import migrations
from rimlock.core import accounts
from rimlock.core.engines import open_database
from rimlock.core.users import NewUser, OwnUsers
from rimlock.retrofit.ownership import open_host, read_plan, retrofit_on

ANALYSES, ORDERS, DOCUMENTS = 1_200, 300, 300
NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
PEOPLE = {
    "ann@lab.example": ("ann", "Ann Other"),
    "bob@lab.example": ("bob", "Chris Same"),
    "cyd@lab.example": ("cyd", "Chris Same"),
}
MAKERS = ("ann@lab.example", "BOB", "Ann Other", "Chris Same", "nobody we know", "", None, "old robot")
"""By turns: an address, a name in another spelling, a shown name, an ambiguous one, a stranger, nothing, mapped."""

SQLITE = """
CREATE TABLE analyses (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sample VARCHAR(80) NOT NULL, mass FLOAT, scan BLOB,
    made_by TEXT, -- (who, as they typed it)
    at DATETIME, price NUMERIC(12, 4) DEFAULT 1, CHECK (mass > -5), CONSTRAINT "odd, one" UNIQUE (sample, id)
);
CREATE TABLE steps (id INTEGER PRIMARY KEY, analysis_id INTEGER NOT NULL REFERENCES analyses (id) ON DELETE CASCADE);
CREATE TABLE "Order" ("Select" VARCHAR(40) PRIMARY KEY, "user" TEXT, "Group" TEXT);
CREATE TABLE documents (id CHAR(32) NOT NULL PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE "say ""hi"" %s" ("the ""id"" :x" INTEGER PRIMARY KEY, "a 'b'" TEXT);
CREATE TABLE tallies (what TEXT, n INTEGER);
CREATE TABLE pairs (a INTEGER, b TEXT, c REAL, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE blobs (id BLOB PRIMARY KEY, n INTEGER);
CREATE TABLE audit_log (id INTEGER PRIMARY KEY, entity TEXT, row_id TEXT, action TEXT, actor TEXT);
CREATE INDEX audit_by_row ON audit_log (row_id);
CREATE INDEX analyses_heavy ON analyses (mass) WHERE mass > 100;
CREATE VIEW open_analyses AS SELECT id, sample FROM analyses WHERE price IS NOT NULL;
CREATE TRIGGER analyses_counted AFTER INSERT ON analyses BEGIN INSERT INTO tallies VALUES ('analyses', NEW.id); END;
CREATE TRIGGER analyses_renamed AFTER UPDATE OF sample ON analyses BEGIN
    INSERT INTO tallies VALUES ('named', NEW.id); END;
"""
POSTGRES = """
CREATE TABLE analyses (
    id SERIAL PRIMARY KEY, sample VARCHAR(80) NOT NULL, mass FLOAT, scan BYTEA, made_by TEXT,
    at TIMESTAMPTZ, price NUMERIC(12, 4) DEFAULT 1, CHECK (mass > -5), CONSTRAINT "odd, one" UNIQUE (sample, id)
);
CREATE TABLE steps (id INTEGER PRIMARY KEY, analysis_id INTEGER NOT NULL REFERENCES analyses (id) ON DELETE CASCADE);
CREATE TABLE "Order" ("Select" VARCHAR(40) PRIMARY KEY, "user" TEXT, "Group" TEXT);
CREATE TABLE documents (id UUID PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE "say ""hi"" %s" ("the ""id"" :x" INTEGER PRIMARY KEY, "a 'b'" TEXT);
CREATE TABLE tallies (what TEXT, n INTEGER);
CREATE TABLE pairs (a INTEGER, b TEXT, c REAL, PRIMARY KEY (a, b));
CREATE TABLE blobs (id BYTEA PRIMARY KEY, n INTEGER);
CREATE TABLE audit_log (id INTEGER PRIMARY KEY, entity TEXT, row_id TEXT, action TEXT, actor TEXT);
CREATE INDEX audit_by_row ON audit_log (row_id);
CREATE INDEX analyses_heavy ON analyses (mass) WHERE mass > 100;
CREATE VIEW open_analyses AS SELECT id, sample FROM analyses WHERE price IS NOT NULL;
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO tallies VALUES (''analyses'', NEW.id); RETURN NEW; END';
CREATE TRIGGER analyses_counted AFTER INSERT ON analyses FOR EACH ROW EXECUTE FUNCTION counted();
CREATE TRIGGER analyses_renamed AFTER UPDATE OF sample ON analyses FOR EACH ROW EXECUTE FUNCTION counted();
"""
FIRING = {
    "sqlite": "CREATE TRIGGER touched AFTER UPDATE ON analyses BEGIN INSERT INTO tallies VALUES ('t', NEW.id); END;",
    "postgresql": "CREATE TRIGGER touched AFTER UPDATE ON analyses FOR EACH ROW EXECUTE FUNCTION counted();",
}
PLAN = """
ddl = "{ddl}"
[map]
"old robot" = "bob"
[[table]]
name = "analyses"
mode = "{mode}"
column = "belongs to"
ambiguous = "{ambiguous}"
[[table.rule]]
audit = "audit_log"
row = "row_id"
user = "actor"
where = {{ entity = "analyses", action = "created" }}
[[table.rule]]
column = "made_by"
match = ["email", "username", "display"]
[[table]]
name = "Order"
mode = "{mode}"
[[table.rule]]
column = "user"
[[table]]
name = "documents"
mode = "{mode}"
[[table.rule]]
audit = "audit_log"
row = "row_id"
user = "actor"
where = {{ entity = "documents" }}
[[table]]
name = 'say "hi" %s'
mode = "{mode}"
default = "cyd@lab.example"
"""
TABLES = ("analyses", "Order", "documents", 'say "hi" %s')


def plan_text(mode: str, *, ddl: str = "sql", ambiguous: str = "default") -> str:
    """Return a plan for the estate."""
    return PLAN.format(mode=mode, ddl=ddl, ambiguous=ambiguous)


def sql(url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run one statement as the host does, on a connection of its own, and return its rows."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(str(make_url(url).database), timeout=30)
        try:
            with connection:
                return connection.execute(statement, values).fetchall()
        finally:
            connection.close()
    return asyncio.run(_sql_pg(url, statement, values))


async def _sql_pg(url: str, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        if not values and statement.count(";") > 1:
            await connection.execute(statement)
            return []
        return [tuple(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()


def build(url: str, *, wal: bool = True) -> None:
    """Make the host's tables and fill them."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(str(make_url(url).database))
        connection.executescript(("PRAGMA journal_mode=WAL;" if wal else "") + SQLITE)
        for statement, rows in _rows(lite=True):
            connection.executemany(statement, rows)
        connection.execute("DELETE FROM analyses WHERE id = ?", (ANALYSES + 1,))
        connection.commit()
        connection.close()
    else:
        asyncio.run(_build_pg(url))


async def _build_pg(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute(POSTGRES)
    for statement, rows in _rows(lite=False):
        await connection.executemany(statement, rows)
    await connection.execute("DELETE FROM analyses WHERE id = $1", ANALYSES + 1)
    await connection.execute("SELECT setval('analyses_id_seq', $1)", ANALYSES + 1)
    await connection.close()


def _rows(*, lite: bool) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Rows of every kind; every tenth analysis has a record of who made it, two of them two different ones."""
    from datetime import UTC, datetime
    from decimal import Decimal

    def moment(n: int) -> Any:
        at = datetime(2025, 1, 1, tzinfo=UTC).replace(microsecond=n)
        return str(at) if lite else at

    analyses = [
        (n, f"s{n}", n / 7, bytes([n % 256, 0]), MAKERS[n % 8], moment(n), 1.5 if lite else Decimal("1.50"))
        for n in range(1, ANALYSES + 2)
    ]
    keys = [uuid5(NAMESPACE, str(n)) for n in range(DOCUMENTS)]
    audit = [(n, "analyses", str(n), "created", "ann@lab.example") for n in range(10, ANALYSES, 10)]
    audit += [(100_000 + n, "analyses", str(n), "created", "bob@lab.example") for n in (20, 30)]
    audit += [(200_000 + n, "analyses", str(n), "deleted", "cyd") for n in range(1, 9)]
    audit += [(300_000 + n, "documents", str(key), "made", "cyd") for n, key in enumerate(keys[:100])]
    filled = {
        "analyses (id, sample, mass, scan, made_by, at, price)": analyses,
        "steps (id, analysis_id)": [(n, n % ANALYSES + 1) for n in range(1, 500)],
        '"Order" ("Select", "user", "Group")': [(f"o{n}", ("ann", "x", None)[n % 3], "g") for n in range(ORDERS)],
        "documents (id, title)": [(key.hex if lite else key, "t") for key in keys],
        '"say ""hi"" %s" ("the ""id"" :x", "a \'b\'")': [(n, "b") for n in range(1, 60)],
        "pairs (a, b, c)": [(n, str(n), n / 3) for n in range(60)],
        "blobs (id, n)": [(bytes([n]), n) for n in range(9)],
        "audit_log (id, entity, row_id, action, actor)": audit,
    }
    return [(_insertion(where, len(rows[0]), lite=lite), rows) for where, rows in filled.items()]


def _insertion(where: str, values: int, *, lite: bool) -> str:
    marks = ", ".join("?" if lite else f"${n}" for n in range(1, values + 1))
    return f"INSERT INTO {where} VALUES ({marks})"


async def people(url: str) -> dict[str, str]:
    """Make our tables and accounts; return the ids by login."""
    await migrations.upgrade(url)
    database, users, made = open_database(url, lambda _: None), OwnUsers(), {}
    for email, (username, shown) in PEOPLE.items():
        new = NewUser(email=email, username=username, display_name=shown)

        def create(tx: Any, new: NewUser = new) -> str:
            user = users.create(tx, new, 1_000)
            accounts.open_account(tx, user.id, now=1_000)
            return user.id

        made[username] = await database.write(create)
    await database.close()
    return made


@asynccontextmanager
async def at_work(url: str, plan: str, folder: Path, *, ours: str | None = None, tell: Any = lambda _: None) -> Any:
    """Lend a retrofit on the host at `url`, with accounts at `ours` or in the same database."""
    database = open_database(ours or url, lambda _: None)
    try:
        async with retrofit_on(
            url,
            read_plan(plan),
            database=database,
            users=OwnUsers(),
            clock=lambda: 1_000.0,
            folder=folder,
            tell=tell,
        ) as work:
            yield work
    finally:
        await database.close()


async def image(url: str) -> tuple[dict[str, str], dict[str, tuple[int, str]]]:
    """Return a print of the host's schema and the checksum of every table."""
    from rimlock.retrofit.ownership.checksums import content_of
    from rimlock.retrofit.ownership.schema_print import print_of
    from rimlock.retrofit.ownership.surveying import host_tables

    async with open_host(url) as host:
        contents = {}
        for label, table in (await host.read(host_tables)).items():
            held = await content_of(host, table, [column.name for column in table.table.c])
            contents[label] = (held.rows, held.digest)
        return await host.read(print_of), contents
