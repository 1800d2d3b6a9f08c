"""What users look like in requests and answers, to be extended by the application.

Threat: a flag that a client sends for itself and that is taken; a column of ours in an answer.
Source: FastAPI Users' documented schemas; OWASP ASVS 5.0 V15.3.3 (mass assignment).
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, EmailStr

__all__ = [
    "FLAGS",
    "BaseOAuthAccount",
    "BaseOAuthAccountMixin",
    "BaseUser",
    "BaseUserCreate",
    "BaseUserUpdate",
    "extras",
]

ID = TypeVar("ID")
FLAGS = frozenset({"is_active", "is_superuser", "is_verified"})
"""What only superusers change."""

_NOT_EXTRA = FLAGS | {"id", "email", "password", "oauth_accounts"}


class _Dumping(BaseModel):
    def create_update_dict(self) -> dict[str, Any]:
        """Return what was sent, without what only superusers may send."""
        return self.model_dump(exclude_unset=True, exclude={"id", "oauth_accounts", *FLAGS})

    def create_update_dict_superuser(self) -> dict[str, Any]:
        """Return what was sent."""
        return self.model_dump(exclude_unset=True, exclude={"id"})


class BaseUser(_Dumping, Generic[ID]):
    """A user in an answer."""

    model_config = ConfigDict(from_attributes=True)

    id: ID
    email: EmailStr
    is_active: bool = True
    is_superuser: bool = False
    is_verified: bool = False


class BaseOAuthAccount(BaseModel, Generic[ID]):
    """A login elsewhere. Tokens of the provider are not kept: `access_token` is empty."""

    model_config = ConfigDict(from_attributes=True)

    id: ID
    oauth_name: str
    access_token: str
    expires_at: int | None = None
    refresh_token: str | None = None
    account_id: str
    account_email: str


class BaseOAuthAccountMixin(BaseModel):
    """For a schema of users that shows their logins elsewhere."""

    oauth_accounts: list[BaseOAuthAccount[Any]] = []


class BaseUserCreate(_Dumping):
    """Somebody who registers. The flags are understood, and ignored."""

    email: EmailStr
    password: str
    is_active: bool | None = True
    is_superuser: bool | None = False
    is_verified: bool | None = False


class BaseUserUpdate(_Dumping):
    """A change. The flags count for superusers only."""

    password: str | None = None
    email: EmailStr | None = None
    is_active: bool | None = None
    is_superuser: bool | None = None
    is_verified: bool | None = None


def extras(form: BaseModel) -> dict[str, Any]:
    """Return the fields of the application's own that were sent, as JSON has them."""
    return form.model_dump(mode="json", exclude_unset=True, exclude=set(_NOT_EXTRA))
