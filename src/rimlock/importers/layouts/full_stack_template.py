"""The full-stack FastAPI template: one table of users, no verification, no logins elsewhere.

Threat: an address that counts as proven here although nobody asked for a proof there.
Source: the `User` model of full-stack-fastapi-template.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rimlock.importers.layouts.fastapi_users import REQUIRED, USER_COLUMNS
from rimlock.importers.origin import Layout, basics, everyone
from rimlock.importers.probing import Looked
from rimlock.importers.records import Record
from rimlock.importers.values import optional, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from rimlock.importers.probing import Wanted

__all__ = ["FullStackTemplate"]

_COLUMNS = {name: usual for name, usual in USER_COLUMNS.items() if name != "verified"}
_USERS = Looked(
    part="user", names=("user", "users"), columns=_COLUMNS | {"display_name": ("full_name",)}, required=REQUIRED
)


class FullStackTemplate(Layout):
    """Its table."""

    parts: ClassVar = frozenset({"user"})
    uuids: ClassVar = True

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        """Look for the table. Raises ConfigurationError."""
        self._wanted = wanted
        self.users = everyone(connection, wanted, _USERS, self.parts)

    def record(self, row: dict[str, Any], beside: Mapping[str, list[dict[str, Any]]]) -> Record:  # noqa: ARG002 - nothing is
        """Read one person."""
        return Record(
            row=self.row(row),
            password_hash=optional(row["password"]),
            active=truth_of(row.get("active"), otherwise=True),
            roles=frozenset({"superuser"} if truth_of(row.get("superuser"), otherwise=False) else ()),
            **basics(row, self._wanted),
        )
