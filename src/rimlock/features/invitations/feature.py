"""The plug of invitations.

Threat: none of its own; it hands out routes that each ask for an administrator.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rimlock.core.accounts import AccountApproved
from rimlock.feature import Feature
from rimlock.features.invitations.logic import on_approved
from rimlock.features.invitations.messages import KINDS
from rimlock.features.invitations.routes import invitation_routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import APIRouter

    from rimlock.core.events import Event
    from rimlock.core.messages import MessageKind
    from rimlock.feature import Context, Reaction

__all__ = ["InvitationsFeature"]


class InvitationsFeature(Feature):
    """`/admin/invitations`, for administrators, and the mails to who is invited or let in."""

    name = "invitations"

    def routes(self, context: Context) -> APIRouter:
        """Return the routes."""
        return invitation_routes(context)

    def messages(self) -> Sequence[MessageKind]:
        """Return the mails."""
        return KINDS

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:
        """Tell who waited, in the transaction that lets them in."""
        return {AccountApproved: partial(on_approved, context)}
