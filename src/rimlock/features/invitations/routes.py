"""`/admin/invitations`: make one, see them, revoke one.

Threat: a code that is shown twice, or guessed from what a list shows; a role that is given by an unlocked screen.
Source: OWASP ASVS 5.0 V6.4.1, V7.5.3, V14.2.6, V15.3.3; design section 7.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from rimlock.core.access import Requirement
from rimlock.core.invitations import MOST_SEATS, Invitation, Invited
from rimlock.core.principal import Principal
from rimlock.features.invitations import logic
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import moment

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["invitation_routes"]

FRESH_SECONDS = 15 * 60
MOST_DAYS = 365

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))
FRESH = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}), fresh=FRESH_SECONDS)

Administrator = Annotated[Principal, require(ADMINISTRATOR)]
FreshAdministrator = Annotated[Principal, require(FRESH)]
Role = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
Note = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
PageSize = Annotated[int, Query(ge=1, le=100)]


class InvitationForm(BaseModel):
    """The invitation to make. `email`: whom it is for, null for whoever has the code. `days` null: as it is set."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seats: Annotated[int, Field(ge=1, le=MOST_SEATS)] = 1
    roles: Annotated[list[Role], Field(max_length=50)] = Field(default_factory=list)
    email: Annotated[str | None, Field(max_length=320)] = None
    note: Note = ""
    days: Annotated[int | None, Field(ge=1, le=MOST_DAYS)] = None


class InvitationAnswer(BaseModel):
    """An invitation, without its code. `hint`: how the code ends. Times are ISO 8601 in UTC."""

    id: str
    hint: str
    note: str
    email: str | None
    roles: list[str]
    seats: int
    used: int
    created_by: str
    created_at: str
    expires_at: str
    revoked_at: str | None


class NewInvitationAnswer(InvitationAnswer):
    """An invitation just made. `code` is what somebody registers with, shown this once."""

    code: str


class InvitationPage(BaseModel):
    """Some invitations, and where the rest begins."""

    items: list[InvitationAnswer]
    next: str | None


def invitation_routes(context: Context) -> APIRouter:
    """Return the routes, for administrators with an access token."""
    router = own_router(prefix="/admin/invitations", tags=["invitations"], dependencies=[require(ADMINISTRATOR)])

    @router.get("", response_model=InvitationPage, summary="List invitations that can be used, or `all` of them")
    async def page(
        *, after: Cursor = None, limit: PageSize = 50, everything: Annotated[bool, Query(alias="all")] = False
    ) -> dict[str, Any]:
        found = await logic.page(context, after=after, limit=limit + 1, everything=everything)
        following = found[limit - 1].id if len(found) > limit else None
        return {"items": [_fields(one) for one in found[:limit]], "next": following}

    @router.post("", status_code=201, response_model=NewInvitationAnswer, summary="Make an invitation; shown this once")
    async def make(form: InvitationForm, principal: FreshAdministrator) -> dict[str, Any]:
        code, made = await logic.invite(context, _wanted(context, form), by=principal)
        return {**_fields(made), "code": code}

    @router.delete("/{invitation_id}", status_code=204, summary="Revoke an invitation")
    async def revoke(invitation_id: Id, principal: Administrator) -> Response:
        await logic.revoke(context, invitation_id, by=principal)
        return Response(status_code=204)

    return router


def _wanted(context: Context, form: InvitationForm) -> Invited:
    lasting = context.settings.invitation_lifetime if form.days is None else timedelta(days=form.days)
    return Invited(
        seats=form.seats,
        roles=frozenset(form.roles),
        email=form.email,
        note=form.note,
        expires_at=context.now() + int(lasting.total_seconds()),
    )


def _fields(one: Invitation) -> dict[str, Any]:
    return {
        "id": one.id,
        "hint": one.hint,
        "note": one.note,
        "email": one.email_key,
        "roles": sorted(one.roles),
        "seats": one.seats,
        "used": one.used,
        "created_by": one.created_by,
        "created_at": moment(one.created_at),
        "expires_at": moment(one.expires_at),
        "revoked_at": None if one.revoked_at is None else moment(one.revoked_at),
    }
