"""A user as the application knows them, and what the dialect does with accounts: see rimlock.profiles.people.

Threat: an attribute that shows more of a user than the application ever had.
Source: FastAPI Users' documented user protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rimlock.core.accounts import ADMIN
from rimlock.profiles.ids import shown
from rimlock.profiles.people import FRESH_SECONDS, Change, change, delete, load, require_recent

if TYPE_CHECKING:
    from rimlock.core.registering import Known
    from rimlock.profiles.ids import Ids

__all__ = ["FRESH_SECONDS", "Change", "Member", "change", "delete", "load", "require_recent"]


class Member:
    """A user, with the attributes that the application knows: those of the dialect, and fields of its own."""

    def __init__(self, known: Known, ids: Ids) -> None:
        """Take the fields from a user and their standing. Raises ValueError for an id of another form."""
        user, account = known.user, known.account
        self.__dict__.update(user.profile)
        self.id: Any = shown(user.id, ids)
        self.email = user.email
        self.is_active = account.active and not account.waiting
        self.is_superuser = ADMIN in account.roles
        self.is_verified = account.verified
        self.oauth_accounts: list[Any] = []

    def __repr__(self) -> str:
        """Name the user by their id alone."""
        return f"<user {self.id}>"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Fields of the application's own."""
