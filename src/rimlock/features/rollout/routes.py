"""`/admin/rollout`: what is in force, changes, the way back, and who would have been refused.

Threat: an answer that shows a stranger which routes stand open.
Source: design section 5; OWASP ASVS 5.0 V8.2.1 (administration is for administrators).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Body, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from rimlock.core.access import Requirement, Stage
from rimlock.core.principal import Principal
from rimlock.features.rollout import logic
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.observations import Observation
    from rimlock.core.rollout import Change
    from rimlock.feature import Context

__all__ = ["rollout_routes", "shown_change", "shown_observation", "shown_route"]

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))

Administrator = Annotated[Principal, require(ADMINISTRATOR)]
Pattern = Annotated[str, Field(min_length=1, max_length=520, examples=["GET /items/{id}", "/items/**"])]
Cursor = Annotated[int | None, Query(ge=1, le=2**62)]
PageSize = Annotated[int, Query(ge=1, le=100)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StageForm(_Form):
    """A change: which routes, and how far they are turned. Stage null leaves them to the configuration again."""

    route: Pattern
    stage: Stage | None
    force: bool = False


class BackForm(_Form):
    """Which target to take one step back; without it, whichever was changed last."""

    route: Pattern | None = None


def rollout_routes(context: Context) -> APIRouter:
    """Return the routes, for administrators with an access token."""
    router = own_router(prefix="/admin/rollout", tags=["rollout"], dependencies=[require(ADMINISTRATOR)])
    _stages(router, context)
    _history(router, context)
    _observed(router, context)
    return router


def _stages(router: APIRouter, context: Context) -> None:
    @router.get("", summary="Every route, its stage, and where the stage comes from")
    async def overview() -> dict[str, Any]:
        rules = context.rules()
        standing = logic.overview(rules, _keys(context))
        return {"default": rules.default.value, "items": [shown_route(one) for one in standing]}

    @router.put("", summary="Set the stage of a route or of a group of routes")
    async def change(form: StageForm, principal: Administrator) -> dict[str, Any]:
        keys = None if form.force else _keys(context)
        return shown_change(await logic.change(context, form.route, form.stage, keys=keys, actor=_actor(principal)))

    @router.post("/back", summary="Undo the newest change")
    async def back(principal: Administrator, form: Annotated[BackForm | None, Body()] = None) -> dict[str, Any]:
        pattern = form.route if form else None
        return shown_change(await logic.take_back(context, pattern, actor=_actor(principal)))


def _history(router: APIRouter, context: Context) -> None:
    @router.get("/history", summary="Every change, newest first")
    async def history(after: Cursor = None, limit: PageSize = 50) -> dict[str, Any]:
        found = await logic.history(context, before=after, limit=limit + 1)
        page = found[:limit]
        following = str(page[-1].id) if len(found) > limit else None
        return {"items": [shown_change(one) for one in page], "next": following}


def _observed(router: APIRouter, context: Context) -> None:
    @router.get("/observed", summary="Who would have been refused")
    async def observed(route: Annotated[str | None, Query(max_length=520)] = None) -> dict[str, Any]:
        return {"items": [shown_observation(one) for one in await logic.observed(context, route)]}

    @router.delete("/observed", status_code=204, summary="Forget who would have been refused")
    async def forget() -> Response:
        await logic.forget(context)
        return Response(status_code=204)


def _keys(context: Context) -> list[tuple[str, str]]:
    table = context.routes()
    return [] if table is None else [target.key for target in table.targets()]


def _actor(principal: Principal) -> str:
    return f"user:{principal.user_id}"


def shown_route(one: logic.RouteStanding) -> dict[str, Any]:
    """Return a route and its ruling as they are shown."""
    ruling, demand = one.ruling, one.ruling.requirement
    return {
        "route": one.pattern,
        "method": one.method,
        "path": one.path,
        "stage": ruling.stage.value,
        "stage_source": ruling.stage_source,
        "stated": ruling.stated,
        "requirement": {
            "credentials": sorted(demand.credentials),
            "roles": sorted(demand.any_role),
            "permissions": sorted(demand.permissions),
            "scopes": sorted(demand.scopes),
            "fresh": demand.fresh,
        },
        "requirement_source": ruling.requirement_source,
    }


def shown_change(one: Change) -> dict[str, Any]:
    """Return a change as it is shown."""
    return {
        "id": str(one.id),
        "route": one.pattern,
        "stage": one.stage,
        "before": one.before,
        "actor": one.actor,
        "at": _time(one.at),
        "reverts": None if one.reverts is None else str(one.reverts),
    }


def shown_observation(one: Observation) -> dict[str, Any]:
    """Return who would have been refused, as it is shown."""
    return {
        "route": f"{one.method} {one.path}",
        "credential": one.credential,
        "key": {"id": one.credential_id, "label": one.label} if one.credential_id else None,
        "outcome": one.outcome,
        "requests": one.requests,
        "first_seen": _time(one.first_seen),
        "last_seen": _time(one.last_seen),
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
