"""What the routes of the dialect share: the choices of the application, and the installation behind them.

Threat: a route that answers before there is an installation to ask; a choice that one route knows and another does not.
Source: design section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from fastapi import Depends, HTTPException
from starlette.requests import Request

from rimlock.core.errors import ConfigurationError
from rimlock.features.social.logic import linked
from rimlock.profiles.fastapi_users.codes import translated
from rimlock.profiles.fastapi_users.elsewhere import Elsewhere, OAuthAccount
from rimlock.profiles.fastapi_users.entering import Caller, Tokens
from rimlock.profiles.fastapi_users.manager import BaseUserManager
from rimlock.profiles.fastapi_users.people import Member
from rimlock.profiles.fastapi_users.transports import CookieTransport, foreign_page

if TYPE_CHECKING:
    from rimlock.core.errors import AuthError
    from rimlock.core.registering import Known
    from rimlock.feature import Context
    from rimlock.profiles.fastapi_users.ids import Ids
    from rimlock.profiles.fastapi_users.legacy import LegacyTokens
    from rimlock.profiles.fastapi_users.transports import AuthenticationBackend
    from rimlock.web.credentials import Scope

__all__ = ["DOCUMENTED", "Desk", "default_manager"]

DOCUMENTED = {
    "insecure_changes_without_recent_login": "a token of any age changes the password and the address it was made with",
    "insecure_superusers_set_passwords": "superusers choose passwords for others, and know them",
    "insecure_cookies_from_any_origin": "pages of other origins act with the cookie of whoever visits them",
    "insecure_associate_by_email": "whoever writes somebody's address into a login elsewhere gets into their account",
}
"""What FastAPI Users does and this profile does not unless it is asked to, and why it does not."""


def default_manager() -> BaseUserManager[Any, Any]:
    """Return a manager without hooks."""
    return BaseUserManager()


class Desk:
    """One application's choices. `documented`: names of DOCUMENTED that are wanted all the same."""

    def __init__(
        self,
        backends: Sequence[AuthenticationBackend],
        *,
        manager: Callable[..., Any] = default_manager,
        ids: Ids = "uuid",
        legacy: LegacyTokens | None = None,
        documented: Sequence[str] = (),
    ) -> None:
        """Raise ConfigurationError for two backends of one name, and for a choice there is not."""
        self.backends = tuple(backends)
        self.manager, self.legacy = manager, legacy
        self.ids: Ids = ids
        self.documented = frozenset(documented)
        if len({one.name for one in self.backends}) != len(self.backends):
            raise ConfigurationError("two authentication backends have one name; routes are named by it")
        if unknown := self.documented - DOCUMENTED.keys():
            raise ConfigurationError(f"documented= knows {', '.join(DOCUMENTED)}, not {', '.join(sorted(unknown))}")
        self.elsewhere = Elsewhere()
        self._context: Context | None = None
        self._tokens: Tokens | None = None

    def open(self, context: Context) -> None:
        """Take the installation, once."""
        if self._context is None:
            self._context = context
            self._tokens = Tokens(context, self.legacy, self.ids)
            self.elsewhere.open(context)

    @property
    def context(self) -> Context:
        """The installation. Raises ConfigurationError while there is none."""
        if self._context is None:
            raise ConfigurationError("pass this profile to Rimlock(profiles=[…]) and call auth.install(app)")
        return self._context

    @property
    def tokens(self) -> Tokens:
        """The reader of tokens. Raises ConfigurationError while there is no installation."""
        _ = self.context
        assert self._tokens is not None  # noqa: S101 - made with the context
        return self._tokens

    def member(self, known: Known) -> Member:
        """Return a user as the application knows them."""
        return Member(known, self.ids)

    async def shown(self, schema: Any, known: Known) -> Any:
        """Return a user in the application's schema, with the logins elsewhere where it has a place for them."""
        member = self.member(known)
        if "oauth_accounts" in schema.model_fields:
            found = await linked(self.context, known.user.id)
            member.oauth_accounts = [OAuthAccount(one) for one in found]
        return schema.model_validate(member)

    def token_of(self, backend: AuthenticationBackend, scope: Scope) -> str | None:
        """Return the token that a request carries for a backend. A cookie counts for pages of ours alone."""
        transport = backend.transport
        if isinstance(transport, CookieTransport) and self.foreign(scope):
            return None
        return transport.token(scope)

    def foreign(self, scope: Scope) -> bool:
        """Say whether a page of another origin sent a request, where that matters."""
        return "insecure_cookies_from_any_origin" not in self.documented and foreign_page(scope, self.context.browser)

    async def identify(self, scope: Scope, backends: Sequence[AuthenticationBackend]) -> Caller | None:
        """Return who a request acts as: the first backend whose token is good. Raises Unavailable."""
        for backend in self.backends:
            token = self.token_of(backend, scope) if backend in backends else None
            caller = None if token is None else await self.tokens.caller(token)
            if caller is not None:
                return caller
        return None

    def caller(
        self,
        *,
        optional: bool = False,
        active: bool = False,
        verified: bool = False,
        superuser: bool = False,
        get_enabled_backends: Callable[..., Any] | None = None,
    ) -> Callable[..., Any]:
        """Return a dependency: who the request acts as, with the standing that is asked for."""

        async def dependency(request: Request, **found: Any) -> Caller | None:
            enabled = found.get("enabled_backends", self.backends)
            caller = await self._identified(request.scope, enabled)
            missing = 401 if caller is None else self._missing(caller, active, verified, superuser)
            if missing and not optional:
                raise _bare(missing)
            return None if missing else caller

        dependency.__signature__ = self._signature(get_enabled_backends)  # type: ignore[attr-defined]
        return dependency

    async def _identified(self, scope: Scope, backends: Sequence[AuthenticationBackend]) -> Caller | None:
        from rimlock.core.errors import AuthError

        try:
            return await self.identify(scope, backends)
        except AuthError as error:
            raise translated(error) from None

    def _missing(self, caller: Caller, active: bool, verified: bool, superuser: bool) -> int:  # noqa: FBT001
        member = self.member(caller.known)
        if active and not member.is_active:
            return 401
        return 403 if (verified and not member.is_verified) or (superuser and not member.is_superuser) else 0

    def _signature(self, get_enabled_backends: Callable[..., Any] | None) -> Signature:
        """Each scheme is a parameter, by which it stands in the OpenAPI document."""
        keyword = Parameter.KEYWORD_ONLY
        named = [
            Parameter(f"token_{place}", keyword, default=Depends(one.transport.scheme))
            for place, one in enumerate(self.backends)
        ]
        if get_enabled_backends is not None:
            named.append(Parameter("enabled_backends", keyword, default=Depends(get_enabled_backends)))
        return Signature([Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=Request), *named])


def _bare(status: int) -> HTTPException:
    from rimlock.core.errors import CredentialMissing, PermissionMissing

    error: AuthError = CredentialMissing() if status == 401 else PermissionMissing()  # noqa: PLR2004
    return translated(error)
