"""A host with tasks: each user sees, changes and deletes their own, and learns nothing of those of others."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import String, create_engine, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from access.host import fitted
from rimlock import CurrentPrincipal
from rimlock.owning import claim as claim_row
from rimlock.owning import (
    declare,
    delete_owned,
    fetch_owned,
    fetch_owned_async,
    found,
    owned,
    owner_column,
    owner_of,
)
from rimlock.owning.tables import metadata as beside
from rimlock.testing import sign_in, unowned_queries

pytestmark = [pytest.mark.req("T3", "T6", "N3"), pytest.mark.asvs("8.2.2"), pytest.mark.attack("IDOR")]


class Base(DeclarativeBase):
    """The host's models."""


class Chore(Base):
    __tablename__ = "chore"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    completed: Mapped[bool] = mapped_column(default=False)
    user_id: Mapped[str] = owner_column()


class Memo(Base):
    """The same with its owners beside."""

    __tablename__ = "memo"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    completed: Mapped[bool] = mapped_column(default=False)


declare(Memo, side=True)


class Given(BaseModel):
    title: str
    completed: bool = False


def session(request: Request):
    with Session(request.app.state.engine) as opened, opened.begin():
        yield opened


Database = Annotated[Session, Depends(session)]


def shown(task) -> dict:
    return {"id": task.id, "title": task.title, "completed": task.completed}


def host(engine, model) -> FastAPI:
    """GET and POST /tasks; GET, PUT and DELETE /tasks/{id}; with handlers of its own."""
    app = FastAPI()
    app.state.engine = engine

    @app.exception_handler(HTTPException)
    def in_our_form(_: Request, error: HTTPException):
        return JSONResponse({"detail": error.detail, "ours": True}, error.status_code)

    @app.get("/tasks")
    def tasks(db: Database, principal: CurrentPrincipal):
        return [shown(task) for task in db.scalars(owned(select(model), principal).order_by(model.id))]

    @app.get("/tasks/count")
    def count(db: Database, principal: CurrentPrincipal):
        return db.scalar(owned(select(func.count()).select_from(model), principal))

    @app.get("/all")
    def everybodys(db: Database, principal: CurrentPrincipal):
        return len(db.scalars(owned(select(model), principal, everything=True)).all())

    @app.post("/tasks", status_code=201)
    def make(body: Given, db: Database, principal: CurrentPrincipal):
        owner = {"user_id": owner_of(principal)} if model is Chore else {}
        task = model(**body.model_dump(), **owner)
        db.add(task)
        db.flush()
        if model is Memo:
            claim_row(db, Memo, task.id, principal)
        return shown(task)

    @app.get("/tasks/{key}")
    def one(key: int, db: Database, principal: CurrentPrincipal):
        return shown(fetch_owned(db, model, key, principal))

    @app.put("/tasks/{key}")
    def change(key: int, body: Given, db: Database, principal: CurrentPrincipal):
        task = fetch_owned(db, model, key, principal, lock=True)
        task.title, task.completed = body.title, body.completed
        return shown(task)

    @app.delete("/tasks/{key}", status_code=204)
    def remove(key: int, db: Database, principal: CurrentPrincipal):
        delete_owned(db, model, key, principal)

    return app


@pytest.mark.parametrize("model", [Chore, Memo])
def test_two_users_never_meet(tmp_path, model):
    """All five routes; a foreign key and a missing one have the same bytes, headers and number of statements."""
    engine = create_engine(f"sqlite:///{tmp_path / 'host.db'}")
    Base.metadata.create_all(engine)
    beside.create_all(engine)
    app, sent = host(engine, model), []
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    auth = fitted(app, f"sqlite:///{tmp_path / 'rimlock.db'}")
    with TestClient(app) as client, unowned_queries(engine, Base) as unowned:
        ann, bea = sign_in(auth, client).headers, sign_in(auth, client, email="bea@example.com").headers
        root = sign_in(auth, client, email="root@example.com", roles=["admin"]).headers
        mine = [client.post("/tasks", json={"title": f"a{n}"}, headers=ann).json()["id"] for n in range(2)]
        theirs = client.post("/tasks", json={"title": "b"}, headers=bea)
        assert theirs.status_code == 201
        foreign = theirs.json()["id"]

        assert [one["id"] for one in client.get("/tasks", headers=ann).json()] == mine
        assert [one["id"] for one in client.get("/tasks", headers=bea).json()] == [foreign]
        assert client.get("/tasks/count", headers=ann).json() == 2
        assert client.get(f"/tasks/{mine[0]}", headers=ann).json()["title"] == "a0"
        assert client.put(f"/tasks/{mine[0]}", json={"title": "c"}, headers=ann).json()["title"] == "c"

        for method, given in (("GET", {}), ("PUT", {"json": {"title": "stolen"}}), ("DELETE", {})):
            answers = []
            for key in (foreign, 4711):
                sent.clear()
                answer = client.request(method, f"/tasks/{key}", headers=ann, **given)
                answers.append((answer.status_code, answer.content, sorted(answer.headers.items()), tuple(sent)))
            assert answers[0] == answers[1]
            status, body, _, statements = answers[0]
            assert (status, body, len(statements)) == (404, b'{"detail":"There is no such thing.","ours":true}', 1)
        assert client.get(f"/tasks/{foreign}", headers=bea).json()["title"] == "b"

        assert client.delete(f"/tasks/{mine[1]}", headers=ann).status_code == 204
        assert client.get(f"/tasks/{mine[1]}", headers=ann).status_code == 404
        assert client.get("/tasks").status_code == 401
        assert client.get("/all", headers=ann).status_code == 403
        assert client.get("/all", headers=root).json() == 2
        assert client.get("/tasks", headers=root).json() == []
        assert unowned == []
    engine.dispose()


def test_an_asynchronous_host_answers_the_same(sqlite_url, postgres_url):
    """Routes of coroutines with AsyncSession; found() for a statement of one's own."""
    engine = create_async_engine(postgres_url.replace("postgresql://", "postgresql+asyncpg://"), poolclass=NullPool)
    app = FastAPI()

    @app.post("/tasks")
    async def make(body: Given, principal: CurrentPrincipal):
        async with AsyncSession(engine) as session, session.begin():
            task = Chore(**body.model_dump(), user_id=owner_of(principal))
            session.add(task)
            await session.flush()
            return shown(task)

    @app.get("/tasks/{key}")
    async def one(key: int, principal: CurrentPrincipal):
        async with AsyncSession(engine) as session:
            return shown(await fetch_owned_async(session, Chore, key, principal, detail="Task not found"))

    @app.get("/titles/{key}")
    async def title(key: int, principal: CurrentPrincipal):
        async with AsyncSession(engine) as session:
            return found(await session.scalar(owned(select(Chore.title).where(Chore.id == key), principal)))

    auth = fitted(app, sqlite_url)
    with TestClient(app) as client, unowned_queries(engine, Base) as unowned:

        async def tables():
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)

        client.portal.call(tables)
        ann, bea = sign_in(auth, client).headers, sign_in(auth, client, email="bea@example.com").headers
        key = client.post("/tasks", json={"title": "a"}, headers=ann).json()["id"]
        assert client.get(f"/tasks/{key}", headers=ann).json()["title"] == "a"
        assert client.get(f"/titles/{key}", headers=ann).json() == "a"
        for path in ("tasks", "titles"):
            foreign, missing = (client.get(f"/{path}/{one}", headers=bea) for one in (key, 4711))
            assert (foreign.status_code, foreign.content, foreign.headers) == (404, missing.content, missing.headers)
        assert client.get(f"/tasks/{key}", headers=bea).json() == {"detail": "Task not found"}
        assert unowned == []
