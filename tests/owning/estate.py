"""Two users' rows, with the owner in a column, in the side table, and under keys of three types."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager

from sqlalchemy import ForeignKey, String, Uuid, bindparam, cast, create_engine, event, insert
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.util import greenlet_spawn

from rimlock import Principal
from rimlock.owning import declare, owner_column
from rimlock.owning.tables import metadata as beside
from rimlock.owning.tables import owner


def somebody(user_id, **given):
    """A signed-in user."""
    return Principal(subject=user_id or "key:k", user_id=user_id, kind="token", credential_id="s1", **given)


ANN, BEA, SERVICE = somebody("ann"), somebody("bea"), somebody(None)
ADMIN = somebody("root", roles=frozenset({"admin"}))


class Base(DeclarativeBase):
    """The host's models."""


class Project(Base):
    __tablename__ = "project"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[str] = owner_column()
    tasks: Mapped[list[Task]] = relationship(back_populates="project", order_by="Task.id")


class Task(Base):
    __tablename__ = "task"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    done: Mapped[int] = mapped_column(default=0)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("project.id"))
    user_id: Mapped[str | None] = owner_column(nullable=True)
    project: Mapped[Project | None] = relationship(back_populates="tasks")
    labels: Mapped[list[Label]] = relationship(back_populates="task")


class Label(Base):
    """Nobody's: reached through a task."""

    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(String(50))
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"))
    task: Mapped[Task] = relationship(back_populates="labels")


class Note(Base):
    """Owned beside, by a whole number."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    done: Mapped[int] = mapped_column(default=0)


class Letter(Base):
    """Owned beside, by a text."""

    __tablename__ = "letter"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    done: Mapped[int] = mapped_column(default=0)


class Parcel(Base):
    """Owned beside, by a UUID."""

    __tablename__ = "parcel"
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, default=uuid.uuid4)
    title: Mapped[str] = mapped_column(String(50))
    done: Mapped[int] = mapped_column(default=0)


BESIDE = (Note, Letter, Parcel)
for one in BESIDE:
    declare(one, side=True)


ROWS = {
    "project": [(1, "ann"), (2, "bea"), (3, "ann")],
    "task": [
        (1, "ann", 1, 0),
        (2, "bea", 1, 1),
        (3, "ann", 2, 1),
        (4, "bea", 2, 0),
        (5, None, 1, 0),
        (6, "ann", None, 1),
        (7, "ann", 3, 0),
        (8, "bea", None, 1),
    ],
    "label": [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 1)],
}
OWNERS = ("ann", "bea", None, "ann", "bea", "ann")
"""Whose the rows of the side table's models are, in their order."""


def keys(model) -> list:
    """Primary keys of a model that is owned beside, one for each of OWNERS."""
    numbers = range(1, len(OWNERS) + 1)
    make = {Note: int, Letter: "letter {}".format, Parcel: lambda number: uuid.UUID(int=number << 100)}[model]
    return [make(number) for number in numbers]


def fill(connection) -> None:
    """Ann's rows, Bea's and nobody's."""
    projects = [{"id": key, "name": f"project {key}", "user_id": user} for key, user in ROWS["project"]]
    connection.execute(insert(Project), projects)
    rows = [
        {"id": key, "title": f"title {key % 3}", "user_id": user, "project_id": project, "done": done}
        for key, user, project, done in ROWS["task"]
    ]
    connection.execute(insert(Task.__table__), rows)
    connection.execute(insert(Label), [{"id": key, "word": "w", "task_id": task} for key, task in ROWS["label"]])
    for model in BESIDE:
        made = list(zip(keys(model), OWNERS, strict=True))
        rows = [{"id": key, "title": f"title {place % 3}", "done": place % 2} for place, (key, _) in enumerate(made)]
        connection.execute(insert(model), rows)
        for key, user in made:
            if user:
                name, text = model.__tablename__, cast(bindparam("key", key, model.__table__.c.id.type), String)
                connection.execute(insert(owner).values(table_name=name, row_key=text, user_id=user))


def on(url, work):
    """Run a synchronous function with an engine whose database holds the rows; PostgreSQL by asyncpg."""
    if url.startswith("sqlite"):
        return _work(create_engine(url), work)

    async def main():
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        try:
            return await greenlet_spawn(_work, engine.sync_engine, work)
        finally:
            await engine.dispose()

    return asyncio.run(main())


def make(connection) -> None:
    """All tables, and the rows."""
    Base.metadata.create_all(connection)
    beside.create_all(connection)
    fill(connection)


def _work(engine, work):
    try:
        with engine.begin() as connection:
            make(connection)
        return work(engine)
    finally:
        engine.dispose()


@contextmanager
def statements(engine):
    """The statements that an engine sends in the block."""
    sent = []

    def heard(_c, _cursor, sql, parameters, *_):
        sent.append((sql, parameters))

    event.listen(engine, "before_cursor_execute", heard)
    yield sent
    event.remove(engine, "before_cursor_execute", heard)
