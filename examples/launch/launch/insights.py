"""What people pay for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request

from rimlock import CurrentUser, Rimlock, User
from rimlock.features.subscription import logic as subscription

PAYING = {"trialing", "active"}
router = APIRouter()


async def on_pro(request: Request, user: CurrentUser) -> User:
    """Return who is signed in and pays for it; 402 for everybody else."""
    found = await subscription.read(Rimlock.of(request.app).context, user.id)
    if found.plan_id != "pro" or found.status not in PAYING:
        raise HTTPException(402, "Insights are part of the plan pro.")
    return user


@router.get("/insights")
async def insights(user: Annotated[User, Depends(on_pro)]) -> dict[str, object]:
    """Return what is in demand."""
    niche = user.profile.get("niche_preference") or "everything"
    return {"for": user.username, "niche": niche, "trend": [3, 5, 8]}
