"""What Alembic runs for us: our metadata, our version table, the connection it was handed; nothing of the host's.

Threat: a version table shared with the host; a statement of ours outside the transaction that holds the lock.
Source: https://alembic.sqlalchemy.org/en/latest/api/runtime.html (EnvironmentContext.configure).
"""

from __future__ import annotations

from typing import Any

from alembic import context

from rimlock.core.schema import VERSION_TABLE, metadata
from rimlock.migrations.neighbours import ours_only

attributes = context.config.attributes
where: dict[str, Any] = {"connection": attributes.get("connection")}
if context.is_offline_mode():
    where = {"dialect_name": attributes["dialect"], "literal_binds": True}

context.configure(
    **where,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=ours_only,
    transactional_ddl=True,  # SQLite has it too, once its transactions are begun by hand
)
with context.begin_transaction():
    context.run_migrations()
    if attributes.get("leaving"):
        context.execute(f"DROP TABLE {VERSION_TABLE}")
