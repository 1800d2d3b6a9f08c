"""What owned() costs: the call itself, and the query beside one whose WHERE was written by hand.

Run: .venv/bin/python benchmarks/owned.py [rows]. SQLite in memory; 100 rows to a user.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, String, create_engine, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import StaticPool

from rimlock import Principal
from rimlock.owning import declare, owned, owner_column
from rimlock.owning.tables import metadata, owner

ANN = Principal(subject="u7", user_id="u7", kind="token", credential_id="s1")


class Base(DeclarativeBase):
    pass


class Task(Base):
    __tablename__ = "task"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[str] = owner_column()


class Note(Base):
    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))


declare(Note, side=True)


def filled(rows: int):
    """Tables with so many rows, and up-to-date statistics."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    metadata.create_all(engine)
    users = [f"u{number % (rows // 100)}" for number in range(rows)]
    with engine.begin() as connection:
        titles = [{"id": number, "title": "title"} for number in range(rows)]
        connection.execute(insert(Task), [{**row, "user_id": users[row["id"]]} for row in titles])
        connection.execute(insert(Note), titles)
        lines = [{"table_name": "note", "row_key": str(n), "user_id": user} for n, user in enumerate(users)]
        connection.execute(insert(owner), lines)
        connection.exec_driver_sql("ANALYZE")
    return engine


def microseconds(work: Callable[[], object], rounds: int = 300) -> float:
    """The median of single runs, after some to get warm."""
    taken = []
    for number in range(rounds + 30):
        start = perf_counter()
        work()
        if number >= 30:
            taken.append(perf_counter() - start)
    return median(taken) * 1e6


def calls() -> None:
    """The call alone, and making the statement for comparison."""
    tasks = Task.__table__
    shapes = {
        "select(table).where(…)": lambda: select(tasks).where(tasks.c.title == "x"),
        "select(Class).where(…)": lambda: select(Task).where(Task.title == "x"),
        "select(Class).where(key), beside": lambda: select(Note).where(Note.id == 5),
        "select of a join": lambda: select(Task.id).join(Note, Note.id == Task.id),
    }
    print(f"{'':36}{'statement µs':>14}{'owned() µs':>12}")
    for name, make in shapes.items():
        statement = make()
        print(f"{name:36}{microseconds(make):14.1f}{microseconds(lambda one=statement: owned(one, ANN)):12.1f}")


def pairs() -> dict[str, tuple[Any, Any]]:
    """Statements, and the same as somebody narrows them by hand."""
    lines = select(owner.c.row_key).where(owner.c.user_id == "u7", owner.c.table_name == "note")
    return {
        "list": (select(Task), select(Task).where(Task.user_id == "u7")),
        "count": (
            select(func.count()).select_from(Task),
            select(func.count()).select_from(Task).where(Task.user_id == "u7"),
        ),
        "one row": (select(Task).where(Task.id == 7), select(Task).where(Task.id == 7, Task.user_id == "u7")),
        "list, beside": (select(Note), select(Note).where(Note.id.in_(lines))),
        "one row, beside": (
            select(Note).where(Note.id == 7),
            select(Note).where(Note.id == 7, lines.where(owner.c.row_key == "7").exists()),
        ),
    }


def measured(connection: Connection, rounds: int = 300) -> Iterator[tuple[str, float, float, float]]:
    """Yield a name and the microseconds by hand, narrowed beforehand, and with the call; each answer is compared."""
    for name, (bare, by_hand) in pairs().items():
        narrowed = owned(bare, ANN)
        assert sorted(connection.execute(narrowed)) == sorted(connection.execute(by_hand))
        works = by_hand, narrowed
        one, two = (microseconds(lambda it=it: connection.execute(it).all(), rounds) for it in works)
        yield name, one, two, microseconds(lambda it=bare: connection.execute(owned(it, ANN)).all(), rounds)


def queries(rows: int) -> None:
    """The database's part: statements made beforehand, run on a connection."""
    print(f"\n{rows} rows{'by hand µs':>28}{'owned µs':>12}{'ratio':>8}{'with the call':>16}")
    with Session(filled(rows)) as session, session.connection() as connection:
        for name, one, two, whole in measured(connection):
            print(f"{name:27}{one:12.1f}{two:12.1f}{two / one:8.2f}{whole:16.1f}")


if __name__ == "__main__":
    calls()
    queries(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
