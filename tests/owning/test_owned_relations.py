"""Relationships that lead to a table whose owners stand beside."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, String, create_engine, func, insert, select, update
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    column_property,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    synonym,
)

from owning.estate import ANN, BEA, statements
from rimlock import ConfigurationError
from rimlock.owning import change_owned, claim, declare, fetch_owned, mine, owned
from rimlock.owning.tables import metadata as beside

pytestmark = [pytest.mark.req("T6", "N3"), pytest.mark.asvs("8.2.2")]


class Base(DeclarativeBase):
    """The host's models."""


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    pages: Mapped[list[Page]] = relationship(back_populates="book", order_by="Page.id")


class Page(Base):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("book.id"))
    kind: Mapped[str] = mapped_column(default="page")
    book: Mapped[Book] = relationship(back_populates="pages")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "page"}  # noqa: RUF012 - as SQLAlchemy has it


class Picture(Page):
    __tablename__ = "picture"
    id: Mapped[int] = mapped_column(ForeignKey("page.id"), primary_key=True)
    colours: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "picture"}  # noqa: RUF012 - as SQLAlchemy has it


declare(Book, side=True)
declare(Page, side=True)


@pytest.fixture
def engine(tmp_path):
    """Ann's book with a page of hers and one of Bea's; Bea's book with a picture of Ann's."""
    engine = create_engine(f"sqlite:///{tmp_path / 'books.db'}")
    Base.metadata.create_all(engine)
    beside.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Book), [{"id": 1}, {"id": 2}])
        pages = [(1, 1, "page"), (2, 1, "page"), (3, 2, "picture")]
        rows = [{"id": key, "book_id": book, "kind": kind} for key, book, kind in pages]
        connection.execute(insert(Page.__table__), rows)
        connection.execute(insert(Picture.__table__), [{"id": 3, "colours": 4}])
        for model, key, user in ((Book, 1, ANN), (Book, 2, BEA), (Page, 1, ANN), (Page, 2, BEA), (Page, 3, ANN)):
            claim(connection, model, key, user)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("load", [None, joinedload, selectinload])
def test_what_stands_beside_is_narrowed_along_relationships(engine, load):
    """At once and when it is touched, to many and to one."""
    with Session(engine) as session:
        books = owned(select(Book).options(*([load(Book.pages)] if load else [])), ANN)
        assert [[page.id for page in book.pages] for book in session.scalars(books).unique()] == [[1]]
    with Session(engine) as session:
        pages = owned(select(Page).options(*([load(Page.book)] if load else [])).order_by(Page.id), ANN)
        assert [page.book and page.book.id for page in session.scalars(pages).unique()] == [1, None]


def test_a_class_of_two_tables_is_its_parents_owners(engine):
    """The owner of the row in the parent's table counts, in lists, counts and by key."""
    with Session(engine) as session:
        assert [one.id for one in session.scalars(owned(select(Picture), ANN))] == [3]
        assert session.scalars(owned(select(Picture), BEA)).all() == []
        assert session.scalars(owned(select(Picture.colours), BEA)).all() == []
        with statements(engine) as sent:
            assert fetch_owned(session, Picture, 3, ANN).colours == 4
        assert len(sent) == 1


def test_a_name_that_is_a_table_is_no_user(engine):
    """Somebody else's condition in a subquery is not taken for that of a user who is called like the table."""
    stranger = BEA.__class__(subject="page", user_id="page", kind="token", credential_id="s")
    with pytest.raises(ConfigurationError, match="narrow it there"):
        owned(select(Book).where(Book.pages.any(mine(Page, BEA))), stranger)


class Shelf(Base):
    """With a number that is counted in a subquery, of the class and of its table."""

    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(default="")
    keeper: Mapped[str] = mapped_column("user_id", String(64))
    holder = synonym("keeper")
    counted: Mapped[int] = column_property(select(func.count(Page.id)).scalar_subquery())


class Bare(Base):
    __tablename__ = "bare"
    id: Mapped[int] = mapped_column(primary_key=True)
    keeper: Mapped[str] = mapped_column("user_id", String(64))
    counted: Mapped[int] = column_property(select(func.count(Page.__table__.c.id)).scalar_subquery())


for model in (Shelf, Bare):
    declare(model, column="user_id")


def test_a_computed_column_counts_only_what_is_theirs(engine):
    """Where it reads a mapped class; where it reads a bare table it is refused, unless `of` says what is meant."""
    with Session(engine) as session:
        session.add_all([Shelf(keeper="ann"), Shelf(keeper="bea")])
        session.flush()
        assert [one.counted for one in session.scalars(owned(select(Shelf), ANN))] == [2]
        assert [one.counted for one in session.scalars(owned(select(Shelf), BEA))] == [1]
        with pytest.raises(ConfigurationError, match="a column_property reads page"):
            owned(select(Bare), ANN)
        assert session.scalars(owned(select(Bare), ANN, of=Bare)).all() == []


def test_what_a_change_returns_brings_only_what_is_theirs(engine):
    """The objects of a RETURNING are narrowed along relationships like those of a SELECT."""
    with Session(engine) as session:
        changed = session.scalars(owned(update(Page).values(kind="page").returning(Page), ANN)).all()
        assert {page.id: page.book and page.book.id for page in changed} == {1: 1, 3: None}


@pytest.mark.attack("mass assignment")
@pytest.mark.parametrize("name", ["keeper", "user_id", "holder", Shelf.keeper, Shelf.holder, Shelf.__table__.c.user_id])
def test_the_owner_is_not_changed_by_another_name(engine, name):
    """The attribute's name, the column's, a synonym or the attribute itself: none of them gives the row away."""
    with Session(engine) as session:
        session.add(Shelf(id=1, keeper="ann"))
        session.flush()
        with pytest.raises(ConfigurationError, match="the owner of 'shelf'"):
            change_owned(session, Shelf, 1, ANN, {"name": "x", name: "bea"})
        change_owned(session, Shelf, 1, ANN, {Shelf.name: "x"})


def test_the_key_of_a_row_that_is_owned_beside_stays(engine):
    """Its line would stay behind for whatever row gets the old key."""
    with Session(engine) as session, pytest.raises(ConfigurationError, match="the key that tells it"):
        change_owned(session, Book, 1, ANN, {"id": 77})


@pytest.mark.parametrize(
    "make", [lambda it, to: it.values(name=to), lambda it, to: it.ordered_values((Shelf.name, to))]
)
def test_what_an_update_reads_from_another_table_is_narrowed(make):
    """A column of another table among the new values is a table in FROM, which has to be the caller's too."""
    other = aliased(Shelf)
    sql = str(owned(make(update(Shelf).where(Shelf.id == 1), other.name), ANN))
    assert "FROM shelf AS shelf_1" in sql
    assert "(shelf_1.user_id = :" in sql
    assert "user_id" not in str(make(update(Shelf), func.upper(Shelf.name)))
