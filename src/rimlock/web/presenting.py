"""What a user and a set of tokens look like in an answer, wherever they appear.

Threat: a column that was added for us alone and shows up in an answer; an address shown to strangers.
Source: OWASP ASVS 5.0 V14.2.6, V15.3.1 (only the fields that are needed); RFC 6749 section 5.1; RFC 3339 (times).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from rimlock.core.accounts import Account
    from rimlock.core.users import User

__all__ = ["TokenAnswer", "UserAnswer", "moment", "user_fields"]


class UserAnswer(BaseModel):
    """A user, as they see themselves."""

    id: str
    email: str
    username: str | None
    display_name: str
    avatar_url: str
    profile: dict[str, Any]
    verified: bool
    created_at: str


class TokenAnswer(BaseModel):
    """Tokens, as RFC 6749 section 5.1 has them. What travels in cookies is absent.

    `device_token`: after a sign-in; sent along with the next one, it keeps others from locking this device out.
    """

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    refresh_token: str | None = None
    refresh_expires_in: int | None = None
    device_token: str | None = None


def user_fields(user: User, account: Account) -> dict[str, Any]:
    """Return the fields of UserAnswer."""
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "display_name": user.display_name,
        "avatar_url": user.avatar_url,
        "profile": dict(user.profile),
        "verified": account.verified,
        "created_at": moment(user.created_at),
    }


def moment(seconds: int) -> str:
    """Return seconds since the epoch as RFC 3339 UTC text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
