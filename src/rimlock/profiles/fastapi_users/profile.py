"""The profile: the dialect at the paths the application chooses, and the shim that applications move onto.

Threat: a dialect that opens a second door; a profile that is wired half.
Source: FastAPI Users 15 (documented prefixes); design section 1 (one door in).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI
from pydantic import SecretStr

from rimlock.core.errors import AuthError, ConfigurationError, CredentialInvalid
from rimlock.core.users import OwnUsers
from rimlock.feature import Profile
from rimlock.features.email_verification import EmailVerification
from rimlock.features.password_recovery import PasswordRecovery
from rimlock.profiles.fastapi_users import schemas
from rimlock.profiles.fastapi_users.desk import DOCUMENTED, Desk, default_manager
from rimlock.profiles.fastapi_users.entering import Caller
from rimlock.profiles.fastapi_users.legacy import ISSUER, LegacyTokens
from rimlock.profiles.fastapi_users.oauth import CSRF_COOKIE, CSRF_SECONDS, Way, oauth_associate_router, oauth_router
from rimlock.profiles.fastapi_users.route import handlers
from rimlock.profiles.fastapi_users.routers import auth_router, register_router, reset_router, verify_router
from rimlock.profiles.fastapi_users.transports import (
    AuthenticationBackend,
    BearerTransport,
    CookieTransport,
    JWTStrategy,
)
from rimlock.profiles.fastapi_users.users_router import users_router
from rimlock.profiles.legacy_tokens import ending
from rimlock.web.credentials import bearer
from rimlock.web.mounting import profile_application

if TYPE_CHECKING:
    from datetime import date

    from rimlock.core.events import Event
    from rimlock.core.principal import Principal
    from rimlock.feature import Context, Feature, Reaction
    from rimlock.features.social import Provider
    from rimlock.profiles.fastapi_users.ids import Ids
    from rimlock.profiles.fastapi_users.transports import Transport
    from rimlock.web.credentials import Reader, Scope

__all__ = ["FastAPIUsers", "FastAPIUsersProfile", "PlacedProfile"]

UP = TypeVar("UP")
ID = TypeVar("ID")
_SCHEMAS: dict[str, Any] = {
    "uuid": schemas.BaseUser[UUID],
    "int": schemas.BaseUser[int],
    "text": schemas.BaseUser[str],
}


class PlacedProfile(Profile):
    """The installation behind routers of the dialect that the application includes by itself."""

    name = "fastapi_users"

    def __init__(self, desk: Desk) -> None:
        """`desk`: what the routers ask."""
        self.desk = desk

    def brings(self) -> Sequence[Feature]:
        """Return the mails of the dialect. It mails nobody who did not ask: clients ask after a registration."""
        return (_AskedVerification(), PasswordRecovery())

    def application(self, context: Context) -> FastAPI:
        """Return an application without routes: they stand in the host's own."""
        self._open(context)
        return profile_application([], handlers())

    def readers(self, context: Context) -> Sequence[Reader]:
        """Return what lets the gate, and routes of the host's, know tokens in cookies and old tokens."""
        self._open(context)
        return (_DialectReader(self.desk),)

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:
        """Return what ends old tokens with the sessions of their user, which they are none of."""
        legacy = self.desk.legacy
        return {} if legacy is None else ending(context, ISSUER, ends=legacy.ends)

    @property
    def documented(self) -> Mapping[str, str]:
        """Unsafe forms that were asked for, and why they are, for `rimlock doctor`."""
        return {name: DOCUMENTED[name] for name in sorted(self.desk.documented)}

    async def stop(self, context: Context) -> None:  # noqa: ARG002 - the seam's
        """Give connections back."""
        await self.desk.elsewhere.close()

    def _open(self, context: Context) -> None:
        if self.desk.ids == "int" and isinstance(context.users, OwnUsers):
            raise ConfigurationError(
                'ids="int" needs the user table that has such ids: pass it as users= to Rimlock; our own ids are UUIDs'
            )
        self.desk.open(context)


class FastAPIUsersProfile(PlacedProfile):
    """The routes of FastAPI Users, each group at the prefix that the application had, or left out by None.

    `backends`: by prefix, in place of one bearer backend `jwt` at `auth`. `user`, `create`, `update`: its schemas.
    `manager`: a dependency that returns a BaseUserManager with hooks. `ids`: how users are known outside. `legacy`:
    which tokens issued before are taken, and until when. `providers`: who people sign in with elsewhere, by name of the
    settings or as a Provider: below `oauth` for the first backend, and to be linked below `associate`;
    `associate_by_email` as for FastAPIUsers. `documented`: unsafe forms that are wanted all the same, see DOCUMENTED.
    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        auth: str | None = "/auth/jwt",
        register: str | None = "/auth",
        reset: str | None = "/auth",
        verify: str | None = "/auth",
        users: str | None = "/users",
        oauth: str | None = "/auth",
        associate: str | None = "/auth/associate",
        providers: Sequence[str | Provider] = (),
        associate_by_email: bool = False,
        backends: Mapping[str, AuthenticationBackend] | None = None,
        user: Any = None,
        create: Any = schemas.BaseUserCreate,
        update: Any = schemas.BaseUserUpdate,
        manager: Callable[..., Any] = default_manager,
        ids: Ids = "uuid",
        requires_verification: bool = False,
        legacy: LegacyTokens | None = None,
        documented: Sequence[str] = (),
    ) -> None:
        """Choose; nothing is opened yet."""
        placed = backends if backends is not None else _only(auth)
        super().__init__(Desk(list(placed.values()), manager=manager, ids=ids, legacy=legacy, documented=documented))
        desk = self.desk
        self._groups: list[tuple[str, str, APIRouter]] = [
            (prefix, "auth", auth_router(desk, one, requires_verification=requires_verification))
            for prefix, one in placed.items()
        ]
        named = user or _SCHEMAS[ids]
        self._add(register, "auth", lambda: register_router(desk, named, create))
        self._add(reset, "auth", lambda: reset_router(desk))
        self._add(verify, "auth", lambda: verify_router(desk, named))
        verified = requires_verification
        self._add(users, "users", lambda: users_router(desk, named, update, requires_verification=verified))
        first = next(iter(placed.values()), None)
        for one in providers:
            if oauth is not None and first is not None:
                way = Way(desk, one, _csrf(), None)
                router = oauth_router(desk, way, first, associate_by_email=associate_by_email)
                self._groups.append((f"{oauth}/{way.provider}", "auth", router))
            if associate is not None:
                way = Way(desk, one, _csrf(), None)
                router = oauth_associate_router(desk, way, named, requires_verification=verified)
                self._groups.append((f"{associate}/{way.provider}", "auth", router))

    def _add(self, prefix: str | None, tag: str, make: Callable[[], APIRouter]) -> None:
        if prefix is not None:
            self._groups.append((prefix, tag, make()))

    def application(self, context: Context) -> FastAPI:
        """See Profile.application."""
        self._open(context)
        whole = APIRouter()
        for prefix, tag, router in self._groups:
            whole.include_router(router, prefix=prefix, tags=[tag])
        return profile_application([whole], handlers())


class FastAPIUsers(Generic[UP, ID]):
    """What an application called before, with Rimlock behind it.

    Its routers are included as they were; `profile` is what Rimlock is given in `profiles=[…]`.
    """

    def __init__(
        self,
        get_user_manager: Callable[..., Any],
        auth_backends: Sequence[AuthenticationBackend],
        *,
        ids: Ids = "uuid",
        legacy_until: date | None = None,
        reset_secret: str | None = None,
        verify_secret: str | None = None,
        documented: Sequence[str] = (),
    ) -> None:
        """`legacy_until`: until when tokens issued before are taken, by the secret of the backends' strategies.

        `reset_secret`, `verify_secret`: those of the manager, for links that were mailed before. `ids`, `documented`:
        as for FastAPIUsersProfile. Raises ConfigurationError.
        """
        secrets = {"reset_secret": reset_secret, "verify_secret": verify_secret}
        legacy = None if legacy_until is None else _legacy(auth_backends, legacy_until, **secrets)
        self.desk = Desk(auth_backends, manager=get_user_manager, ids=ids, legacy=legacy, documented=documented)
        self.profile = PlacedProfile(self.desk)

    def current_user(self, **wanted: Any) -> Callable[..., Any]:
        """Return a dependency that yields the user: `optional`, `active`, `verified`, `superuser` as before."""

        async def user(caller: Any) -> Any:
            return self.desk.member(caller.known) if isinstance(caller, Caller) else None

        user.__annotations__["caller"] = Annotated[Any, Depends(self.desk.caller(**wanted))]
        return user

    def get_auth_router(self, backend: AuthenticationBackend, requires_verification: bool = False) -> APIRouter:  # noqa: FBT001, FBT002
        """Return sign-in and sign-out for a backend."""
        return auth_router(self.desk, backend, requires_verification=requires_verification)

    def get_register_router(self, user_schema: Any, user_create_schema: Any) -> APIRouter:
        """Return registration."""
        return register_router(self.desk, user_schema, user_create_schema)

    def get_reset_password_router(self) -> APIRouter:
        """Return what somebody needs who forgot the password."""
        return reset_router(self.desk)

    def get_verify_router(self, user_schema: Any) -> APIRouter:
        """Return what somebody needs to prove an address."""
        return verify_router(self.desk, user_schema)

    def get_users_router(
        self,
        user_schema: Any,
        user_update_schema: Any,
        requires_verification: bool = False,  # noqa: FBT001, FBT002 - as applications pass it
    ) -> APIRouter:
        """Return the routes about users."""
        return users_router(self.desk, user_schema, user_update_schema, requires_verification=requires_verification)

    def get_oauth_router(
        self,
        oauth_client: Any,
        backend: AuthenticationBackend,
        state_secret: Any = None,  # noqa: ARG002 - what it sealed is sealed by RIMLOCK_SECRETS
        redirect_url: str | None = None,
        associate_by_email: bool = False,  # noqa: FBT001, FBT002 - as applications pass it
        is_verified_by_default: bool = False,  # noqa: FBT001, FBT002, ARG002 - the provider's word decides
        **csrf: Any,
    ) -> APIRouter:
        """Return signing in elsewhere. `oauth_client`: a client of httpx-oauth, a Provider, or a name of the settings.

        `associate_by_email`: an account of the address is linked where both sides proved it; without any proof with
        `documented=["insecure_associate_by_email"]`. `csrf`: the `csrf_token_cookie_…` of before.
        """
        way = Way(self.desk, oauth_client, _csrf(**csrf), redirect_url)
        return oauth_router(self.desk, way, backend, associate_by_email=associate_by_email)

    def get_oauth_associate_router(
        self,
        oauth_client: Any,
        user_schema: Any,
        state_secret: Any = None,  # noqa: ARG002 - as above
        redirect_url: str | None = None,
        requires_verification: bool = False,  # noqa: FBT001, FBT002 - as applications pass it
        **csrf: Any,
    ) -> APIRouter:
        """Return linking a login elsewhere to one's account."""
        way = Way(self.desk, oauth_client, _csrf(**csrf), redirect_url)
        return oauth_associate_router(self.desk, way, user_schema, requires_verification=requires_verification)


class _AskedVerification(EmailVerification):
    """Ours, for applications whose clients ask for the link by themselves."""

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:  # noqa: ARG002 - the seam's
        """Return none: nothing is mailed because an account was made."""
        return {}


class _DialectReader:
    """Tokens in cookies of the dialect, and old ones wherever they are. Access tokens in the header are read before."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._cookies = [one for one in desk.backends if isinstance(one.transport, CookieTransport)]
        self.headers = frozenset({b"authorization", *((b"cookie",) if self._cookies else ())})

    def read(self, scope: Scope, now: float) -> Principal | AuthError | Awaitable[Principal | AuthError | None] | None:  # noqa: ARG002
        token = self._token(scope)
        # Awaited, and so never remembered by the text of the header: which page sent a cookie decides as well.
        return None if token is None else self._principal(token)

    def _token(self, scope: Scope) -> str | None:
        sent, legacy = bearer(scope), self._desk.legacy
        if sent is not None and legacy is not None and legacy.looks_it(text := sent.decode("latin-1")):
            return text
        found = (self._desk.token_of(one, scope) for one in self._cookies)
        return next((token for token in found if token is not None), None)

    async def _principal(self, token: str) -> Principal | AuthError | None:
        return await self._desk.tokens.principal(token) or CredentialInvalid()


def _csrf(
    *,
    csrf_token_cookie_name: str = CSRF_COOKIE,
    csrf_token_cookie_path: str = "/",  # noqa: S107 - a path
    csrf_token_cookie_domain: str | None = None,
    csrf_token_cookie_secure: bool = True,
    csrf_token_cookie_httponly: bool = True,
    csrf_token_cookie_samesite: Literal["lax", "strict", "none"] = "lax",  # noqa: S107
) -> CookieTransport:
    """Return the cookie of a sign-in that is under way."""
    return CookieTransport(
        csrf_token_cookie_name,
        CSRF_SECONDS,
        csrf_token_cookie_path,
        csrf_token_cookie_domain,
        csrf_token_cookie_secure,
        csrf_token_cookie_httponly,
        csrf_token_cookie_samesite,
    )


def _only(auth: str | None) -> dict[str, AuthenticationBackend]:
    if auth is None:
        return {}
    transport: Transport = BearerTransport(f"{auth.strip('/')}/login")
    return {auth: AuthenticationBackend("jwt", transport)}


def _legacy(backends: Sequence[AuthenticationBackend], until: date, **secrets: str | None) -> LegacyTokens:
    """Return what the strategies of the backends say about tokens issued before. Raises ConfigurationError."""
    strategies = [one.get_strategy() for one in backends if one.get_strategy is not None]
    kinds = {(_text(one.secret), *one.token_audience) for one in strategies if isinstance(one, JWTStrategy)}
    if len(kinds) != 1 or any(one.algorithm != "HS256" for one in strategies if isinstance(one, JWTStrategy)):
        raise ConfigurationError(
            "old tokens are taken of backends that all have one HS256 JWTStrategy; leave legacy_until out for others"
        )
    secret, audience = kinds.pop()[:2]
    return LegacyTokens(secret=secret, until=until, audience=audience, **secrets)


def _text(secret: str | SecretStr) -> str:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret
