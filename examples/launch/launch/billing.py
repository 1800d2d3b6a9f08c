"""What the payment provider tells us, and what the owner of a plan sees of it.

The provider signs each notice with a secret that both know. It sends a notice again until it is answered, and two
notices may overtake each other: `put` takes both.
"""

from __future__ import annotations

import hmac
import os
from hashlib import sha256
from typing import Annotated, Literal

from fastapi import APIRouter, Header, HTTPException, Request
from pydantic import BaseModel, ValidationError

from rimlock import AuthError, CurrentUser, Rimlock
from rimlock.features.subscription import logic as subscription

TAKEN = 65_536
router = APIRouter()


class Notice(BaseModel):
    """What happened to a subscription, and when. `user_id` is what the checkout was begun with."""

    created: int
    user_id: str | None = None
    customer_id: str
    subscription_id: str
    plan_id: str
    status: Literal["trialing", "active", "past_due", "canceled"]
    last_renewal: int | None = None
    next_renewal: int | None = None


@router.get("/billing")
async def billing(request: Request, user: CurrentUser) -> dict[str, object]:
    """Return what the owner of a plan wants to know of it."""
    found = await subscription.read(Rimlock.of(request.app).context, user.id)
    return {"plan": found.plan_id or "free", "status": found.status, "next_renewal": found.next_renewal}


@router.post("/billing/webhook")
async def webhook(request: Request, signature: Annotated[str, Header(alias="X-Signature")] = "") -> dict[str, str]:
    """Take a notice of the payment provider."""
    body = await request.body()
    if len(body) > TAKEN or not _genuine(body, signature):
        raise HTTPException(400, "This notice is not from our payment provider.")
    return {"status": await _taken(Rimlock.of(request.app), body)}


def _genuine(body: bytes, signature: str) -> bool:
    secret = os.environ.get("LAUNCH_WEBHOOK_SECRET", "")
    expected = hmac.new(secret.encode(), body, sha256).hexdigest()
    return bool(secret) and hmac.compare_digest(expected.encode(), signature.encode())


async def _taken(auth: Rimlock, body: bytes) -> str:
    """Write the notice down; "unknown" for a customer whom nobody here is, which trying again would not change."""
    try:
        notice = Notice.model_validate_json(body)
    except ValidationError:
        raise HTTPException(400, "This notice cannot be read.") from None
    user_id = notice.user_id or await subscription.of_customer(auth.context, notice.customer_id)
    known = notice.model_dump(exclude={"created", "user_id"}, exclude_unset=True)
    try:
        await subscription.put(auth.context, user_id or "", as_of=notice.created, **known)
    except AuthError as error:
        if error.status < 500:
            return "unknown"
        raise HTTPException(503, "Try again later.") from None
    return "taken"
