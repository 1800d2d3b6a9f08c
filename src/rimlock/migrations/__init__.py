"""Our tables come, change and go beside the host's, by numbered revisions with a way back.

Threat: a migration that touches or empties a table of the host's, or stops half-way between the old and the new.
Source: https://alembic.sqlalchemy.org/en/latest/api/runtime.html; https://sqlite.org/lang_altertable.html.

Alembic is imported when a migration runs and not before: an application that only asks `mismatch` never pays for it.
"""

from __future__ import annotations

from rimlock.migrations.commands import create_if_absent, current, downgrade, sql, upgrade
from rimlock.migrations.neighbours import include_name, include_object
from rimlock.migrations.revisions import head, mismatch

__all__ = [
    "create_if_absent",
    "current",
    "downgrade",
    "head",
    "include_name",
    "include_object",
    "mismatch",
    "sql",
    "upgrade",
]
