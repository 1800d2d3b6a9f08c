"""FastAPI Users: a table of users, one of OAuth accounts, and one of tokens in clear.

Threat: an identity that was linked because two addresses were equal (`associate_by_email`), not because both were
    proven; tokens in clear that a copy of the table would carry along.
Source: the models of fastapi-users 15 and fastapi-users-db-sqlalchemy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from rimlock.importers.origin import Layout, basics, everyone
from rimlock.importers.probing import Looked, look
from rimlock.importers.records import Elsewhere, Leftover, Record
from rimlock.importers.values import optional, text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rimlock.importers.probing import Wanted

__all__ = ["USER_COLUMNS", "FastAPIUsers"]

USER_COLUMNS: Mapping[str, Sequence[str]] = {
    "id": ("id",),
    "email": ("email",),
    "password": ("hashed_password",),
    "active": ("is_active",),
    "superuser": ("is_superuser",),
    "verified": ("is_verified",),
    "username": ("username",),
    "display_name": ("display_name", "full_name"),
    "avatar_url": ("avatar_url",),
    "created_at": ("created_at",),
    "locale": ("locale",),
}
REQUIRED = frozenset({"id", "email", "password"})
_USERS = Looked(part="user", names=("user", "users"), columns=USER_COLUMNS, required=REQUIRED)
_OAUTH = Looked(
    part="oauth_account",
    names=("oauth_account", "oauth_accounts", "oauthaccount"),
    columns={
        "user_id": ("user_id",),
        "provider": ("oauth_name",),
        "subject": ("account_id",),
        "email": ("account_email",),
        "token": ("access_token",),
    },
    required=frozenset({"user_id", "provider", "subject"}),
)
_TOKENS = Looked(
    part="accesstoken", names=("accesstoken", "access_token", "accesstokens"), columns={"token": ("token",)}
)


class FastAPIUsers(Layout):
    """Its tables, with and without OAuth."""

    parts: ClassVar = frozenset({"user", "oauth_account", "accesstoken"})
    uuids: ClassVar = True

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        """Look for the tables. Raises ConfigurationError."""
        self._wanted = wanted
        self.users = everyone(connection, wanted, _USERS, self.parts)
        self._oauth = look(connection, wanted, _OAUTH)
        self._tokens = look(connection, wanted, _TOKENS)

    def beside(self, connection: Connection, ids: Sequence[Any]) -> Mapping[str, Mapping[Any, list[dict[str, Any]]]]:
        """Return the OAuth accounts."""
        return {} if self._oauth is None else {"oauth": self._oauth.belonging(connection, "user_id", ids)}

    def record(self, row: dict[str, Any], beside: Mapping[str, list[dict[str, Any]]]) -> Record:
        """Read one person."""
        return Record(
            row=self.row(row),
            password_hash=optional(row["password"]),
            verified=truth_of(row.get("verified"), otherwise=False),
            active=truth_of(row.get("active"), otherwise=True),
            roles=frozenset({"superuser"} if truth_of(row.get("superuser"), otherwise=False) else ()),
            identities=tuple(map(_identity, beside.get("oauth", ()))),
            **basics(row, self._wanted),
        )

    def leftovers(self, connection: Connection) -> list[Leftover]:
        """Count tokens of the library and of providers."""
        found = []
        if self._tokens is not None:
            found.append(Leftover(f"{self._tokens.name}: access tokens in clear", self._tokens.count(connection)))
        if self._oauth is not None:
            name = f"{self._oauth.name}: tokens of providers in clear"
            found.append(Leftover(name, self._oauth.count(connection, "token")))
        return found


def _identity(row: dict[str, Any]) -> Elsewhere:
    """Nothing in the row says whether the address was proven when it was linked: it counts as unproven."""
    provider = text_of(row["provider"])
    subject = text_of(row["subject"])
    if provider == "google":  # it keeps the resource name of Google's People API, `people/` before the subject
        subject = subject.removeprefix("people/")
    return Elsewhere(provider=provider, subject=subject, email=text_of(row.get("email")), verified=False)
