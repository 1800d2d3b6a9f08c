"""What owned() takes, what it refuses, and what the sentence of a refusal says to do."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import Session, aliased, joinedload, selectinload

from owning.estate import ADMIN, ANN, BEA, SERVICE, Base, Label, Note, Project, Task, on, somebody, statements
from rimlock import ConfigurationError
from rimlock.owning import PERMISSION, declare, mine, owned, owner_column, owner_of
from rimlock.web.problems import Refusal

pytestmark = pytest.mark.req("T6")


def ids(session, statement) -> list:
    """The first column of every row."""
    return list(session.execute(statement).scalars())


def test_one_line_narrows_a_list_a_count_an_update_and_a_delete(database_url):
    """With one and the same call, and not one statement more."""

    def work(engine):
        with statements(engine) as sent, Session(engine) as session:
            assert [task.id for task in session.scalars(owned(select(Task), ANN).order_by(Task.id))] == [1, 3, 6, 7]
            assert session.scalar(owned(select(func.count()).select_from(Task), BEA)) == 3
            assert session.scalar(owned(select(func.count(Note.id)), ANN)) == 3
            assert session.execute(owned(update(Task).values(title="mine"), ANN)).rowcount == 4
            assert session.execute(owned(delete(Note), BEA)).rowcount == 2
            session.rollback()
        assert len(sent) == 5

    on(database_url, work)


def test_core_and_connections_do_as_well(database_url):
    """Tables instead of classes, a connection instead of a session."""
    tasks = Task.__table__

    def work(engine):
        with engine.connect() as connection:
            found = connection.execute(owned(select(tasks.c.id).where(tasks.c.done == 1), ANN)).scalars()
            assert sorted(found) == [3, 6]

    on(database_url, work)


def test_an_or_does_not_reach_beyond_the_owner(database_url):
    """However it is written, also as text without parentheses, before owned() is called."""
    written = [
        or_(Task.id == 1, Task.id == 2),
        (Task.id == 1) | (Task.id == 2),
        text("done = 0 OR 1 = 1"),
        literal_column("done = 0 OR 1 = 1"),
        and_(text("done = 0 OR 1 = 1"), Task.id > 0),
        Task.done.op("= 0 OR", precedence=100)(literal_column("1")) == 1,
    ]

    def work(engine):
        with Session(engine) as session:
            for condition in written:
                assert set(ids(session, owned(select(Task.id).where(condition), ANN))) <= {1, 3, 6, 7}, condition

    on(database_url, work)


def test_every_owned_table_is_narrowed_and_aliases_too():
    """Joined ones, twice the same, those that only WHERE names."""
    other = aliased(Task)
    sql = str(owned(select(Task, other).where(Project.id == Task.project_id), ANN))
    for name in ("task", "task_1", "project"):
        assert f"({name}.user_id = :" in sql


def test_what_is_left_is_named():
    """With `of` the others stay as they are, on purpose; without it, none is left out."""
    statement = select(Task.id).join(Project.__table__, Task.__table__.c.project_id == Project.__table__.c.id)
    assert "project.user_id" not in str(owned(statement, ANN, of=Task))
    assert "task.user_id" not in str(owned(statement, ANN, of=Project.__table__))
    assert str(owned(statement, ANN, of=[Task, Project])).count("user_id = ") == 2
    other = aliased(Task)
    sql = str(owned(select(Task.id, other.id), ANN, of=other))
    assert "task_1.user_id" in sql
    assert "(task.user_id" not in sql
    with pytest.raises(ConfigurationError, match="of=label is not in the statement"):
        owned(statement, ANN, of=Label)


@pytest.mark.parametrize(
    "statement",
    [
        select(Project).where(Project.id.in_(select(Task.project_id))),
        select(Task).where(Task.id.in_(select(Task.id))),
        select(Project).where(Project.tasks.any()),
        select(Project).where(exists().where(Task.project_id == Project.id)),
        select(Project, select(func.count(Task.id)).where(Task.project_id == Project.id).scalar_subquery()),
        select(Project).order_by(select(Task.title).limit(1).scalar_subquery()),
        select(func.count()).select_from(select(Task).subquery()),
        select(Label).join(select(Task).cte()),
        select(Project).add_cte(select(Task).cte()),
        select(Project, select(Task.id).where(Task.project_id == Project.id).limit(1).lateral()),
        union(select(Task.id), select(Note.id)),
        update(Project).values(name=select(Task.title).limit(1).scalar_subquery()),
        delete(Project).where(~exists().where(Task.project_id == Project.id)),
        select(Task).where(Task.id.in_(owned(select(Task.id), BEA))),
        select(Task).where(exists(select(Project.id).correlate(None).where(Task.id == 1).join(Label, Label.id == 1))),
        select(Task.id).where(exists(select(Label.id).select_from(Task).join(Label))),
        select(Label.id).where(func.coalesce(select(Task.id).scalar_subquery(), 1) == 1),
    ],
    ids=lambda statement: " ".join(str(statement).split())[:60],
)
def test_a_subquery_that_nobody_narrowed_is_refused(statement):
    """The error says where the condition belongs; nothing is passed over in silence."""
    with pytest.raises(ConfigurationError, match=r"narrow it there|nothing says"):
        owned(statement, ANN)


@pytest.mark.parametrize(
    "statement",
    [
        select(Project).outerjoin(Project.tasks),
        select(Project).outerjoin(Task, Task.project_id == Project.id),
        select(Project).join(Task, full=True),
        select(Task.id).select_from(Project.__table__.outerjoin(Task.__table__)),
        select(Project).outerjoin(Task, and_(Task.project_id == Project.id, or_(mine(Task, ANN), Task.done == 0))),
        select(Project).outerjoin(Task, and_(text("1 = 1 OR 1 = 1"), mine(Task, ANN))),
        select(Project).outerjoin(Task, and_(Task.project_id == Project.id, ~mine(Task, ANN))),
    ],
    ids=lambda statement: " ".join(str(statement).split("FROM")[1].split())[:70],
)
def test_the_outer_side_of_a_join_wants_the_condition_in_its_on(statement):
    """A WHERE would drop rows of the other side; the error says what to write instead, and OR or NOT do not count."""
    with pytest.raises(ConfigurationError, match=r"put mine\((task|project), principal\) into its ON"):
        owned(statement, ANN)


def test_a_table_of_which_nobody_said_whose_it_is_is_refused_at_once():
    """The error says what to write; a principal is not even looked at."""
    for statement in (select(Label), update(Label).values(word="x"), delete(Label), select(Label.id)):
        with pytest.raises(
            ConfigurationError, match=r"'label' are; give the model an owner_column\(\), or write declare"
        ):
            owned(statement, None)
    with pytest.raises(ConfigurationError, match="'label'"):
        mine(Label, ANN)


def test_what_cannot_be_narrowed_is_refused():
    """Text, an INSERT, a class instead of a statement."""
    for statement in (text("SELECT * FROM task"), insert(Task), Task, "SELECT 1", select(1)):
        with pytest.raises(ConfigurationError):
            owned(statement, ANN)


@pytest.mark.parametrize("principal", [None, SERVICE, somebody("")], ids=["nobody", "a service's key", "no id"])
def test_who_is_no_user_owns_nothing(principal):
    """401, for every way of asking; never everything."""
    for ask in (
        lambda: owned(select(Task), principal),
        lambda: owned(update(Task).values(title="x"), principal, of=Task),
        lambda: mine(Task, principal),
        lambda: owner_of(principal),
    ):
        with pytest.raises(Refusal) as refused:
            ask()
        assert (refused.value.status_code, refused.value.code) == (401, "credential_missing")


def test_everything_is_for_those_who_may(sqlite_url):
    """The role `admin` or the permission; visible in the code, and the statement stays as it was."""
    allowed = [ADMIN, somebody("x", permissions=frozenset({PERMISSION})), somebody("x", permissions=frozenset({"*"}))]
    assert PERMISSION == "owned:everything"
    for principal in allowed:
        assert str(owned(select(Task.id), principal, everything=True)) == str(select(Task.id))
    for principal in (ANN, somebody("x", permissions=frozenset({"owned:some", "task:everything"})), SERVICE):
        with pytest.raises(Refusal) as refused:
            owned(select(Task), principal, everything=True)
        assert (refused.value.status_code, refused.value.code) == (403, "permission_missing")
    with pytest.raises(Refusal) as refused:
        owned(select(Task), None, everything=True)
    assert refused.value.status_code == 401
    assert "user_id = " in str(owned(select(Task.id), ADMIN))  # not by the role alone


def test_narrowing_twice_is_narrowing_once_and_two_users_share_nothing(sqlite_url):
    """The second call by the same user adds nothing; another user's leaves no row."""
    for once in (owned(select(Task.id).where(literal_column("1 = 1")), ANN), owned(select(Task.id), ANN)):
        assert str(owned(once, ANN)) == str(once)

    def work(engine):
        with Session(engine) as session:
            assert ids(session, owned(once, BEA)) == []

    on(sqlite_url, work)


def test_relationships_bring_only_what_is_theirs(database_url):
    """Loaded with the statement, after it, or when they are touched; to one and to many."""

    def work(engine):
        wanted = {1: [1], 3: [7]}
        for options in ([], [joinedload(Project.tasks)], [selectinload(Project.tasks)]):
            with Session(engine) as session:
                found = session.scalars(owned(select(Project).options(*options), ANN).order_by(Project.id)).unique()
                assert {one.id: [task.id for task in one.tasks] for one in found} == wanted
        with Session(engine) as session:
            projects = session.scalars(owned(select(Project).options(joinedload(Project.tasks)).limit(1), ANN)).unique()
            assert [[task.id for task in one.tasks] for one in projects] == [[1]]
        for options in ([], [joinedload(Task.project)], [selectinload(Task.project)]):
            with Session(engine) as session:
                task = session.scalars(owned(select(Task).where(Task.id == 3).options(*options), ANN)).one()
                assert task.project_id == 2  # Bea's
                assert task.project is None

    on(database_url, work)


def test_the_old_query_is_narrowed_too(sqlite_url):
    """session.query(…) of a host that has not moved on."""

    def work(engine):
        with Session(engine) as session:
            query = session.query(Task).filter(text("done = 0 OR 1 = 1"))
            assert sorted(task.id for task in owned(query, ANN)) == [1, 3, 6, 7]
            assert owned(session.query(Task).filter_by(done=1), BEA).count() == 2

    on(sqlite_url, work)


def test_an_owner_column_declares_its_table():
    """In a Core table by name, in a model by the column alone; two are one too many."""
    metadata = MetaData()
    plain = Table("plain", metadata, Column("id", Integer, primary_key=True), Column("who", String(64)))
    with pytest.raises(ConfigurationError, match="'plain'"):
        owned(select(plain), ANN)
    declare(plain, column="who")
    assert "plain.who = " in str(owned(select(plain), ANN))
    declare(plain, column=plain.c.who)
    column = Task.__table__.c.user_id
    assert (column.type.length, column.nullable, column.index) == (64, True, True)
    assert not Project.__table__.c.user_id.nullable

    class Twice(Base):
        __tablename__ = "twice"
        id = Column(Integer, primary_key=True)
        one = owner_column()
        two = owner_column()

    Base.metadata.remove(Twice.__table__)
    with pytest.raises(ConfigurationError, match="two owner columns, one and two"):
        owned(select(Twice), ANN)


def test_a_declaration_that_cannot_be_is_refused():
    """Neither or both, a column that is not there, a side table for a key of two columns, no table at all."""
    pair = Table("pair", MetaData(), Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))
    for given, sentence in (
        ({}, "either column"),
        ({"column": "a", "side": True}, "either column"),
        ({"column": "nowhere"}, "no column 'nowhere'"),
        ({"side": True}, "no single primary key"),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            declare(pair, **given)
    with pytest.raises(ConfigurationError, match="neither a table nor a class"):
        declare("task", column="user_id")


def test_the_owner_is_compared_as_what_the_column_holds():
    """A whole number for a host that counts its users; an id that is none is refused, not compared as text."""
    table = Table("counted", MetaData(), Column("id", Integer, primary_key=True), Column("user_id", Integer))
    declare(table, column="user_id")
    compiled = owned(select(table), somebody("12")).compile(dialect=sqlite.dialect())
    assert list(compiled.params.values()) == [12]
    with pytest.raises(ConfigurationError, match="do not fit"):
        owned(select(table), ANN)
