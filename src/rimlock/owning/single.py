"""Reading, changing, deleting and claiming one row, with a session or a connection of the host's, sync and async.

Threat: a row that is fetched first and compared afterwards; a deleted row whose owner a new one inherits.
Source: requirements T3 and T6; OWASP ASVS 5.0 V8.2.2 (access to single objects).

Nothing here commits: the transaction is the host's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from rimlock.core.errors import NotFound
from rimlock.owning.rows import change_of, claim_of, found, line_of, one_row, removal_of
from rimlock.web.problems import Refusal

if TYPE_CHECKING:
    from sqlalchemy import Connection, Result

    from rimlock.core.principal import Principal

__all__ = [
    "change_owned",
    "change_owned_async",
    "claim",
    "claim_async",
    "delete_owned",
    "delete_owned_async",
    "fetch_owned",
    "fetch_owned_async",
]


def fetch_owned(
    session: Session | Connection,
    thing: Any,
    key: Any,
    principal: Principal | None,
    *,
    options: tuple[Any, ...] = (),
    lock: bool = False,
    everything: bool = False,
    detail: str | None = None,
) -> Any:
    """Return the principal's row with this primary key: an instance of a mapped class, or a Row of a table.

    `options`: loader options. `lock`: FOR UPDATE, where the database has it. `everything`: as `owned` has it.
    Raises Refusal `not_found`, with `detail` as its sentence, when there is none or it is somebody else's.
    """
    statement = _fetching(thing, key, principal, options=options, lock=lock, everything=everything)
    return found(_only(session.execute(statement), thing, session), detail)


async def fetch_owned_async(
    session: AsyncSession | AsyncConnection,
    thing: Any,
    key: Any,
    principal: Principal | None,
    *,
    options: tuple[Any, ...] = (),
    lock: bool = False,
    everything: bool = False,
    detail: str | None = None,
) -> Any:
    """Do what `fetch_owned` does, with an asynchronous session or connection."""
    statement = _fetching(thing, key, principal, options=options, lock=lock, everything=everything)
    return found(_only(await session.execute(statement), thing, session), detail)


def change_owned(
    session: Session | Connection,
    thing: Any,
    key: Any,
    principal: Principal | None,
    values: Mapping[str, Any],
    *,
    everything: bool = False,
    detail: str | None = None,
) -> None:
    """Set values of the principal's row with this primary key, in one statement. Raises as `fetch_owned` does.

    The owner cannot be among the values: ConfigurationError.
    """
    found(session.execute(change_of(thing, key, values, principal, everything=everything)), detail)


async def change_owned_async(
    session: AsyncSession | AsyncConnection,
    thing: Any,
    key: Any,
    principal: Principal | None,
    values: Mapping[str, Any],
    *,
    everything: bool = False,
    detail: str | None = None,
) -> None:
    """Do what `change_owned` does, with an asynchronous session or connection."""
    found(await session.execute(change_of(thing, key, values, principal, everything=everything)), detail)


def delete_owned(
    session: Session | Connection,
    thing: Any,
    key: Any,
    principal: Principal | None,
    *,
    everything: bool = False,
    detail: str | None = None,
) -> None:
    """Delete the principal's row with this primary key, and its line in the side table. Raises as `fetch_owned`."""
    found(session.execute(removal_of(thing, key, principal, everything=everything)), detail)
    if (line := line_of(thing, key)) is not None:
        session.execute(line)


async def delete_owned_async(
    session: AsyncSession | AsyncConnection,
    thing: Any,
    key: Any,
    principal: Principal | None,
    *,
    everything: bool = False,
    detail: str | None = None,
) -> None:
    """Do what `delete_owned` does, with an asynchronous session or connection."""
    found(await session.execute(removal_of(thing, key, principal, everything=everything)), detail)
    if (line := line_of(thing, key)) is not None:
        await session.execute(line)


def claim(session: Session | Connection, thing: Any, key: Any, principal: Principal | None) -> None:
    """Say in the side table that a row, inserted in this transaction, is the principal's.

    For a row that was just made, never for a key that a caller names. Raises Refusal `not_found` when the side table
    has it as somebody else's already.
    """
    dialect = (session.get_bind() if isinstance(session, Session) else session).dialect.name
    try:
        found(session.execute(claim_of(dialect, thing, key, principal)))
    except IntegrityError:
        raise Refusal(NotFound()) from None


async def claim_async(
    session: AsyncSession | AsyncConnection, thing: Any, key: Any, principal: Principal | None
) -> None:
    """Do what `claim` does, with an asynchronous session or connection."""
    dialect = (session.get_bind() if isinstance(session, AsyncSession) else session).dialect.name
    try:
        found(await session.execute(claim_of(dialect, thing, key, principal)))
    except IntegrityError:
        raise Refusal(NotFound()) from None


def _fetching(
    thing: Any, key: Any, principal: Principal | None, *, options: tuple[Any, ...], lock: bool, everything: bool
) -> Any:
    statement = one_row(thing, key, principal, everything=everything)
    statement = statement.options(*options) if options else statement
    return statement.with_for_update() if lock else statement


def _only(result: Result[Any], thing: Any, session: Any) -> Any:
    """Return the instance of a class that a session loaded, or the row of anything else; None without one."""
    loads = isinstance(session, Session | AsyncSession) and isinstance(thing, type)
    return result.scalars().unique().one_or_none() if loads else result.one_or_none()
