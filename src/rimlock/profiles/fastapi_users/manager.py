"""The manager that applications extend: hooks, how ids are read, and their own rule for passwords.

Threat: a hook that runs before what it tells of is true, or whose time tells strangers something.
Source: FastAPI Users' documented user manager.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

from rimlock.profiles.fastapi_users.codes import InvalidID

if TYPE_CHECKING:
    from pydantic import SecretStr
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["BaseUserManager", "IntegerIDMixin", "UUIDIDMixin", "overrides"]

UP = TypeVar("UP")
ID = TypeVar("ID")


class BaseUserManager(Generic[UP, ID]):
    """What an application does when something happened to a user. Every hook is called after the commit.

    `reset_password_token_secret`, `verification_token_secret`: as applications set them; links are Rimlock's own now. A
    hook `on_after_forgot_password` or `on_after_request_verify` of the application's own takes the place
    of the mail that Rimlock would send.
    """

    reset_password_token_secret: str | SecretStr | None = None
    verification_token_secret: str | SecretStr | None = None

    def __init__(self, user_db: Any = None, password_helper: Any = None) -> None:
        """Take what the application passes; neither is used here."""
        self.user_db = user_db
        self.password_helper = password_helper

    async def validate_password(self, password: str, user: Any) -> None:
        """Raise InvalidPasswordException for a password the application does not want. Its policy is asked as well."""

    async def on_after_register(self, user: UP, request: Request | None = None) -> None:
        """Somebody registered."""

    async def on_after_update(self, user: UP, update_dict: dict[str, Any], request: Request | None = None) -> None:
        """A user was changed; `update_dict`: what was sent, without a password."""

    async def on_after_login(self, user: UP, request: Request | None = None, response: Response | None = None) -> None:
        """A user signed in."""

    async def on_after_request_verify(self, user: UP, token: str, request: Request | None = None) -> None:
        """A link that proves the address is to be mailed. Called after the answer."""

    async def on_after_verify(self, user: UP, request: Request | None = None) -> None:
        """A user proved the address."""

    async def on_after_forgot_password(self, user: UP, token: str, request: Request | None = None) -> None:
        """A link to choose another password is to be mailed. Called after the answer."""

    async def on_after_reset_password(self, user: UP, request: Request | None = None) -> None:
        """A user chose another password by a link."""

    async def on_before_delete(self, user: UP, request: Request | None = None) -> None:
        """A user is about to be deleted; raise to keep them."""

    async def on_after_delete(self, user: UP, request: Request | None = None) -> None:
        """A user was deleted."""


class UUIDIDMixin:
    """Users are known by UUID."""

    ids = "uuid"

    def parse_id(self, value: Any) -> UUID:
        """Return the id. Raises InvalidID."""
        try:
            return value if isinstance(value, UUID) else UUID(value)
        except (ValueError, TypeError, AttributeError):
            raise InvalidID from None


class IntegerIDMixin:
    """Users are known by number."""

    ids = "int"

    def parse_id(self, value: Any) -> int:
        """Return the id. Raises InvalidID."""
        try:
            if isinstance(value, float):
                raise InvalidID
            return int(value)
        except (ValueError, TypeError):
            raise InvalidID from None


def overrides(manager: BaseUserManager[Any, Any], hook: str) -> bool:
    """Say whether an application's manager has a hook of its own."""
    return getattr(type(manager), hook) is not getattr(BaseUserManager, hook)
