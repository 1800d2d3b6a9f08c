"""What route functions may ask for: the principal, the user, a role, a permission, a scope, a fresh sign-in.

Threat: a check inside a route that the next route forgets; the lax form under the shorter name.
Source: design section 7; OWASP ASVS 5.0 V8.2.1.

The strict form has the short name. All of them work in sync and async routes, over HTTP and WebSocket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase
from starlette.requests import HTTPConnection

from rimlock.core.access import ANYONE_KNOWN, Requirement
from rimlock.core.acting import become
from rimlock.core.errors import AuthError
from rimlock.core.principal import Principal
from rimlock.core.users import User
from rimlock.web.door import door_of
from rimlock.web.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CurrentPrincipal",
    "CurrentUser",
    "OptionalPrincipal",
    "OptionalUser",
    "fresh",
    "require",
    "require_any_role",
    "require_permission",
    "require_role",
    "require_scope",
]

SCHEME = "RimlockBearer"


class _Asking(SecurityBase):
    """A dependency that the OpenAPI document shows as a security requirement."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = SCHEME


class _Required(_Asking):
    """Yields the principal that meets the requirement, or refuses."""

    def __init__(self, requirement: Requirement) -> None:
        super().__init__()
        self.requirement = requirement

    async def __call__(self, connection: HTTPConnection) -> Principal:
        scope = connection.scope
        try:
            found = door_of(scope).principal(scope, self.requirement)
            principal = found if isinstance(found, Principal) else await found
        except AuthError as error:
            raise Refusal(error) from None
        become(principal)
        return principal


class _Optional(_Asking):
    """Yields the principal, or None for a request without a credential of ours."""

    async def __call__(self, connection: HTTPConnection) -> Principal | None:
        try:
            return await door_of(connection.scope).optional(connection.scope)
        except AuthError as error:
            raise Refusal(error) from None


class _RequiredUser(_Required):
    """Yields the user behind the principal, or refuses."""

    async def __call__(self, connection: HTTPConnection) -> User:  # type: ignore[override]
        scope = connection.scope
        try:
            door = door_of(scope)
            found = door.principal(scope, self.requirement)
            principal = found if isinstance(found, Principal) else await found
            return door.remembered(principal.user_id) or await door.user(principal)
        except AuthError as error:
            raise Refusal(error) from None


class _OptionalUser(_Optional):
    """Yields the user behind the principal, or None."""

    async def __call__(self, connection: HTTPConnection) -> User | None:  # type: ignore[override]
        principal = await super().__call__(connection)
        if principal is None or principal.user_id is None:
            return None
        try:
            return await door_of(connection.scope).user(principal)
        except AuthError as error:
            raise Refusal(error) from None


CurrentPrincipal = Annotated[Principal, Depends(_Required(ANYONE_KNOWN))]
"""Who the request acts as, user or key; 401 otherwise. No query."""

CurrentUser = Annotated[User, Depends(_RequiredUser(ANYONE_KNOWN))]
"""The signed-in user; 401 otherwise. One row, remembered for a few seconds."""

OptionalPrincipal = Annotated[Principal | None, Depends(_Optional())]
"""Who the request acts as, or None without a credential. A bad credential is refused."""

OptionalUser = Annotated[User | None, Depends(_OptionalUser())]
"""The signed-in user, or None without a credential. A bad credential is refused."""


def require(requirement: Requirement) -> Any:
    """Return a dependency that yields the principal which meets the whole requirement; 401 or 403 otherwise."""
    return Depends(_Required(requirement))


def require_role(role: str) -> Any:
    """Return a dependency: the principal has this role, or 403."""
    return require(Requirement(any_role=frozenset({role})))


def require_any_role(*roles: str) -> Any:
    """Return a dependency: the principal has one of these roles, or 403."""
    return require(Requirement(any_role=_some(roles)))


def require_permission(*permissions: str) -> Any:
    """Return a dependency: the roles of the principal allow all of these, or 403."""
    return require(Requirement(permissions=_some(permissions)))


def require_scope(*scopes: str) -> Any:
    """Return a dependency: the credential has all of these scopes, or 403 (RFC 6750 section 3.1)."""
    return require(Requirement(scopes=_some(scopes)))


def fresh(minutes: float) -> Any:
    """Return a dependency: the user signed in at most so many minutes ago, or 403 `fresh_login_required`."""
    return require(Requirement(credentials=frozenset({"token"}), fresh=int(minutes * 60)))


def _some(names: Iterable[str]) -> frozenset[str]:
    found = frozenset(names)
    if not found:
        raise TypeError("name at least one; a requirement of nothing would let everybody in")
    return found
