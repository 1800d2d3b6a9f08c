"""`/admin/retirements`: what is on its way out, changes, the abort, the way back, and the report about keys.

Threat: an answer that shows a stranger which keys there are, and who still uses them.
Source: requirements L1 and L12; OWASP ASVS 5.0 V8.2.1 (administration is for administrators).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Body, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rimlock.core.access import Requirement
from rimlock.core.errors import ConfigurationError
from rimlock.core.principal import Principal
from rimlock.core.retirements import Phase, Retirement, standing
from rimlock.core.windows import Window
from rimlock.features.retirement import logic
from rimlock.features.retirement.errors import RetirementInvalid
from rimlock.features.retirement.logic.letter import act, held_by, letter
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import APIRouter

    from rimlock.core.retiring import RetirementChange
    from rimlock.feature import Context
    from rimlock.features.retirement.logic.uses import KeyUse

__all__ = ["retirement_routes", "shown_change", "shown_report", "shown_retirement"]

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))

Administrator = Annotated[Principal, require(ADMINISTRATOR)]
Target = Annotated[
    str, Field(min_length=5, max_length=80, examples=["key:0190d1e0c0de7000a0000000000000aa", "kind:key"])
]
Cursor = Annotated[int | None, Query(ge=1, le=2**62)]
PageSize = Annotated[int, Query(ge=1, le=100)]
KeyId = Annotated[str | None, Query(pattern="^[0-9a-f]{32}$")]
Days = Annotated[int, Query(ge=1, le=400)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WindowForm(_Form):
    """A stretch of time: once, or each day or week again from then on."""

    start: AwareDatetime
    end: AwareDatetime
    every: Literal["day", "week"] | None = None


class RetirementForm(_Form):
    """A change: what is left out stays as it is; null takes a date away. Phase null leaves it to the rule file."""

    target: Target
    phase: Phase | None
    deprecated_at: AwareDatetime | None = None
    sunset_at: AwareDatetime | None = None
    refuse_after_sunset: bool = False
    link: Annotated[str, Field(max_length=2000)] = ""
    percent: Annotated[int, Field(ge=0, le=100)] = 100
    windows: Annotated[list[WindowForm], Field(max_length=50)] = []


class AbortForm(_Form):
    """Whose brownout is to end."""

    target: Target


class UndoForm(_Form):
    """Which target to take one step back; without it, whichever was changed last."""

    target: Target | None = None


def retirement_routes(context: Context) -> APIRouter:
    """Return the routes, for administrators with an access token."""
    router = own_router(prefix="/admin/retirements", tags=["retirements"], dependencies=[require(ADMINISTRATOR)])
    _standing(router, context)
    _ways_back(router, context)
    _report(router, context)
    return router


def _standing(router: APIRouter, context: Context) -> None:
    @router.get("", summary="Keys and kinds of credential on their way out")
    async def in_force() -> dict[str, Any]:
        now = context.now()
        found = await logic.in_force(context)
        return {"items": [shown_retirement(entry, now) | {"name": name} for entry, name in found]}

    @router.put("", summary="Deprecate, brown out, refuse or accept a key or a kind of credential")
    async def change(form: RetirementForm, principal: Administrator) -> dict[str, Any]:
        actor = _actor(principal)
        if form.phase is None:
            return shown_change(await logic.leave(context, form.target, actor=actor), context.now())
        made = await logic.change(context, form.target, _given(form), actor=actor)
        return shown_change(made, context.now())


def _ways_back(router: APIRouter, context: Context) -> None:
    @router.post("/abort", summary="End a brownout at once")
    async def abort(form: AbortForm, principal: Administrator) -> dict[str, Any]:
        made = await logic.abort(context, form.target, actor=_actor(principal))
        return shown_change(made, context.now())

    @router.post("/back", summary="Undo the newest change")
    async def back(principal: Administrator, form: Annotated[UndoForm | None, Body()] = None) -> dict[str, Any]:
        made = await logic.take_back(context, form.target if form else None, actor=_actor(principal))
        return shown_change(made, context.now())

    @router.get("/history", summary="Every change, newest first")
    async def history(after: Cursor = None, limit: PageSize = 50) -> dict[str, Any]:
        found = await logic.history(context, before=after, limit=limit + 1)
        page = found[:limit]
        following = str(page[-1].id) if len(found) > limit else None
        return {"items": [shown_change(one, context.now()) for one in page], "next": following}


def _report(router: APIRouter, context: Context) -> None:
    @router.get("/report", summary="Each key: who holds it, how far it is, where it is used, who has to act by when")
    async def report(key: KeyId = None, days: Days = 30, after: KeyId = None, limit: PageSize = 50) -> dict[str, Any]:
        found = await logic.report(context, key_id=key, days=days, after=after, limit=limit + 1)
        following = found[limit - 1].key.id if len(found) > limit else None
        return {"items": [shown_report(one) for one in found[:limit]], "next": following}


def _given(form: RetirementForm) -> dict[str, Any]:
    """Return what the form says, and nothing that it leaves out. Raises RetirementInvalid."""
    given = {name: getattr(form, name) for name in form.model_fields_set - {"target"}}
    for name in ("deprecated_at", "sunset_at"):
        if given.get(name) is not None:
            given[name] = int(given[name].timestamp())
    if "windows" in given:
        given["windows"] = _windows(form.windows)
    return given


def _windows(forms: Iterable[WindowForm]) -> tuple[Window, ...]:
    try:
        return tuple(
            Window(start=int(one.start.timestamp()), end=int(one.end.timestamp()), every=one.every) for one in forms
        )
    except ConfigurationError as error:
        raise RetirementInvalid(f"{RetirementInvalid.title} {str(error)[:1].upper()}{str(error)[1:]}.") from None


def _actor(principal: Principal) -> str:
    return f"user:{principal.user_id}"


def shown_retirement(entry: Retirement, now: int) -> dict[str, Any]:
    """Return what holds of a target as it is shown. `phase` is how far it is now, `stated` what was said."""
    return {
        "target": entry.target,
        "phase": standing(entry, now).value,
        "stated": entry.phase.value,
        "deprecated_at": _time(entry.deprecated_at),
        "sunset_at": _time(entry.sunset_at),
        "refuse_after_sunset": entry.refuse_after_sunset,
        "link": entry.link,
        "percent": entry.percent,
        "windows": [{"start": _time(one.start), "end": _time(one.end), "every": one.every} for one in entry.windows],
        "source": entry.source,
        "warnings": entry.warnings(now),
    }


def shown_change(one: RetirementChange, now: int) -> dict[str, Any]:
    """Return a change as it is shown. Without `said` the target goes by the rule file."""
    return {
        "id": str(one.id),
        "target": one.target,
        "said": None if one.said is None else shown_retirement(one.said, now),
        "actor": one.actor,
        "at": moment(one.at),
        "reverts": None if one.reverts is None else str(one.reverts),
    }


def shown_report(one: logic.KeyReport) -> dict[str, Any]:
    """Return the report about a key as it is shown, with the text for a letter."""
    key, owner = one.key, one.owner
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "source": key.source,
        "owner": None if owner is None else {"id": owner.id, "email": owner.email, "username": owner.username},
        "held_by": held_by(one),
        "phase": one.phase.value,
        "retirement": None if one.said is None else shown_retirement(one.said, one.now),
        "next_window": _time(one.next_window),
        "replaced_by": key.replaced_by,
        **{name: _time(getattr(key, name)) for name in ("created_at", "expires_at", "revoked_at", "last_used_at")},
        "days": one.days,
        "requests": one.requests,
        "uses": [_shown_use(use) for use in one.uses],
        "act_by": _time(one.act_by),
        "act": act(one),
        "letter": letter(one),
    }


def _shown_use(use: KeyUse) -> dict[str, Any]:
    return {
        "route": f"{use.method} {use.path}",
        "client": use.client,
        "requests": use.requests,
        "refused": use.refused,
        "first_seen": moment(use.first_seen),
        "last_seen": moment(use.last_seen),
    }


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else moment(seconds)
