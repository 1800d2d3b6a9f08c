"""`/api-keys`: see one's keys, make one, replace one, revoke one.

Threat: a key that makes keys; a key shown twice; a list that shows what belongs to others.
Source: OWASP ASVS 5.0 V7.2.2 (no static secrets where people act), V14.2.6, V15.3.1; RFC 6749 section 3.3 (scopes).

All of it needs an access token: a leaked key can neither list, make nor extend keys. A sign-in of any age will do,
since whoever holds the token can do the rest of what a key can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Body, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from rimlock.core.access import Requirement
from rimlock.core.errors import PermissionMissing
from rimlock.core.principal import Principal
from rimlock.core.retirements import Phase, standing
from rimlock.core.rotating import Overlap
from rimlock.features.api_keys import logic
from rimlock.features.api_keys.logic import DAY
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import moment

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.keys import ApiKey
    from rimlock.feature import Context

__all__ = ["key_routes"]

Asking = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
Role = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Cursor = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
PageSize = Annotated[int, Query(ge=1, le=100)]
Id = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
ForService = Annotated[bool, Query(description="Keys of services instead of one's own; for administrators.")]


class KeyForm(BaseModel):
    """The key to make. `expires_in_days` null: without end. `service`: belongs to nobody; for administrators."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    scopes: Annotated[list[Scope], Field(max_length=50)] = []
    roles: Annotated[list[Role], Field(max_length=50)] = []
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    service: bool = False


class KeyAnswer(BaseModel):
    """A key, without the key. `hint`: how it begins and ends. `source`: `issued` here, or imported from where.

    `phase`: how far it is on its way out; `sunset_at`: when it is to end. `replaced_by`: the key made in its place.
    """

    id: str
    name: str
    hint: str
    scopes: list[str]
    roles: list[str]
    source: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    replaced_by: str | None
    phase: Phase
    sunset_at: str | None


class NewKeyAnswer(KeyAnswer):
    """A key just made. `key` is the key itself, shown this once."""

    key: str


class RotatedKeyAnswer(NewKeyAnswer):
    """A key just made in the place of another, which works until `overlap_ends_at` at most."""

    replaces: str
    overlap_ends_at: str


class RotateForm(BaseModel):
    """How long the old key goes on working: 30 days unless said otherwise; 0 ends it now."""

    model_config = ConfigDict(extra="forbid")

    overlap_in_days: Annotated[int, Field(ge=0, le=365)] = 30


class KeyPage(BaseModel):
    """Some keys, and where the rest begins."""

    items: list[KeyAnswer]
    next: str | None


def key_routes(context: Context, bounds: logic.Bounds, limit: int) -> APIRouter:
    """Return the routes. `limit`: living keys a user may have."""
    router = own_router(prefix="/api-keys", tags=["api keys"])

    @router.get("", response_model=KeyPage, summary="Your keys that are not revoked")
    async def page(
        principal: Asking, *, after: Cursor = None, limit: PageSize = 50, service: ForService = False
    ) -> dict[str, Any]:
        owner = _owner(principal, service=service)
        found = await logic.page(context, owner, after=after, limit=limit + 1)
        following = found[limit - 1].id if len(found) > limit else None
        return {"items": [_fields(context, one) for one in found[:limit]], "next": following}

    @router.post("", status_code=201, response_model=NewKeyAnswer, summary="Make a key; it is shown this once")
    async def make(form: KeyForm, principal: Asking) -> dict[str, Any]:
        text, made = await logic.issue(context, principal, _wanted(form), bounds, limit)
        return {**_fields(context, made), "key": text}

    @router.post(
        "/{key_id}/rotate",
        status_code=201,
        response_model=RotatedKeyAnswer,
        summary="Replace a key; the new one is shown this once",
    )
    async def rotate(
        key_id: Id, principal: Asking, form: Annotated[RotateForm | None, Body()] = None
    ) -> dict[str, Any]:
        days = (form or RotateForm()).overlap_in_days
        done = await logic.rotate(context, principal, key_id, Overlap(seconds=days * DAY), limit)
        ends = moment(done.old.expires_at or context.now())
        return {**_fields(context, done.made), "key": done.text, "replaces": done.old.id, "overlap_ends_at": ends}

    @router.delete("/{key_id}", status_code=204, summary="Revoke a key")
    async def revoke(key_id: Id, principal: Asking) -> Response:
        await logic.revoke(context, principal, key_id)
        return Response(status_code=204)

    return router


def _owner(principal: Principal, *, service: bool) -> str | None:
    if not service:
        return principal.user_id
    if "admin" not in principal.roles:
        raise PermissionMissing
    return None


def _wanted(form: KeyForm) -> logic.Wanted:
    return logic.Wanted(
        name=form.name,
        scopes=frozenset(form.scopes),
        roles=frozenset(form.roles),
        days=form.expires_in_days,
        service=form.service,
    )


def _fields(context: Context, key: ApiKey) -> dict[str, Any]:
    said = context.retirements.of("key", key.id)
    sunset = said.sunset_at if said else None
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": sorted(key.scopes),
        "roles": sorted(key.roles),
        "source": key.source,
        "created_at": moment(key.created_at),
        "expires_at": None if key.expires_at is None else moment(key.expires_at),
        "last_used_at": None if key.last_used_at is None else moment(key.last_used_at),
        "replaced_by": key.replaced_by,
        "phase": Phase.ACCEPT if said is None else standing(said, context.now()),
        "sunset_at": None if sunset is None else moment(sunset),
    }
