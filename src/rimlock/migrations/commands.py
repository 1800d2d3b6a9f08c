"""Up, down, where are we, and the SQL for those who run it by hand.

Threat: Alembic's context is one per process, so two migrations in it would mix; a failed one that left a trace.
Source: https://alembic.sqlalchemy.org/en/latest/api/config.html (programmatic use, Config.attributes["connection"]).
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from functools import partial
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rimlock.core.errors import ConfigurationError
from rimlock.core.schema import VERSION_TABLE
from rimlock.migrations.connecting import locate
from rimlock.migrations.neighbours import (
    forget_empty_version,
    refuse_foreign_references,
    refuse_taken_names,
    standing_tables,
)
from rimlock.migrations.revisions import REVISIONS, mismatch, named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config
    from sqlalchemy import Connection

__all__ = ["create_if_absent", "current", "downgrade", "sql", "upgrade"]

_one_at_a_time = threading.Lock()


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring our tables up to `revision`. Safe in any number of processes at once; nothing happens when already there.

    Raises SchemaMismatch when the database is newer than this version; ConfigurationError for an address or revision
    that does not exist, or names already taken; Unavailable. After any of these the database is as it was.
    """
    await locate(url).run(partial(_upgrade, revision=named(revision)), alone=True)


async def downgrade(url: str, revision: str = "base") -> None:
    """Take our tables back to `revision`; after `base` only the host's tables are left, every row of ours is gone.

    Raises what `upgrade` raises, and ConfigurationError while a table of the host's refers to ours by foreign key.
    """
    place, target = locate(url), named(revision)
    if not place.missing():
        await place.run(partial(_downgrade, revision=target), alone=True)


async def current(url: str) -> str | None:
    """Return the revision the database is at, None without our tables. Raises ConfigurationError, Unavailable."""
    place = locate(url)
    return None if place.missing() else await place.run(_current, alone=False)


async def create_if_absent(url: str) -> bool:
    """Make our tables where there are none at all, and say whether this call did. Never changes what is there.

    Of any number of processes that try at once exactly one gets True. Raises ConfigurationError, Unavailable.
    """
    place = locate(url)
    # A look without a lock, because every start comes this way and all but one find the tables.
    if not place.missing() and await place.run(_is_built, alone=False):
        return False
    return await place.run(_create_if_absent, alone=True)


async def sql(url: str, revision: str = "head") -> str:
    """Return the statements that lead from nothing to `revision`, or along a path `from:to`, up or down.

    `url` chooses the dialect; the database is not opened. Raises ConfigurationError.
    """
    start, _, target = revision.rpartition(":")
    path = (named(start or "base"), named(target))
    return await asyncio.to_thread(_sql, locate(url).dialect, *path)


def _current(connection: Connection) -> str | None:
    if VERSION_TABLE not in standing_tables(connection):
        return None
    version: str | None = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608
    return version


def _upgrade(connection: Connection, revision: str) -> None:
    _refuse_newer(connection)
    refuse_taken_names(connection)
    with _alembic(connection=connection) as (command, config):
        command.upgrade(config, revision)
    forget_empty_version(connection)


def _downgrade(connection: Connection, revision: str) -> None:
    _refuse_newer(connection)
    if _current(connection) is None:
        return
    if revision == "base":
        refuse_foreign_references(connection)
    with _alembic(connection=connection) as (command, config):
        command.downgrade(config, revision)
    forget_empty_version(connection)


def _is_built(connection: Connection) -> bool:
    return bool(standing_tables(connection))


def _create_if_absent(connection: Connection) -> bool:
    if _is_built(connection):
        return False
    _upgrade(connection, "head")
    return True


def _refuse_newer(connection: Connection) -> None:
    version = _current(connection)
    if version is not None and version not in REVISIONS and (wrong := mismatch(version)):
        raise wrong


def _sql(dialect: str, start: str, target: str) -> str:
    order = ("base", *REVISIONS, "head")
    written = StringIO()
    with _alembic(dialect=dialect, written=written, leaving=target == "base") as (command, config):
        step = command.downgrade if order.index(start) > order.index(target) else command.upgrade
        step(config, f"{start}:{target}", sql=True)
    return written.getvalue()


@contextmanager
def _alembic(*, written: StringIO | None = None, **attributes: Any) -> Iterator[tuple[Any, Config]]:
    """Lend Alembic's commands and a configuration made in code, to one thread at a time."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config(output_buffer=written, attributes=attributes)
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with _one_at_a_time:
        try:
            yield command, config
        except CommandError as error:
            raise ConfigurationError(f"this migration is not possible: {error}") from error
