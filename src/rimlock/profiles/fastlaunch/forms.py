"""What the dialect takes and gives.

Threat: a field that was never offered and is changed all the same.
Source: the LAUNCH contract; OWASP ASVS 5.0 V15.3.3.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "DetailAnswer",
    "EmailForm",
    "ExchangeForm",
    "MessageAnswer",
    "NewUserForm",
    "RefreshForm",
    "ResetForm",
    "TripleAnswer",
    "UpdateForm",
    "UserAnswer",
]

Email = Annotated[str, Field(max_length=320)]
Password = Annotated[str, Field(max_length=4096, repr=False, json_schema_extra={"format": "password"})]
Secret = Annotated[str, Field(max_length=4096, repr=False)]
Text = Annotated[str | None, Field(max_length=2000)]


class NewUserForm(BaseModel):
    """Somebody new. `invitation`: where one is needed."""

    username: Annotated[str, Field(min_length=1, max_length=64)]
    email: Email
    password: Annotated[Password, Field(min_length=8)]
    invitation: Annotated[str | None, Field(max_length=100, repr=False)] = None


class RefreshForm(BaseModel):
    """A refresh token."""

    refresh_token: Secret


class EmailForm(BaseModel):
    """Whose link to mail."""

    email: Email


class ResetForm(BaseModel):
    """The secret of a link, and the password to have."""

    token: Secret
    new_password: Annotated[Password, Field(min_length=8)]


class ExchangeForm(BaseModel):
    """The one-time code of the address, for tokens; the verifier, where the sign-in began with a challenge."""

    code: Annotated[str, Field(max_length=200, repr=False)]
    code_verifier: Annotated[str, Field(max_length=128, repr=False)] = ""


class UpdateForm(BaseModel):
    """What people change about themselves. Others are taken in so that the refusal can name them."""

    model_config = ConfigDict(extra="allow")

    display_name: Annotated[str | None, Field(max_length=200)] = None
    bio: Text = None
    niche_preference: Text = None
    avatar_url: Text = None

    def sent(self) -> dict[str, Any]:
        """Return what was sent, and nothing that was not."""
        known = {name: getattr(self, name) for name in self.model_fields_set if name in type(self).model_fields}
        return known | (self.model_extra or {})


class MessageAnswer(BaseModel):
    """One sentence."""

    message: str


class DetailAnswer(BaseModel):
    """One sentence."""

    detail: str


class UserAnswer(BaseModel):
    """Who is signed in. `is_oauth`: by other services alone."""

    id: int | str
    username: str | None
    email: str
    is_verified: bool
    is_oauth: bool


class TripleAnswer(BaseModel):
    """Tokens."""

    access_token: str
    refresh_token: str
    token_type: str
