"""`/admin/rollout`: what is in force, changes, the way back, and who would have been refused.

Threat: an answer that shows a stranger which routes stand open.
Source: design section 5; OWASP ASVS 5.0 V8.2.1 (administration is for administrators).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
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

    from rimlock.core.rollout import Change
    from rimlock.core.usage import Observation
    from rimlock.feature import Context

__all__ = ["rollout_routes", "shown_change", "shown_observation", "shown_report", "shown_route"]

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))

Administrator = Annotated[Principal, require(ADMINISTRATOR)]
Pattern = Annotated[str, Field(min_length=1, max_length=520, examples=["GET /items/{id}", "/items/**"])]
Cursor = Annotated[int | None, Query(ge=1, le=2**62)]
PageSize = Annotated[int, Query(ge=1, le=100)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StageForm(_Form):
    """A change: which routes, and how far they are turned. Stage null leaves them to the configuration again.

    `percent`: for how many callers of a hundred; the others keep what held before. `until`: the day by whose end a
    stage that lets people through is to be over.
    """

    route: Pattern
    stage: Stage | None
    percent: Annotated[int, Field(ge=0, le=100, strict=True)] = 100
    until: date | None = None
    force: Annotated[bool, Field(strict=True)] = False


class BackForm(_Form):
    """Which target to take one step back; without it, whichever was changed last."""

    route: Pattern | None = None


def rollout_routes(context: Context) -> APIRouter:
    """Return the routes, for administrators with an access token."""
    router = own_router(prefix="/admin/rollout", tags=["rollout"], dependencies=[require(ADMINISTRATOR)])
    _stages(router, context)
    _history(router, context)
    _observed(router, context)
    _report(router, context)
    return router


def _stages(router: APIRouter, context: Context) -> None:
    @router.get("", summary="Every route, its stage, and where the stage comes from")
    async def overview() -> dict[str, Any]:
        rules = context.rules()
        standing = logic.overview(rules, _keys(context))
        now = context.now()
        return {"default": rules.default.value, "items": [shown_route(one, now) for one in standing]}

    @router.put("", summary="Set the stage of a route or of a group of routes")
    async def change(form: StageForm, principal: Administrator) -> dict[str, Any]:
        keys = None if form.force else _keys(context)
        extent: dict[str, Any] = {"percent": form.percent, "until": form.until}
        made = await logic.change(context, form.route, form.stage, keys=keys, actor=_actor(principal), **extent)
        return shown_change(made)

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


def _report(router: APIRouter, context: Context) -> None:
    @router.get("/report", summary="Who still uses what, and which routes may be turned further")
    async def report(
        route: Annotated[str | None, Query(max_length=520)] = None,
        days: Annotated[int, Query(ge=1, le=366)] = 30,
        key: Annotated[str | None, Query(max_length=200)] = None,
    ) -> dict[str, Any]:
        return shown_report(await logic.report(context, route, days=days, key=key))


def _keys(context: Context) -> list[tuple[str, str]]:
    table = context.routes()
    return [] if table is None else [target.key for target in table.targets()]


def _actor(principal: Principal) -> str:
    return f"user:{principal.user_id}"


def shown_route(one: logic.RouteStanding, now: int) -> dict[str, Any]:
    """Return a route and its ruling as they are shown."""
    ruling, demand = one.ruling, one.ruling.requirement
    return {
        "route": one.pattern,
        "method": one.method,
        "path": one.path,
        "stage": ruling.stage.value,
        "percent": ruling.percent,
        "otherwise": None if ruling.otherwise is None else ruling.otherwise.stage.value,
        "until": None if ruling.until is None else _time(ruling.until),
        "overdue": ruling.overdue(now),
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
        "percent": one.percent,
        "until": None if one.until is None else _time(one.until),
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


def shown_report(report: logic.Report) -> dict[str, Any]:
    """Return a report as it is shown."""
    window = report.window
    return {
        "at": _time(window.now),
        "days": window.days,
        "counting": window.counting,
        "counted_since": None if window.since is None else _time(window.since),
        "counted_days": window.counted_days,
        "busy_days": window.busy_days,
        "unmatched": report.unmatched,
        "folded": report.folded,
        "items": [_shown_judged(one) for one in report.routes],
    }


def _shown_judged(one: logic.RouteReport) -> dict[str, Any]:
    return {
        "route": f"{one.method} {one.path}",
        "stage": one.stage.value,
        "percent": one.percent,
        "next_stage": None if one.next_stage is None else one.next_stage.value,
        "next_safe": one.next_safe,
        "verdict": one.verdict.value,
        "why": list(one.why),
        "quiet_since": None if one.quiet_since is None else _time(one.quiet_since),
        "callers": [_shown_caller(caller) for caller in one.callers],
    }


def _shown_caller(one: logic.Caller) -> dict[str, Any]:
    return {
        "credential": one.credential,
        "key": {"id": one.key_id, "label": one.label} if one.key_id else None,
        "client": one.client,
        "requests": one.requests,
        "refused": one.refused,
        "reasons": list(one.reasons),
        "first_seen": _time(one.first_seen),
        "last_seen": _time(one.last_seen),
        "last_refused": None if one.last_refused is None else _time(one.last_refused),
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
