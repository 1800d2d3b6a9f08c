"""The application as it was, with the SQLAlchemy engine that such a host has anyway."""

from __future__ import annotations

from sqlalchemy import create_engine, text

from apps.host import routes

app = routes()
engine = create_engine("sqlite://")
with engine.connect() as connection:
    connection.execute(text("SELECT 1")).one()
