"""What any source is read as: one person with what belongs to them, and why a row is none.

Threat: a hash or an address that a representation, and so a log or a report, repeats.
Source: OWASP ASVS 5.0 V14.2.4 (sensitive data in logs); design section 3 (values are frozen).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Billing", "Elsewhere", "HeldKey", "Leftover", "Name", "Record", "RowUnfit", "Unfit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A login by another system. Without `issuer` the provider says which it is.

    `verified`: whether the source linked it on an address that was proven to it.
    """

    provider: str
    subject: str = field(repr=False)
    issuer: str = ""
    email: str = field(default="", repr=False)
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """What a payment provider knows of somebody. Times are seconds since the epoch."""

    customer_id: str | None = None
    plan_id: str | None = None
    subscription_id: str | None = None
    status: str | None = None
    last_renewal: int | None = None
    next_renewal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldKey:
    """An API key by the SHA-256 digest of its text, in hexadecimal."""

    digest: str = field(repr=False)
    hint: str
    name: str
    scopes: frozenset[str] = frozenset()
    expires_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One person as the source has them. `row`: the id there. `roles`: by the names of the source.

    `inactive_until`: when somebody who is not active is again, in seconds since the epoch.
    `notes`: what could not be brought along, by stable words.
    """

    row: str
    email: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    display_name: str = field(default="", repr=False)
    avatar_url: str = field(default="", repr=False)
    profile: Mapping[str, Any] = field(default_factory=dict, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    verified: bool = False
    active: bool = True
    inactive_until: int | None = None
    roles: frozenset[str] = frozenset()
    created_at: int | None = None
    locale: str | None = None
    second_factor: bool = False
    identities: tuple[Elsewhere, ...] = ()
    billing: Billing | None = None
    keys: tuple[HeldKey, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that is not taken over, and why, by a stable word. `others`: rows of the source it collides with."""

    row: str
    reason: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """What tells a person apart from others in the source."""

    row: str
    email: str = field(repr=False)
    username: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """Secrets of the source that are not taken over, and should be made worthless there."""

    what: str
    rows: int


class RowUnfit(Exception):
    """A row of the source cannot be read. `reason` is a stable word; nothing of the row is in it."""

    def __init__(self, reason: str) -> None:
        """Carry the word."""
        self.reason = reason
        super().__init__(reason)
