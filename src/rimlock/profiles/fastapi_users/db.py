"""The columns of an application's user table, as its models inherit them, and what its dependencies pass around.

Threat: a table that reads differently than the rows in it were written.
Source: FastAPI Users' SQLAlchemy adapter 7 (column types and lengths).

Rimlock reads and writes the table through `MappedUsers(User)`; this is here so that a model keeps its columns.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CHAR, Boolean, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

__all__ = ["SQLAlchemyBaseUserTable", "SQLAlchemyBaseUserTableUUID", "SQLAlchemyUserDatabase"]


class GUID(TypeDecorator[UUID]):
    """A UUID: of PostgreSQL's own type, and 36 characters elsewhere."""

    impl = CHAR
    cache_ok = True

    def load_dialect_impl(self, dialect: Any) -> Any:
        """Return the type of the dialect."""
        own = dialect.name == "postgresql"
        return dialect.type_descriptor(postgresql.UUID(as_uuid=True) if own else CHAR(36))

    def process_bind_param(self, value: UUID | None, dialect: Any) -> Any:
        """Return what is stored."""
        return value if value is None or dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any, dialect: Any) -> UUID | None:  # noqa: ARG002 - the seam's
        """Return the UUID."""
        return value if value is None or isinstance(value, UUID) else UUID(value)


class SQLAlchemyBaseUserTable:
    """Every column but the key, which the application declares."""

    __tablename__ = "user"

    email: Mapped[str] = mapped_column(String(320), unique=True, index=True)
    hashed_password: Mapped[str] = mapped_column(String(1024))
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    is_superuser: Mapped[bool] = mapped_column(Boolean, default=False)
    is_verified: Mapped[bool] = mapped_column(Boolean, default=False)


class SQLAlchemyBaseUserTableUUID(SQLAlchemyBaseUserTable):
    """The same, with a UUID as key."""

    id: Mapped[UUID] = mapped_column(GUID, primary_key=True, default=uuid4)


class SQLAlchemyUserDatabase:
    """What `get_user_db` yields: the session and the model, for hooks of the application that want them."""

    def __init__(self, session: Any, user_table: Any, oauth_account_table: Any = None) -> None:
        """Keep what the application passes."""
        self.session, self.user_table, self.oauth_account_table = session, user_table, oauth_account_table
