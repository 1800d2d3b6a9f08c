"""What administrators may do to accounts. Commands do the same, with nobody to look at: `by` is None then."""

from __future__ import annotations

from rimlock.features.admin.logic.changing import (
    approve,
    delete,
    disable,
    enable,
    end_session,
    end_sessions,
    reject,
    set_roles,
    unlock,
)
from rimlock.features.admin.logic.finding import Details, Page, Seen, Sought, details, page, sessions_of
from rimlock.features.admin.logic.giving import Temporary, create, invite, temporary_password

__all__ = [
    "Details",
    "Page",
    "Seen",
    "Sought",
    "Temporary",
    "approve",
    "create",
    "delete",
    "details",
    "disable",
    "enable",
    "end_session",
    "end_sessions",
    "invite",
    "page",
    "reject",
    "sessions_of",
    "set_roles",
    "temporary_password",
    "unlock",
]
