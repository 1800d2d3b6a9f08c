"""Better Auth: users, accounts (a password or a login elsewhere each), sessions in clear, and API keys by digest.

Threat: a second factor that is lost on the way, so that a password alone opens the account; a key with a quota that
    has none afterwards; a column that only some versions have.
Source: the schema of Better Auth 1.7 with its admin, username, two-factor and API key plugins.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from rimlock.crypto.encoding import decode
from rimlock.importers.origin import Layout, basics, everyone
from rimlock.importers.probing import Looked, Probed, look
from rimlock.importers.records import Elsewhere, HeldKey, Leftover, Record
from rimlock.importers.values import moment_of, optional, text_of, truth_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from rimlock.importers.probing import Wanted

__all__ = ["BetterAuth"]

CREDENTIAL = "credential"
PLAIN_ROLE = "user"
_DIGEST_BYTES = 32
_USERS = Looked(
    part="user",
    names=("user", "users"),
    columns={
        "id": ("id",),
        "email": ("email",),
        "verified": ("emailVerified", "email_verified"),
        "display_name": ("name",),
        "avatar_url": ("image",),
        "username": ("username",),
        "shown_username": ("displayUsername", "display_username"),
        "role": ("role",),
        "banned": ("banned",),
        "ban_expires": ("banExpires", "ban_expires"),
        "second_factor": ("twoFactorEnabled", "two_factor_enabled"),
        "created_at": ("createdAt", "created_at"),
        "locale": ("locale",),
    },
    required=frozenset({"id", "email", "verified"}),
)
_ACCOUNTS = Looked(
    part="account",
    names=("account", "accounts"),
    columns={
        "user_id": ("userId", "user_id"),
        "provider": ("providerId", "provider_id"),
        "subject": ("accountId", "account_id"),
        "issuer": ("issuer",),
        "password": ("password",),
        "token": ("accessToken", "access_token"),
    },
    required=frozenset({"user_id", "provider", "subject"}),
)
_SESSIONS = Looked(part="session", names=("session", "sessions"), columns={"token": ("token",)})
_VERIFICATIONS = Looked(part="verification", names=("verification", "verifications"), columns={"value": ("value",)})
_KEYS = Looked(
    part="apikey",
    names=("apikey", "api_key", "apiKey", "apikeys"),
    columns={
        "user_id": ("referenceId", "reference_id", "userId", "user_id"),
        "digest": ("key",),
        "name": ("name",),
        "enabled": ("enabled",),
        "remaining": ("remaining",),
        "expires_at": ("expiresAt", "expires_at"),
        "permissions": ("permissions",),
    },
    required=frozenset({"user_id", "digest"}),
)


class BetterAuth(Layout):
    """Its tables, whichever plugins were there."""

    parts: ClassVar = frozenset({"user", "account", "session", "verification", "apikey"})

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        """Look for the tables. Raises ConfigurationError."""
        self._wanted = wanted
        self.users = everyone(connection, wanted, _USERS, self.parts)
        self._accounts = look(connection, wanted, _ACCOUNTS)
        self._keys = look(connection, wanted, _KEYS)
        self._secrets = [look(connection, wanted, one) for one in (_SESSIONS, _VERIFICATIONS)]

    def beside(self, connection: Connection, ids: Sequence[Any]) -> Mapping[str, Mapping[Any, list[dict[str, Any]]]]:
        """Return accounts and keys."""
        tables: dict[str, Probed | None] = {"accounts": self._accounts, "keys": self._keys}
        return {
            part: table.belonging(connection, "user_id", ids) for part, table in tables.items() if table is not None
        }

    def name(self, row: dict[str, Any]) -> str | None:
        """Return the username as it is shown, where it is the same name."""
        plain, shown = optional(row.get("username")), optional(row.get("shown_username"))
        return shown if plain and shown and shown.lower() == plain.lower() else plain

    def record(self, row: dict[str, Any], beside: Mapping[str, list[dict[str, Any]]]) -> Record:
        """Read one person."""
        accounts = beside.get("accounts", [])
        hashes = [text_of(one["password"]) for one in accounts if _is_password(one) and one.get("password")]
        keys, notes = _held(beside.get("keys", []))
        verified = truth_of(row["verified"], otherwise=False)
        proven = verified and not hashes
        return Record(
            row=self.row(row),
            password_hash=hashes[0] if hashes else None,
            verified=verified,
            active=not truth_of(row.get("banned"), otherwise=False),
            inactive_until=moment_of(row.get("ban_expires")),
            roles=_roles(row),
            second_factor=truth_of(row.get("second_factor"), otherwise=False),
            identities=tuple(_identity(one, row, proven=proven) for one in accounts if not _is_password(one)),
            keys=keys,
            notes=notes,
            **basics(row | {"username": self.name(row)}, self._wanted),
        )

    def leftovers(self, connection: Connection) -> list[Leftover]:
        """Count sessions, verification values and tokens of providers."""
        found = [Leftover(f"{one.name}: in clear", one.count(connection)) for one in self._secrets if one is not None]
        if self._accounts is not None:
            name = f"{self._accounts.name}: tokens of providers in clear"
            found.append(Leftover(name, self._accounts.count(connection, "token")))
        return found


def _is_password(account: dict[str, Any]) -> bool:
    return text_of(account["provider"]) == CREDENTIAL


def _roles(row: dict[str, Any]) -> frozenset[str]:
    named = {one.strip() for one in text_of(row.get("role")).split(",")}
    return frozenset(named - {"", PLAIN_ROLE})


def _identity(account: dict[str, Any], row: dict[str, Any], *, proven: bool) -> Elsewhere:
    """`proven`: the address is verified, and nobody can have chosen a password before it was."""
    return Elsewhere(
        provider=text_of(account["provider"]),
        subject=text_of(account["subject"]),
        issuer=text_of(account.get("issuer")),
        email=text_of(row["email"]),
        verified=proven,
    )


def _held(rows: list[dict[str, Any]]) -> tuple[tuple[HeldKey, ...], tuple[str, ...]]:
    found, notes = [], []
    for row in rows:
        if not truth_of(row.get("enabled"), otherwise=True):
            notes.append("key_disabled")
        elif row.get("remaining") is not None:
            notes.append("key_with_quota")
        else:
            key = _key(row)
            found += [key] if key else []
            notes += [] if key else ["key_unreadable"]
    return tuple(found), tuple(notes)


def _key(row: dict[str, Any]) -> HeldKey | None:
    try:
        digest = decode(text_of(row["digest"]))
        scopes = _scopes(row.get("permissions"))
    except ValueError:
        return None
    if len(digest) != _DIGEST_BYTES or (row.get("expires_at") is not None and moment_of(row["expires_at"]) is None):
        return None
    ends = moment_of(row.get("expires_at"))
    return HeldKey(digest=digest.hex(), hint="…", name=text_of(row.get("name")), scopes=scopes, expires_at=ends)


def _scopes(permissions: Any) -> frozenset[str]:
    """Return `{"files": ["read"]}` as `files:read`. Raises ValueError for what is something else."""
    held = json.loads(permissions) if isinstance(permissions, str) and permissions else permissions
    if not held:
        return frozenset()
    if not isinstance(held, dict) or not all(isinstance(acts, list) for acts in held.values()):
        raise ValueError("permissions are lists by area")
    return frozenset(f"{area}:{act}" for area, acts in held.items() for act in acts)
