"""FastLaunchAPI: one table with everything in it, logins elsewhere and the subscription among it.

Threat: `google_sub` was written wherever the addresses were equal, proven or not; reset and verification tokens lie
    in the table in clear.
Source: the documented `User` model of FastLaunchAPI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rimlock.importers.layouts.fastapi_users import USER_COLUMNS
from rimlock.importers.origin import Layout, basics, everyone
from rimlock.importers.probing import Looked
from rimlock.importers.records import Billing, Elsewhere, Leftover, Record
from rimlock.importers.values import moment_of, optional, text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from rimlock.importers.probing import Wanted

__all__ = ["FastLaunch"]

_PROVIDERS = {"google": ("google_sub",), "facebook": ("facebook_id",), "github": ("github_id",)}
_BILLING = ("customer_id", "plan_id", "subscription_id")
_RENEWALS = {"last_renewal": "subscription_last_renew", "next_renewal": "subscription_next_renew"}
_SECRETS = ("verification_token", "reset_token")
_USERS = Looked(
    part="user",
    names=("users", "user"),
    columns={
        **USER_COLUMNS,
        "superuser": ("is_admin", "is_superuser"),
        "status": ("subscription_status",),
        **_PROVIDERS,
        **{name: (name,) for name in (*_BILLING, *_SECRETS, *_RENEWALS.values())},
    },
    required=frozenset({"id", "email", "username", "password"}),
)


class FastLaunch(Layout):
    """Its table."""

    parts: ClassVar = frozenset({"user"})

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        """Look for the table. Raises ConfigurationError."""
        self._wanted = wanted
        self.users = everyone(connection, wanted, _USERS, self.parts)

    def record(self, row: dict[str, Any], beside: Mapping[str, list[dict[str, Any]]]) -> Record:  # noqa: ARG002 - nothing is
        """Read one person."""
        billing, notes = _billing(row)
        return Record(
            row=self.row(row),
            password_hash=optional(row["password"]),
            verified=truth_of(row.get("verified"), otherwise=False),
            active=truth_of(row.get("active"), otherwise=True),
            roles=frozenset({"superuser"} if truth_of(row.get("superuser"), otherwise=False) else ()),
            identities=tuple(
                Elsewhere(provider=name, subject=text_of(row[name]), email=text_of(row["email"]))
                for name in _PROVIDERS
                if row.get(name)
            ),
            billing=billing,
            notes=notes,
            **basics(row, self._wanted),
        )

    def leftovers(self, connection: Connection) -> list[Leftover]:
        """Count the tokens in clear."""
        return [
            Leftover(f"{self.users.name}.{self.users.columns[name]}: in clear", self.users.count(connection, name))
            for name in _SECRETS
            if self.users.has(name)
        ]


def _billing(row: dict[str, Any]) -> tuple[Billing | None, tuple[str, ...]]:
    """Read the subscription as it stands; a renewal that is no moment is left out, and that is said."""
    renewals = {ours: moment_of(row.get(theirs)) for ours, theirs in _RENEWALS.items()}
    lost = any(row.get(theirs) and renewals[ours] is None for ours, theirs in _RENEWALS.items())
    found = Billing(
        customer_id=optional(row.get("customer_id")),
        plan_id=optional(row.get("plan_id")),
        subscription_id=optional(row.get("subscription_id")),
        status=optional(row.get("status")),
        last_renewal=renewals["last_renewal"],
        next_renewal=renewals["next_renewal"],
    )
    return None if found == Billing() else found, ("renewal_unreadable",) if lost else ()
