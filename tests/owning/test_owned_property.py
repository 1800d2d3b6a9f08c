"""Whatever the statement: narrowed, it answers as the same statement would if the rows of others did not exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    and_,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
    union,
    update,
)
from sqlalchemy.orm import Session, aliased

from owning.estate import ANN, BESIDE, Label, Note, Project, Task, keys, on
from rimlock.owning import mine, owned
from rimlock.owning.tables import owner

pytestmark = [pytest.mark.req("T6", "N3"), pytest.mark.asvs("8.2.2"), pytest.mark.attack("IDOR")]
MODELS = st.sampled_from([Task, *BESIDE])
WRITTEN = (
    "done = 1 OR 1 = 1",
    "1 = 1",
    "done = 0 or done = 1",
    "(done = 1) OR (done = 0)",
    "done = 1 AND 1 = 0 OR 1 = 1",
)


def leaves(model):
    """Conditions without parts, also such as are written as text, with an OR and without parentheses."""
    known = keys(model.__mapper__.class_)[:4] if model.__mapper__.class_ in BESIDE else [1, 2, 3, 4]
    return st.one_of(
        st.sampled_from(known).map(lambda key: lambda it: it.id == key),
        st.lists(st.sampled_from(known), max_size=3).map(lambda some: lambda it: it.id.in_(some)),
        st.integers(0, 1).map(lambda done: lambda it: it.done == done),
        st.integers(0, 2).map(lambda number: lambda it: it.title == f"title {number}"),
        st.just(lambda it: it.title.like("title%")),
        st.just(lambda it: it.done.op("+")(1) == 1),
        st.just(lambda _: exists(select(Label.id))),
    )


def conditions(model):
    """Conditions put together by AND, OR and NOT."""
    return st.recursive(
        leaves(model),
        lambda parts: st.one_of(
            st.tuples(parts, parts).map(lambda two: lambda it: or_(two[0](it), two[1](it))),
            st.tuples(parts, parts).map(lambda two: lambda it: and_(two[0](it), two[1](it))),
            parts.map(lambda one: lambda it: not_(one(it))),
            st.tuples(parts, parts).map(lambda two: lambda it: two[0](it) | ~two[1](it)),
        ),
        max_leaves=5,
    )


def texts():
    """Conditions nobody should write so."""
    return st.sampled_from(WRITTEN).flatmap(
        lambda sql: st.sampled_from([lambda _: text(sql), lambda _: literal_column(sql), lambda _: and_(text(sql))])
    )


@st.composite
def shapes(draw):  # noqa: C901 - one branch for each shape
    """A model, and a function that makes a SELECT of its ids; `own` is applied to every SELECT of an owned table."""
    model = draw(MODELS)
    filters = draw(st.lists(st.one_of(conditions(model), conditions(model), texts()), max_size=3))
    alias = draw(st.booleans()) and not any(one(model).__class__.__name__ == "TextClause" for one in filters)
    limit, offset = draw(st.none() | st.integers(1, 4)), draw(st.integers(0, 2))
    kind = draw(
        st.sampled_from(["rows", "entities", "count", "grouped", "in", "exists", "from", "cte", "union", "scalar"])
    )

    def build(own, scope):  # noqa: PLR0911 - the same
        it = aliased(model) if alias else model
        chosen = [one(it) for one in filters]
        plain = select(it.id).where(*chosen)
        ordered = plain.order_by(it.id).limit(limit).offset(offset if limit else None)
        if kind == "rows":
            return own(ordered)
        if kind == "entities":
            return own(select(it).where(*chosen).order_by(it.id).limit(limit)).with_only_columns(it.id)
        if kind == "count":
            return own(select(func.count()).select_from(it).where(*chosen))
        if kind == "grouped":
            return own(select(it.done, func.count(it.id)).where(*chosen).group_by(it.done).order_by(it.done))
        if kind == "in":
            other = aliased(model)
            return own(select(other.id).where(other.id.in_(own(ordered))).order_by(other.id))
        if kind == "exists":
            other = aliased(model)
            return own(select(other.id).where(exists(own(plain.where(it.id >= other.id)))).order_by(other.id))
        if kind == "from":
            inner = own(ordered).subquery()
            return select(func.count(), func.min(inner.c.id)).select_from(inner)
        if kind == "cte":
            inner = own(ordered).cte()
            return own(select(model.id).join(inner, inner.c.id == model.id).order_by(model.id))
        if kind == "union":
            return union(own(plain), own(select(model.id).where(model.done == 1))).order_by("id")
        other = aliased(model)
        number = own(select(func.count(it.id)).where(*chosen, it.done == other.done)).scalar_subquery()
        return own(select(other.id, number).order_by(other.id))

    return build


@st.composite
def joined(draw):
    """A SELECT over tasks, their projects and their labels, in one of the ways they can be joined."""
    condition, other = draw(conditions(Task)), draw(conditions(Task))
    way = draw(st.sampled_from(["relation", "core", "alias", "outer", "nobody's", "any", "has", "product", "self"]))

    def build(own, scope):  # noqa: PLR0911 - one way to join each
        task = aliased(Task)
        if way == "relation":
            return own(
                select(Project.id, Task.id).join(Project.tasks).where(condition(Task)).order_by(Project.id, Task.id)
            )
        if way == "core":
            both = Task.__table__.join(Project.__table__)
            return own(select(Task.id).select_from(both).where(or_(condition(Task), other(Task))).order_by(Task.id))
        if way == "alias":
            found = select(Project.id, task.id).join(Project.tasks.of_type(task)).where(condition(task))
            return own(found.order_by(Project.id, task.id))
        if way == "outer":
            on_task = and_(Task.project_id == Project.id, or_(condition(Task), other(Task)), scope(Task))
            return own(select(Project.id, Task.id).outerjoin(Task, on_task).order_by(Project.id, Task.id.nulls_last()))
        if way == "nobody's":
            return own(select(Label.id).join(Label.task).where(condition(Task)).order_by(Label.id))
        if way == "any":
            return own(
                select(Project.id).where(Project.tasks.any(and_(condition(Task), scope(Task)))).order_by(Project.id)
            )
        if way == "has":
            return own(select(Task.id).where(Task.project.has(scope(Project)), other(Task)).order_by(Task.id))
        if way == "product":
            return own(
                select(Task.id, task.id)
                .where(Task.id >= task.id, condition(Task), other(task))
                .order_by(Task.id, task.id)
            )
        labels = select(func.count(Label.id)).where(Label.task_id == Task.id).scalar_subquery()
        return own(select(Task.id, labels).where(condition(Task)).order_by(Task.id))

    return build


def narrowed(statement):
    return owned(statement, ANN)


def bare(statement):
    return statement


def alone(connection) -> None:
    """Leave only Ann's rows in the database."""
    lines = select(owner.c.row_key).where(owner.c.user_id != "ann")
    strange = Task.user_id.is_(None) | (Task.user_id != "ann")
    connection.execute(delete(Label).where(Label.task_id.in_(select(Task.id).where(strange))))
    connection.execute(delete(Task.__table__).where(strange))
    connection.execute(update(Task.__table__).where(Task.project_id == 2).values(project_id=None))
    connection.execute(delete(Project.__table__).where(Project.user_id != "ann"))
    for model in BESIDE:
        own = [
            key
            for key, user in zip(keys(model), ("ann", "bea", None, "ann", "bea", "ann"), strict=True)
            if user == "ann"
        ]
        connection.execute(delete(model.__table__).where(model.id.not_in(own)))
    connection.execute(delete(owner).where(owner.c.row_key.in_(lines)))


def both_ways(engine, build):
    """What the narrowed statement answers, and what the bare one answers where nobody else has rows."""
    with Session(engine) as session:
        found = [tuple(row) for row in session.execute(build(narrowed, lambda thing: mine(thing, ANN)))]
    with engine.connect() as connection:
        alone(connection)
        with Session(connection) as session:
            wanted = [tuple(row) for row in session.execute(build(bare, lambda _: text("1 = 1")))]
        connection.rollback()
    return found, wanted


def test_a_select_answers_as_if_there_were_no_others(database_url):
    """Filters of any shape, aliases, limits, counts, groups, subqueries, CTEs, unions, correlated subqueries."""

    def work(engine):
        @given(shapes())
        def check(build):
            found, wanted = both_ways(engine, build)
            assert found == wanted

        check()

    on(database_url, work)


def test_a_join_answers_as_if_there_were_no_others(database_url):
    """Relationships, table joins, aliases, outer joins, any() and has(), products: each owned table is narrowed."""

    def work(engine):
        @given(joined())
        def check(build):
            found, wanted = both_ways(engine, build)
            assert found == wanted

        check()

    on(database_url, work)


@st.composite
def changes(draw):
    """An UPDATE or DELETE with conditions of any shape."""
    model = draw(MODELS)
    filters = draw(st.lists(st.one_of(conditions(model), texts()), max_size=3))
    other = draw(st.sampled_from(["nothing", "subquery", "from"])) if model is Task else "nothing"
    removing = draw(st.booleans())

    def build(own):
        statement = delete(model) if removing else update(model).values(title="changed")
        statement = statement.where(*(one(model) for one in filters))
        if other == "subquery":
            statement = statement.where(Task.project_id.in_(own(select(Project.id))))
        if other == "from" and not removing:
            statement = statement.where(Task.project_id == Project.id)
        return own(statement)

    return model, build


def test_a_change_touches_no_row_of_others(database_url):
    """Every row of others is as it was; one's own are as they would be if there were no others."""

    def everything(connection, model):
        return {row.id: tuple(row) for row in connection.execute(select(model.__table__))}

    def work(engine):
        @given(changes())
        def check(change):
            model, build = change
            with engine.connect() as connection:
                connection.execute(delete(Label))
                before = everything(connection, model)
                Session(connection).execute(build(narrowed))
                after = everything(connection, model)
                connection.rollback()
                connection.execute(delete(Label))
                alone(connection)
                own = set(everything(connection, model))
                Session(connection).execute(build(bare))
                wanted = everything(connection, model)
                connection.rollback()
            assert {key: row for key, row in after.items() if key not in own} == {
                key: row for key, row in before.items() if key not in own
            }
            if model is not Task:
                assert {key: row for key, row in after.items() if key in own} == wanted
            else:
                assert {key for key in after if key in own} == set(wanted)

        check()

    on(database_url, work)


def test_the_conditions_are_seen_to_matter(sqlite_url):
    """The comparison would notice: without owned(), the answers differ."""

    def work(engine):
        found, wanted = both_ways(engine, lambda _own, _scope: select(Note.id).order_by(Note.id))
        assert len(found) > len(wanted)

    on(sqlite_url, work)
