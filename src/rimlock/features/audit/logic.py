"""Reading the audit: a page at a time, or all of it as a stream. Each reading leaves a row.

Threat: a page that skips or repeats rows while others are added; an export that holds the whole table in memory.
Source: OWASP ASVS 5.0 V16.2.1, V16.4.2; design section 6 (cursors).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rimlock.core import audit
from rimlock.core.audit import Cursor, Entry, Filter
from rimlock.features.audit.errors import CursorInvalid
from rimlock.features.audit.events import AuditRead

if TYPE_CHECKING:
    from rimlock.feature import Context

__all__ = ["Page", "cursor", "export", "page", "shown"]

AT_ONCE = 500
"""Rows of an export that are read at once."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first. `next`: where the following page begins, None at the end."""

    items: Sequence[Entry]
    next: str | None


async def page(context: Context, wanted: Filter, *, after: str | None, limit: int) -> Page:
    """Return the rows after the cursor `after`, newest first. Raises CursorInvalid, Unavailable."""
    place = cursor(after)
    found = await context.database.read(lambda tx: audit.newest(tx, wanted, after=place, limit=limit + 1))
    await _note(context, wanted)
    items = found[:limit]
    return Page(items, _written(items[-1].cursor) if len(found) > limit else None)


async def export(context: Context, wanted: Filter, *, after: str | None = None) -> AsyncIterator[Entry]:
    """Yield every row, oldest first; rows are held a few at a time. Raises CursorInvalid, Unavailable."""
    place = cursor(after)
    await _note(context, wanted)
    while found := await _some(context, wanted, place):
        for entry in found:
            yield entry
        place = found[-1].cursor


def shown(entry: Entry) -> dict[str, Any]:
    """Return a row as the API and the commands show it."""
    return {
        "id": _written(entry.cursor),
        "at": datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "event": entry.event,
        "outcome": entry.outcome,
        "actor": entry.actor,
        "subject": entry.subject,
        "address": entry.address,
        "agent": entry.agent,
        "facts": dict(entry.facts),
    }


def cursor(text: str | None) -> Cursor | None:
    """Return the place that a cursor names: the `id` of a row as it is shown. Raises CursorInvalid."""
    if text is None:
        return None
    place = re.fullmatch("([0-9]{1,18})-([0-9]{1,18})", text)
    if place is None:
        raise CursorInvalid
    return int(place[1]), int(place[2])


async def _some(context: Context, wanted: Filter, place: Cursor | None) -> list[Entry]:
    return await context.database.read(lambda tx: audit.oldest(tx, wanted, after=place, limit=AT_ONCE))


async def _note(context: Context, wanted: Filter) -> None:
    asked = ((one.name, getattr(wanted, one.name)) for one in fields(wanted))
    read = AuditRead(at=context.now(), filters=tuple(f"{name}={value}" for name, value in asked if value is not None))
    await context.database.write(lambda tx: tx.emit(read))


def _written(place: Cursor) -> str:
    return f"{place[0]}-{place[1]}"
