"""A narrowed statement finds its rows by an index, in a table of a hundred thousand rows of a thousand users."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, func, select, text, update

from owning.estate import BESIDE, Letter, Note, Parcel, Task, keys, on, somebody
from rimlock.owning import owned
from rimlock.owning.rows import change_of, one_row, removal_of
from rimlock.owning.tables import owner

pytestmark = pytest.mark.req("T6")
USER = somebody("u7")
MANY = 100_000
NUMBERS = {
    "sqlite": f"WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY + 999}) ",
    "postgresql": f"WITH n(i) AS (SELECT generate_series(1000, {MANY + 999})) ",
}
USERS = "'u' || (i % 1000)"
KEYS = {
    ("sqlite", "note"): "i",
    ("postgresql", "note"): "i",
    ("sqlite", "letter"): "'letter ' || i",
    ("postgresql", "letter"): "'letter ' || i",
    ("sqlite", "parcel"): "printf('%032x', i)",
    ("postgresql", "parcel"): "lpad(to_hex(i), 32, '0')::uuid",
}


def fill(engine) -> str:
    """Many rows of many users in every table, and up-to-date statistics."""
    dialect = engine.dialect.name
    numbers = NUMBERS[dialect]
    with engine.begin() as connection:
        connection.execute(
            text(f"INSERT INTO task (id, title, done, user_id) {numbers} SELECT i, 'title', i % 2, {USERS} FROM n")
        )
        for model in BESIDE:
            name = model.__tablename__
            key = KEYS[dialect, name]
            connection.execute(
                text(f"INSERT INTO {name} (id, title, done) {numbers} SELECT {key}, 'title', i % 2 FROM n")
            )
            line = f"SELECT '{name}', CAST({key} AS VARCHAR(200)), {USERS} FROM n"
            connection.execute(text(f"INSERT INTO auth_owner (table_name, row_key, user_id) {numbers} {line}"))
        connection.execute(text("ANALYZE"))
    return dialect


def plan(connection, statement) -> str:
    """What the database is going to do."""
    dialect = connection.dialect
    sql = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    word = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{word} {sql}".replace("%%", "%"))
    return "\n".join(str(row[-1]) for row in rows)


def statements(model, key):
    """Lists, counts and changes of a user's rows, and one row by its key."""
    lists = [
        owned(select(model), USER),
        owned(select(model.__table__).where(model.__table__.c.done == 1), USER),
        owned(select(func.count()).select_from(model), USER),
        owned(update(model).where(model.done == 1).values(title="x"), USER),
        owned(delete(model), USER),
    ]
    single = [one_row(model, key, USER), change_of(model, key, {"title": "x"}, USER), removal_of(model, key, USER)]
    return lists, [*single, owned(select(model).where(model.id == key), USER)]


def test_no_table_is_read_as_a_whole(database_url):
    """With an owner column, and beside by keys that are numbers, texts and UUIDs; lists and single rows."""

    def work(engine):
        dialect = fill(engine)
        whole = "SCAN" if dialect == "sqlite" else "Seq Scan"
        with engine.connect() as connection:
            for model, key in ((Task, 1007), (Note, 1007), (Letter, "letter 1007"), (Parcel, keys(Parcel)[0])):
                lists, single = statements(model, key)
                for statement in [*lists, *single]:
                    found = plan(connection, statement)
                    assert whole not in found, (str(statement), found)
                for statement in lists if model is Task else ():
                    assert "ix_task_user_id" in plan(connection, statement)
                for statement in lists if model is not Task else ():
                    assert "ix_auth_owner_user_id_table_name_row_key" in plan(connection, statement)
                assert len(connection.execute(owned(select(model.id), USER)).all()) == MANY // 1000
                assert connection.execute(one_row(model.__table__, key, USER)).one_or_none() or model is Parcel

    on(database_url, work)


def test_the_side_table_keeps_its_form():
    """Other tools write it by these names."""
    assert [(column.name, column.primary_key) for column in owner.columns] == [
        ("table_name", True),
        ("row_key", True),
        ("user_id", False),
    ]
    assert [index.name for index in owner.indexes] == ["ix_auth_owner_user_id_table_name_row_key"]
