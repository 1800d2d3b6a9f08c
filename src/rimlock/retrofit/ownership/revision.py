"""Writes the owner columns down as a revision of the host's own Alembic, or as plain SQL, up and down.

Threat: a second head in the host's tree; a migration nobody could review; SQLite's batch mode, which drops triggers.
Source: https://alembic.sqlalchemy.org/en/latest/batch.html; https://sqlite.org/lang_altertable.html.

The host's Alembic is asked in a process of its own, from the folder of its configuration, as its people would run it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.ownership.statements import OWNER_LENGTH, AddColumn, DropColumn, short_name, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Dialect

    from rimlock.retrofit.ownership.evidence import Target

__all__ = ["DOWN", "UP", "revision_id", "write_revision", "write_sql"]

UP, DOWN = "rimlock-ownership.up.sql", "rimlock-ownership.down.sql"
MESSAGE = "give old rows an owner"
PATIENCE_SECONDS = 120
_TEMPLATE = '''"""Give old rows an owner: a nullable column for each table.

Written by `rimlock retrofit apply`. The columns are filled by `rimlock retrofit backfill` and made NOT NULL by
`rimlock retrofit finish`. No table is copied: on SQLite too the columns come and go in place.

Revision ID: {revision}
Revises: {parent}
"""

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {parent!r}
branch_labels = None
depends_on = None

OWNERS = [  # table, schema, column, index
{owners}
]


def upgrade() -> None:
    for table, schema, column, _ in OWNERS:
        with op.batch_alter_table(table, schema=schema, recreate="never") as batch:
            batch.add_column(sa.Column(column, sa.String({length}), nullable=True))


def downgrade() -> None:
    for table, schema, column, index in reversed(OWNERS):
        op.drop_index(index, table_name=table, schema=schema, if_exists=True)
        with op.batch_alter_table(table, schema=schema, recreate="never") as batch:
            batch.drop_column(column)
'''


def write_sql(folder: Path, targets: Sequence[Target], dialect: Dialect) -> list[str]:
    """Write the statements up and down beside the plan; return the names of the files."""
    up = [written(AddColumn(one.host.table, one.plan.column), dialect) for one in targets]
    down = [written(DropColumn(one.host.table, one.plan.column), dialect) for one in reversed(targets)]
    for name, lines in ((UP, up), (DOWN, down)):
        (folder / name).write_text("".join(f"{line};\n" for line in lines), encoding="utf-8")
    return [UP, DOWN]


def revision_id(digest: str) -> str:
    """Return the id of the revision for a plan: the same each time it is asked for."""
    return sha256(f"rimlock ownership {digest}".encode()).hexdigest()[:12]


def write_revision(config: Path, revision: str, targets: Sequence[Target]) -> Path:
    """Chain a revision on the host's head, unless it is there; return its file. Raises ConfigurationError."""
    if not config.exists():
        raise ConfigurationError(f"there is no {config.name} beside the plan; say alembic = '…' or ddl = 'sql' there")
    shown = _ask(config, "show", revision)
    if shown is None:
        if len((_ask(config, "heads") or "").strip().splitlines()) > 1:
            raise ConfigurationError("the application's Alembic has several heads; merge them first")
        if _ask(config, "revision", "-m", MESSAGE, "--rev-id", revision) is None:
            raise ConfigurationError(
                f"the application's Alembic could not write a revision; try `alembic -c {config.name} heads`"
            )
        shown = _ask(config, "show", revision) or ""
    file = Path(_field(shown, "Path"))
    if "rimlock retrofit" not in file.read_text(encoding="utf-8"):
        parent = _field(shown, "Parent")
        file.write_text(_script(revision, None if parent == "<base>" else parent, targets), encoding="utf-8")
    return file


def _script(revision: str, parent: str | None, targets: Sequence[Target]) -> str:
    rows = [
        (one.host.name, one.host.schema, one.plan.column, short_name("ix", one.host, one.plan.column))
        for one in targets
    ]
    owners = "\n".join(f"    {row!r}," for row in rows)
    return _TEMPLATE.format(revision=revision, parent=parent, owners=owners, length=OWNER_LENGTH)


def _field(shown: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*(.+?)\s*$", shown, re.MULTILINE)
    if found is None:
        raise ConfigurationError("the application's Alembic answered in a way that is not known here; use ddl = 'sql'")
    return found[1]


def _ask(config: Path, *arguments: str) -> str | None:
    """Return what `alembic` prints, or None when it could not do it."""
    command = [sys.executable, "-m", "alembic", "-c", config.name, *arguments]
    run = subprocess.run(  # noqa: S603 - no shell; the words are ours and a file's name
        command, cwd=config.resolve().parent, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    return run.stdout if run.returncode == 0 else None
