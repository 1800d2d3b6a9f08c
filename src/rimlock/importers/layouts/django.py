"""Django: users with groups and, where django-allauth is there, addresses, logins elsewhere and second factors.

Threat: an unusable password (`!…`) that is read as a hash; a group that is called like a flag; a lost second factor.
Source: `django.contrib.auth` models; django-allauth `account`, `socialaccount` and `mfa`; django-otp.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from rimlock.importers.origin import Layout, basics, everyone
from rimlock.importers.probing import Looked, Probed, look
from rimlock.importers.records import Elsewhere, Leftover, Record
from rimlock.importers.values import optional, text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rimlock.importers.probing import Wanted

__all__ = ["Django"]

UNUSABLE = "!"
_OWNED = {"user_id": ("user_id",)}
_USERS = Looked(
    part="user",
    names=("auth_user",),
    columns={
        "id": ("id",),
        "email": ("email",),
        "password": ("password",),
        "username": ("username",),
        "display_name": ("display_name", "name"),
        "first_name": ("first_name",),
        "last_name": ("last_name",),
        "active": ("is_active",),
        "superuser": ("is_superuser",),
        "staff": ("is_staff",),
        "created_at": ("date_joined",),
        "avatar_url": ("avatar_url",),
        "locale": ("locale", "language"),
    },
    required=frozenset({"id", "email", "password"}),
)
_GROUPS = Looked(part="group", names=("auth_group",), columns={"id": ("id",), "name": ("name",)})
_BESIDE = {
    "emails": Looked(
        part="email",
        names=("account_emailaddress",),
        columns=_OWNED | {"email": ("email",), "verified": ("verified",)},
        required=frozenset({"user_id", "email", "verified"}),
    ),
    "social": Looked(
        part="social",
        names=("socialaccount_socialaccount",),
        columns=_OWNED | {"provider": ("provider",), "subject": ("uid",), "facts": ("extra_data",)},
        required=frozenset({"user_id", "provider", "subject"}),
    ),
    "factors": Looked(part="factor", names=("mfa_authenticator", "otp_totp_totpdevice"), columns=_OWNED),
}
_SECRETS = (
    Looked(part="session", names=("django_session",), columns={"token": ("session_key",)}),
    Looked(part="token", names=("authtoken_token",), columns={"token": ("key",)}),
    Looked(part="social_token", names=("socialaccount_socialtoken",), columns={"token": ("token",)}),
)


class Django(Layout):
    """Its tables; those of a user model of the project's own by `--table user=…`."""

    parts: ClassVar = frozenset(
        {"user", "group", "user_groups", "email", "social", "factor", "session", "token", "social_token"}
    )

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        """Look for the tables. Raises ConfigurationError."""
        self._wanted = wanted
        self.users = everyone(connection, wanted, _USERS, self.parts)
        self._groups = look(connection, wanted, _GROUPS)
        self._members = look(connection, wanted, _members(self.users.name))
        self._beside = {part: look(connection, wanted, one) for part, one in _BESIDE.items()}
        self._secrets = [look(connection, wanted, one) for one in _SECRETS]

    def beside(self, connection: Connection, ids: Sequence[Any]) -> Mapping[str, Mapping[Any, list[dict[str, Any]]]]:
        """Return groups, addresses, logins elsewhere and second factors."""
        tables = {part: table for part, table in self._beside.items() if table is not None and table.has("user_id")}
        found: dict[str, Mapping[Any, list[dict[str, Any]]]]
        found = {part: table.belonging(connection, "user_id", ids) for part, table in tables.items()}
        if self._groups is not None and self._members is not None:
            found["groups"] = _named(connection, self._members, self._groups, ids)
        return found

    def record(self, row: dict[str, Any], beside: Mapping[str, list[dict[str, Any]]]) -> Record:
        """Read one person."""
        stored, email = text_of(row["password"]), text_of(row["email"])
        proven = {
            text_of(one["email"]).lower()
            for one in beside.get("emails", ())
            if truth_of(one["verified"], otherwise=False)
        }
        return Record(
            row=self.row(row),
            password_hash=None if stored.startswith(UNUSABLE) else stored or None,
            verified=email.lower() in proven,
            active=truth_of(row.get("active"), otherwise=True),
            roles=_roles(row, beside.get("groups", ())),
            second_factor=bool(beside.get("factors")),
            identities=tuple(_identity(one, email) for one in beside.get("social", ())),
            **(basics(row, self._wanted) | {"display_name": _shown(row), "username": _username(row)}),
        )

    def name(self, row: dict[str, Any]) -> str | None:
        """Return the username."""
        return _username(row)

    def leftovers(self, connection: Connection) -> list[Leftover]:
        """Count sessions, and tokens in clear."""
        return [Leftover(f"{one.name}: in clear", one.count(connection)) for one in self._secrets if one is not None]


def _members(users: str) -> Looked:
    """A project's own model has its own table of memberships, with a column called like the model."""
    model = users.rpartition("_")[2]
    owner = ("user_id", f"{model}_id", "customuser_id")
    columns = {"user_id": owner, "group_id": ("group_id",)}
    return Looked(
        part="user_groups", names=(f"{users}_groups",), columns=columns, required=frozenset({"user_id", "group_id"})
    )


def _named(
    connection: Connection, members: Probed, groups: Probed, ids: Sequence[Any]
) -> dict[Any, list[dict[str, Any]]]:
    belonging = members.belonging(connection, "user_id", ids)
    wanted = {row["group_id"] for rows in belonging.values() for row in rows}
    named = groups.belonging(connection, "id", sorted(wanted))
    return {user: [one for row in rows for one in named.get(row["group_id"], ())] for user, rows in belonging.items()}


def _roles(row: dict[str, Any], groups: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Groups are named `group:…`, so that none can be called like a flag."""
    flags = {name for name in ("superuser", "staff") if truth_of(row.get(name), otherwise=False)}
    return frozenset(flags | {f"group:{text_of(one['name'])}" for one in groups})


def _shown(row: dict[str, Any]) -> str:
    whole = f"{text_of(row.get('first_name'))} {text_of(row.get('last_name'))}".strip()
    return text_of(row.get("display_name")) or whole


def _username(row: dict[str, Any]) -> str | None:
    """Return the username, None where the address stands in its place."""
    found = optional(row.get("username"))
    return None if found is None or found.lower() == text_of(row["email"]).lower() else found


def _identity(row: dict[str, Any], email: str) -> Elsewhere:
    facts = _facts(row.get("facts"))
    theirs = text_of(facts.get("email"))
    proven = facts.get("email_verified") is True or facts.get("verified_email") is True
    return Elsewhere(
        provider=text_of(row["provider"]),
        subject=text_of(row["subject"]),
        email=theirs or email,
        verified=proven and theirs.lower() == email.lower(),
    )


def _facts(held: Any) -> dict[str, Any]:
    try:
        found = json.loads(held) if isinstance(held, str | bytes) else held
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
