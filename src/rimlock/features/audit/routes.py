"""`/admin/audit`: who did what to whom, when, from where, and how it ended.

Threat: an answer that tells a stranger who signs in when and from where.
Source: OWASP ASVS 5.0 V8.2.1 (administration is for administrators), V16.2.1.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel

from rimlock.core.access import Requirement
from rimlock.core.audit import Filter
from rimlock.features.audit import logic
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["audit_routes"]

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))

Outcome = Literal["ok", "refused", "failed"]
PageSize = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str | None, Query(max_length=50, description="`next` of the page before, or the `id` of a row.")]
PLAIN = r"^[^\x00-\x1f\x7f]*$"
User = Annotated[str | None, Query(max_length=64, pattern=PLAIN, description="The id of the user concerned.")]
Actor = Annotated[
    str | None, Query(max_length=200, pattern=PLAIN, description="`user:<id>`, `key:<id>` or `cli:<name>`.")
]
EventName = Annotated[
    str | None, Query(max_length=64, pattern=PLAIN, description="The name of an event, like `LoginFailed`.")
]
Address = Annotated[str | None, Query(max_length=45, pattern=PLAIN)]
Since = Annotated[datetime | None, Query(description="ISO 8601; a time without a zone is taken as UTC.")]
Until = Annotated[datetime | None, Query(description="As `since`; this moment itself is not in it.")]


class EntryAnswer(BaseModel):
    """One row. `actor` is empty where nobody is known; `facts` are the fields of the event."""

    id: str
    at: str
    event: str
    outcome: Outcome
    actor: str
    subject: str
    address: str
    agent: str
    facts: dict[str, Any]


class AuditPage(BaseModel):
    """Some rows, newest first, and where the rest begins."""

    items: list[EntryAnswer]
    next: str | None


def audit_routes(context: Context) -> APIRouter:
    """Return the route, for administrators with an access token."""
    router = own_router(prefix="/admin/audit", tags=["audit"], dependencies=[require(ADMINISTRATOR)])

    @router.get("", response_model=AuditPage, summary="What happened, newest first")
    async def page(
        *,
        user: User = None,
        actor: Actor = None,
        event: EventName = None,
        outcome: Outcome | None = None,
        address: Address = None,
        since: Since = None,
        until: Until = None,
        after: Cursor = None,
        limit: PageSize = 50,
    ) -> dict[str, Any]:
        wanted = Filter(
            subject=user,
            actor=actor,
            event=event,
            outcome=outcome,
            address=address,
            since=_seconds(since),
            until=_seconds(until),
        )
        found = await logic.page(context, wanted, after=after, limit=limit)
        return {"items": [logic.shown(one) for one in found.items], "next": found.next}

    return router


def _seconds(moment: datetime | None) -> int | None:
    """Return a moment in seconds, rounded up as rows are rounded down."""
    if moment is None:
        return None
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = int(known.timestamp())
    return whole + (known.microsecond > 0)
