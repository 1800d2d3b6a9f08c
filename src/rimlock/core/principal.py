"""Who a request acts as.

Threat: two places that each work out the identity, and differ.
Source: design section 3; RFC 9068 section 2.2 (claims of an access token).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ANONYMOUS_KIND", "CredentialKind", "Principal"]

CredentialKind = Literal["token", "key", "external"]
"""`token`: an access token of ours; `key`: an API key; `external`: a token of a trusted issuer."""

ANONYMOUS_KIND = "none"
"""How a request without a credential is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The user or key a request acts as.

    `subject`: user id, or `key:<id>` for a key that belongs to a service.
    `user_id`: the account behind it, None for a service key.
    `kind`: what it came with. `credential_id`: session id or key id. `label`: a key's name, for reports.
    `roles`, `permissions`, `scopes`: what it may do; `permissions` follow from the roles by the configured map.
    `auth_time`: when the user last proved who they are, in seconds since the epoch (0 for keys).
    `expires_at`: seconds since the epoch, None for a key without end.
    """

    subject: str
    kind: CredentialKind
    credential_id: str
    user_id: str | None = None
    issuer: str | None = None
    label: str = ""
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    epoch: int = 0
    auth_time: int = 0
    expires_at: int | None = None
