"""What the dialect takes and gives. The names of the classes are those that generated clients know.

Threat: a field that was never offered and is changed all the same; a secret in a representation.
Source: full-stack-fastapi-template (2026-08-21), `models.py`; OWASP ASVS 5.0 V15.3.3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, EmailStr, Field

__all__ = [
    "Message",
    "NewPassword",
    "Token",
    "UpdatePassword",
    "UserCreate",
    "UserPublic",
    "UserRegister",
    "UserUpdate",
    "UserUpdateMe",
    "UsersPublic",
]

Email = Annotated[EmailStr, Field(max_length=255)]
Name = Annotated[str | None, Field(max_length=255)]
Password = Annotated[str, Field(min_length=8, max_length=128, repr=False)]


class UserRegister(BaseModel):
    """Somebody who registers. `invitation`: where one is needed."""

    email: Email
    password: Password
    full_name: Name = None
    invitation: Annotated[str | None, Field(max_length=100, repr=False)] = None


class UserCreate(BaseModel):
    """Somebody whom a superuser makes an account for."""

    email: Email
    is_active: bool = True
    is_superuser: bool = False
    full_name: Name = None
    password: Password


class UserUpdate(BaseModel):
    """What a superuser changes about somebody; what is not sent stays."""

    email: Email | None = None
    is_active: bool | None = None
    is_superuser: bool | None = None
    full_name: Name = None
    password: Annotated[str | None, Field(min_length=8, max_length=128, repr=False)] = None


class UserUpdateMe(BaseModel):
    """What people change about themselves; what is not sent stays."""

    full_name: Name = None
    email: Email | None = None


class UpdatePassword(BaseModel):
    """Another password, and the one until now."""

    current_password: Password
    new_password: Password


class NewPassword(BaseModel):
    """The secret of a link, and the password to have."""

    token: Annotated[str, Field(max_length=4096, repr=False)]
    new_password: Password


class UserPublic(BaseModel):
    """A user, as the dialect shows them."""

    email: str
    is_active: bool = True
    is_superuser: bool = False
    full_name: str | None = None
    id: UUID
    created_at: datetime | None = None


class UsersPublic(BaseModel):
    """A page of users, and how many there are."""

    data: list[UserPublic]
    count: int


class Token(BaseModel):
    """The answer to a sign-in."""

    access_token: str
    token_type: str = "bearer"


class Message(BaseModel):
    """One sentence."""

    message: str
