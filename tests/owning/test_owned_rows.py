"""One row by key and owner at once, new rows and their owner, sync and async."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from owning.estate import ADMIN, ANN, BEA, BESIDE, SERVICE, Label, Letter, Note, Task, keys, make, on, statements
from rimlock import ConfigurationError
from rimlock.owning import (
    change_owned,
    change_owned_async,
    claim,
    claim_async,
    delete_owned,
    delete_owned_async,
    fetch_owned,
    fetch_owned_async,
    forget_deleted,
    found,
    owned,
)
from rimlock.owning.tables import owner
from rimlock.web.problems import Refusal

pytestmark = [pytest.mark.req("T3", "T6"), pytest.mark.asvs("8.2.2"), pytest.mark.attack("IDOR")]
MISSING = {Task: 99, Note: 99, Letter: "letter 99"}


def cases(model):
    """Ann's key, Bea's, nobody's and one that there is not."""
    if model is Task:
        return 1, 2, 5, 99
    mine, theirs, nobodys, *_ = keys(model)
    return mine, theirs, nobodys, MISSING.get(model) or type(mine)(int=9)


def refused(ask, *arguments, **named):
    """What the client would be told."""
    with pytest.raises(Refusal) as caught:
        ask(*arguments, **named)
    return caught.value.status_code, caught.value.code, caught.value.detail, caught.value.headers


@pytest.mark.parametrize("model", [Task, *BESIDE])
def test_somebody_elses_row_and_a_missing_one_are_the_same(database_url, model):
    """Reading, changing, deleting: one statement of the same words each, and the same 404."""
    mine, *others = cases(model)

    def work(engine):
        answers, sent = set(), []
        for key in others:
            for ask, given in ((fetch_owned, ()), (change_owned, ({"title": "x"},)), (delete_owned, ())):
                with Session(engine) as session, statements(engine) as heard:
                    status, code, *rest = refused(ask, session, model, key, ANN, *given)
                answers.add((status, code, str(rest)))
                sent.append((ask.__name__, tuple(sql for sql, _ in heard)))
        assert len(answers) == 1
        assert answers.pop()[:2] == (404, "not_found")
        assert len(set(sent)) == 3
        assert all(len(texts) == 1 for _, texts in sent)
        with Session(engine) as session:
            assert fetch_owned(session, model, mine, ANN).id == mine
            change_owned(session, model, mine, ANN, {"title": "changed"})
            assert fetch_owned(session, model, mine, ANN).title == "changed"
            session.execute(delete(Label))
            delete_owned(session, model, mine, ANN)
            assert refused(fetch_owned, session, model, mine, ANN)[0] == 404
        with engine.connect() as connection:
            assert fetch_owned(connection, model.__table__, mine, ANN).id == mine
            assert refused(fetch_owned, connection, model.__table__, others[0], ANN, detail="No task.")[2] == "No task."

    on(database_url, work)


def test_everything_is_checked_for_one_row_too(sqlite_url):
    """An administrator reads, changes and deletes anybody's; a user does not become one by asking."""

    def work(engine):
        with Session(engine) as session:
            session.execute(delete(Label))
            assert fetch_owned(session, Task, 2, ADMIN, everything=True).id == 2
            change_owned(session, Task, 2, ADMIN, {"title": "x"}, everything=True)
            delete_owned(session, Note, 2, ADMIN, everything=True)
            assert refused(fetch_owned, session, Task, 2, ADMIN)[0] == 404
            assert refused(fetch_owned, session, Task, 2, ANN, everything=True)[0] == 403
            assert refused(fetch_owned, session, Task, 2, SERVICE)[0] == 401

    on(sqlite_url, work)


def test_the_owner_is_not_changed_along(sqlite_url):
    """A body that names the owner gives no row away."""

    def work(engine):
        with Session(engine) as session, pytest.raises(ConfigurationError, match="the owner of 'task'"):
            change_owned(session, Task, 1, ANN, {"title": "x", "user_id": "bea"})
        with Session(engine) as session, pytest.raises(ConfigurationError, match="1 primary key columns, not 2"):
            fetch_owned(session, Task, (1, 2), ANN)

    on(sqlite_url, work)


def test_a_new_row_is_claimed_once(database_url):
    """In the same transaction; again by the same user is nothing new, by another one a 404."""

    def work(engine):
        with Session(engine) as session:
            for model in BESIDE:
                note = model(title="new", **{Note: {"id": 50}, Letter: {"id": "letter new"}}.get(model, {}))
                session.add(note)
                session.flush()
                assert refused(fetch_owned, session, model, note.id, BEA)[0] == 404
                claim(session, model, note.id, BEA)
                claim(session, model, note.id, BEA)
                assert fetch_owned(session, model, note.id, BEA) is note
                assert refused(claim, session, model, note.id, ANN)[:2] == (404, "not_found")
                assert fetch_owned(session, model, note.id, BEA) is note
            assert refused(claim, session, Note, 1, None)[0] == 401
            with pytest.raises(ConfigurationError, match="has an owner column"):
                claim(session, Task, 1, ANN)

    on(database_url, work)


def test_a_key_that_is_given_again_has_no_old_owner(database_url):
    """The line goes with the row; what a bulk delete leaves is swept."""

    def lines(session):
        return session.scalar(select(func.count()).select_from(owner).where(owner.c.table_name == "note"))

    def work(engine):
        with Session(engine) as session:
            before = lines(session)
            delete_owned(session, Note, 2, BEA)
            assert lines(session) == before - 1
            session.execute(insert(Note).values(id=2, title="again"))
            assert refused(fetch_owned, session, Note, 2, BEA)[0] == 404
            assert session.execute(owned(delete(Note), ANN)).rowcount == 3
            assert lines(session) == before - 1
            session.execute(forget_deleted(Note))
            assert lines(session) == before - 4
            with pytest.raises(ConfigurationError):
                forget_deleted(Task)

    on(database_url, work)


def test_found_is_for_statements_of_ones_own(sqlite_url):
    """None and no row touched are the 404; everything else is passed on."""

    def work(engine):
        with Session(engine) as session:
            assert found(session.scalar(owned(select(Task).where(Task.id == 1), ANN))).id == 1
            assert refused(found, session.scalar(owned(select(Task).where(Task.id == 2), ANN)))[0] == 404
            assert refused(found, session.execute(owned(delete(Task).where(Task.id == 2), ANN)))[0] == 404

    on(sqlite_url, work)


@pytest.mark.anyio
@pytest.mark.parametrize("model", [Task, *BESIDE])
async def test_asynchronous_sessions_do_the_same(postgres_url, model):
    """The same helpers with `_async`, on a driver that is asynchronous."""
    mine, *others = cases(model)
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(make)
    async with AsyncSession(engine) as session:
        for key in others:
            for ask, given in (
                (fetch_owned_async, ()),
                (change_owned_async, ({"title": "x"},)),
                (delete_owned_async, ()),
            ):
                with pytest.raises(Refusal) as caught:
                    await ask(session, model, key, ANN, *given)
                assert (caught.value.status_code, caught.value.code) == (404, "not_found")
        assert (await fetch_owned_async(session, model, mine, ANN)).id == mine
        await change_owned_async(session, model, mine, ANN, {"title": "changed"})
        assert (await session.scalars(owned(select(model.title).where(model.id == mine), ANN))).all() == ["changed"]
        if model is not Task:
            with pytest.raises(Refusal):
                await claim_async(session, model, mine, BEA)
            await delete_owned_async(session, model, mine, ANN)
    async with engine.connect() as connection:
        assert (await fetch_owned_async(connection, model.__table__, mine, ANN)).id == mine
    await engine.dispose()
