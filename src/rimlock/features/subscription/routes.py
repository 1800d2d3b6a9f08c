"""`/subscription` and `/admin/users/{user_id}/subscription`.

Threat: a plan that somebody gives themselves; one user's customer number shown to another.
Source: OWASP ASVS 5.0 V8.2.1, V8.2.2, V14.2.6, V15.3.3; design section 7.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Path
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rimlock.core.access import Requirement
from rimlock.core.principal import Principal
from rimlock.features.subscription import logic
from rimlock.web.dependencies import require
from rimlock.web.mounting import own_router
from rimlock.web.presenting import moment

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context

__all__ = ["subscription_routes"]

FRESH_SECONDS = 15 * 60

ADMINISTRATOR = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}))
FRESH = Requirement(credentials=frozenset({"token"}), any_role=frozenset({"admin"}), fresh=FRESH_SECONDS)

SignedIn = Annotated[Principal, require(Requirement(credentials=frozenset({"token"})))]
Administrator = Annotated[Principal, require(ADMINISTRATOR)]
FreshAdministrator = Annotated[Principal, require(FRESH)]
UserId = Annotated[str, Path(max_length=64)]
Reference = Annotated[str | None, Field(min_length=1, max_length=255)]
Moment = Annotated[AwareDatetime | None, Field(strict=False)]
"""JSON has no type for times: strictly, no text could be one."""


class SubscriptionForm(BaseModel):
    """All of a subscription. What is left out, or null, is taken away. Times are ISO 8601 with an offset."""

    model_config = ConfigDict(extra="forbid", strict=True)

    customer_id: Reference = None
    plan_id: Reference = None
    subscription_id: Reference = None
    status: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    last_renewal: Moment = None
    next_renewal: Moment = None

    def subscription(self) -> logic.Subscription:
        """Return it as it is kept."""
        return logic.Subscription(
            customer_id=self.customer_id,
            plan_id=self.plan_id,
            subscription_id=self.subscription_id,
            status=self.status,
            last_renewal=_seconds(self.last_renewal),
            next_renewal=_seconds(self.next_renewal),
        )


class SubscriptionAnswer(BaseModel):
    """What the payment provider knows. Times are ISO 8601 in UTC; null where nothing is known."""

    customer_id: str | None
    plan_id: str | None
    subscription_id: str | None
    status: str | None
    last_renewal: str | None
    next_renewal: str | None


def subscription_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = own_router(tags=["subscription"])

    @router.get("/subscription", response_model=SubscriptionAnswer, summary="See your subscription")
    async def own(principal: SignedIn) -> dict[str, Any]:
        return _shown(await logic.read(context, principal.user_id or ""))

    place = "/admin/users/{user_id}/subscription"

    @router.get(place, response_model=SubscriptionAnswer, summary="See the subscription of a user")
    async def see(user_id: UserId, _: Administrator) -> dict[str, Any]:
        return _shown(await logic.read(context, user_id))

    @router.put(place, response_model=SubscriptionAnswer, summary="Write down the subscription of a user")
    async def write(user_id: UserId, form: SubscriptionForm, principal: FreshAdministrator) -> dict[str, Any]:
        return _shown(await logic.replace(context, user_id, form.subscription(), by=principal))

    return router


def _shown(found: logic.Subscription) -> dict[str, Any]:
    fields = {name: getattr(found, name) for name in SubscriptionAnswer.model_fields}
    times = {name: None if fields[name] is None else moment(fields[name]) for name in ("last_renewal", "next_renewal")}
    return fields | times


def _seconds(value: datetime | None) -> int | None:
    return None if value is None else int(value.timestamp())
