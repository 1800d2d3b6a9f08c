"""The side table in the host's database: who owns which row, with no DDL on the host's own tables.

Threat: ownership that can be recorded only after a change of a live table; one row with two owners.
Source: requirement L7 (ownership is reversible); design, section 5 (tables prefixed `auth_`, beside the host's).
"""

from __future__ import annotations

from sqlalchemy import Column, Index, MetaData, String, Table

__all__ = ["metadata", "owner"]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Apart from our own installation's: this table lives where the host's rows live."""

owner = Table(
    "auth_owner",
    metadata,
    Column("table_name", String(200), primary_key=True),
    Column("row_key", String(200), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Index("ix_auth_owner_user_id_table_name_row_key", "user_id", "table_name", "row_key"),
)
"""One line per owned row; the key is the text of its single-column primary key, as CAST(pk AS VARCHAR) gives it."""
