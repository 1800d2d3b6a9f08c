"""The search for statements on owned tables that nobody narrowed."""

from __future__ import annotations

import pytest
from sqlalchemy import MetaData, delete, insert, literal_column, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload, selectinload

from owning.estate import ADMIN, ANN, Base, Label, Note, Project, Task, make, on
from rimlock import ConfigurationError
from rimlock.owning import change_owned, claim, delete_owned, fetch_owned, forget_deleted, mine, owned
from rimlock.testing import unowned_queries

pytestmark = [pytest.mark.req("T6"), pytest.mark.asvs("8.2.2")]
BARE = [
    (select(Task), "task"),
    (select(Task.__table__.c.id), "task"),
    (select(Task).where(Task.user_id == "ann"), "task"),
    (select(Label).join(Task), "task"),
    (select(Label).where(Label.task_id.in_(select(Task.id))), "task"),
    (select(Project.id).outerjoin(Task).where(mine(Project, ANN)), "task"),
    (owned(select(Task.id), ANN).where(text("1 = 1 OR 1 = 1")), "task"),
    (owned(select(Task.id), ANN).join(Project.__table__, text("1 = 1")), "project"),
    (select(Task).where(mine(Task, ANN) | (Task.done == 0)), "task"),
    (select(Task).where(~mine(Task, ANN)), "task"),
    (update(Task).values(title="x"), "task"),
    (delete(Note), "note"),
    (text("SELECT * FROM task"), "task"),
    (text('select count(*) from "TASK" t'), "task"),
    (text("DELETE FROM note WHERE id = :id").bindparams(id=99), "note"),
    (select(Label.id).where(text("EXISTS (SELECT 1 FROM task)")), "task"),
    (select(literal_column("(SELECT max(id) FROM note)")), "note"),
    (select(Label.id).prefix_with(text("(SELECT max(id) FROM note),")), "note"),
    (select(Label.id).suffix_with(text("UNION SELECT id FROM note")), "note"),
    (owned(select(Task.id), ANN).suffix_with(text("UNION SELECT id FROM task")), "task"),
    (select(Task).from_statement(text("SELECT * FROM task")), "task"),
    (insert(Label).from_select(["id", "word", "task_id"], select(Task.id + 100, Task.title, Task.id)), "task"),
    (
        sqlite_insert(Task)
        .values(id=2, title="taken", user_id="ann")
        .on_conflict_do_update(index_elements=["id"], set_={"user_id": "ann"}),
        "task",
    ),
]
FINE = [
    owned(select(Task), ANN),
    owned(select(Task), ANN).where(Task.done == 1).limit(1),
    owned(select(Note), ANN),
    owned(select(Note).where(Note.id == 1), ANN),
    owned(select(Project).join(Project.tasks), ANN),
    owned(select(Project).options(joinedload(Project.tasks)).limit(1), ANN),
    owned(select(Project).options(selectinload(Project.tasks)), ANN),
    owned(select(Task), ADMIN, everything=True),
    owned(select(Task.id).join(Project.__table__, Task.__table__.c.project_id == Project.__table__.c.id), ANN, of=Task),
    owned(update(Task).values(title="x"), ANN),
    owned(delete(Note), ANN),
    select(Label),
    insert(Task).values(title="new", user_id="ann"),
    select(Task).execution_options(rimlock_unowned="a report"),
    text("SELECT * FROM task").execution_options(rimlock_unowned="a report"),
    text("SELECT 1 AS taskforce"),
    forget_deleted(Note),
    select(owned(select(Task.id), ANN).subquery()),
    select(Label.id).where(Label.task_id.in_(owned(select(Task.id), ANN))),
]


def run(session, statement):
    """Execute and read everything."""
    result = session.execute(statement)
    return result.unique().all() if getattr(result, "returns_rows", True) else None


@pytest.mark.parametrize(("statement", "table"), BARE, ids=lambda one: " ".join(str(one).split())[:60])
def test_what_nobody_narrowed_is_found(sqlite_url, statement, table):
    """With its SQL, the table, and the line of the application that sent it."""

    def work(engine):
        with Session(engine) as session, unowned_queries(engine, Base.metadata) as unowned:
            run(session, statement)
        assert len(unowned) == 1
        assert unowned[0].tables == (table,)
        assert table in unowned[0].sql.lower()
        assert unowned[0].sent_by.rpartition(":")[0] == __file__

    on(sqlite_url, work)


@pytest.mark.parametrize("statement", FINE, ids=lambda one: " ".join(str(one).split())[:60])
def test_what_was_narrowed_is_not(sqlite_url, statement):
    """By owned(), by everything, by of, or said to be on purpose; and new rows, and tables of nobody's."""

    def work(engine):
        for _ in range(2):  # the second time from the cache of compiled statements
            with Session(engine) as session, unowned_queries(engine, Base) as unowned:
                run(session, statement)
            assert unowned == []

    on(sqlite_url, work)


def test_the_cache_of_statements_mixes_nothing_up(sqlite_url):
    """A statement of the same words that was passed by owned() excuses none that was not."""

    def work(engine):
        with Session(engine) as session, unowned_queries(engine, Base) as unowned:
            run(session, owned(select(Task), ADMIN, everything=True))
            run(session, select(Task))
            run(session, owned(select(Task), ADMIN, everything=True))
        assert len(unowned) == 1

    on(sqlite_url, work)


def test_the_rows_a_session_has_are_written_and_read_again(sqlite_url):
    """Changes and deletions of fetched objects, refreshes; but not session.get, and not the old query."""

    def work(engine):
        with unowned_queries(engine, Base) as unowned:
            with Session(engine) as session:
                task = fetch_owned(session, Task, 7, ANN)
                task.title = "changed"
                session.commit()
                session.refresh(task)
                assert task.project.name
                session.delete(task)
                note = Note(title="new")
                session.add(note)
                session.flush()
                claim(session, Note, note.id, ANN)
                change_owned(session, Note, note.id, ANN, {"title": "x"})
                delete_owned(session, Note, note.id, ANN)
                session.commit()
            assert unowned == []
            with Session(engine) as session:
                known = [session.get(Task, 1), *session.query(Task).all()]
                assert len(unowned) == 2
                session.query(Label).first().task  # noqa: B018 - touching it loads it
                assert (len(unowned), len(known)) == (2, 8)  # it is there already
            with Session(engine) as session:
                session.query(Label).first().task  # noqa: B018 - touching it loads it
                session.merge(Task(id=4, title="taken", user_id="ann"))
        assert len(unowned) == 4

    on(sqlite_url, work)


def test_nothing_is_heard_outside_of_the_block(sqlite_url):
    """And a search that could find nothing is refused."""

    def work(engine):
        with unowned_queries(engine, Base) as unowned:
            pass
        with Session(engine) as session:
            session.execute(select(Task))
        assert unowned == []
        with pytest.raises(ConfigurationError, match="no table"), unowned_queries(engine, MetaData()):
            pass

    on(sqlite_url, work)


@pytest.mark.anyio
async def test_asynchronous_engines_are_heard_too(postgres_url):
    """The engine as the application has it; the line is that of the coroutine."""
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(make)
    with unowned_queries(engine, Base) as unowned:
        async with AsyncSession(engine) as session:
            await session.execute(owned(select(Task), ANN))
            await session.execute(owned(select(Note), ANN))
            assert unowned == []
            await session.execute(select(Task))
            await session.execute(text("SELECT * FROM note"))
    await engine.dispose()
    assert [one.tables for one in unowned] == [("task",), ("note",)]
    assert {one.sent_by.rpartition(":")[0] for one in unowned} == {__file__}
