"""Relationships that lead to a table whose owners stand beside."""

from __future__ import annotations

import pytest
from sqlalchemy import ForeignKey, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload

from owning.estate import ANN, BEA, statements
from rimlock import ConfigurationError
from rimlock.owning import claim, declare, fetch_owned, mine, owned
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
