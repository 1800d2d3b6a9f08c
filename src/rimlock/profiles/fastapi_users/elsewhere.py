"""Which providers the routers of an application name, and what somebody who comes back from one becomes.

Threat: one tenant's login that lets every tenant in after the move; an account taken over by an address nobody proved;
    what a provider said in its error, in an answer of ours.
Source: RFC 9700 sections 2.1 and 4.4; OpenID Connect Core 1.0 section 5.7; Pre-hijacked Accounts (USENIX Security
    2022); FastAPI Users' documented OAuth error codes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from rimlock.core import identities
from rimlock.core.errors import AuthError, ConfigurationError, EmailNotVerified, InvalidLogin
from rimlock.core.users import RegistrationConflict
from rimlock.features.social import logic, social_of
from rimlock.features.social.errors import (
    AccountExists,
    AddressMissing,
    IdentityTaken,
    ProviderFailed,
    ProviderRefused,
    StateRefused,
)
from rimlock.features.social.logic import PRESETS, Person, Provider, provider_of
from rimlock.features.social.logic.entering import enter
from rimlock.profiles.fastapi_users.codes import ErrorCode, bad_request, bare_request
from rimlock.profiles.tokens import token_long
from rimlock.web import redaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import HTTPException
    from starlette.requests import Request

    from rimlock.core.database import Transaction
    from rimlock.core.identities import Identity
    from rimlock.core.login import Pending, SignedIn
    from rimlock.feature import Context
    from rimlock.features.social.logic import Social

__all__ = ["CODES", "Elsewhere", "OAuthAccount", "Settled", "provider_behind", "refusal", "settle"]

CODES: Mapping[type[AuthError], ErrorCode] = {
    StateRefused: ErrorCode.OAUTH_INVALID_STATE,
    ProviderFailed: ErrorCode.ACCESS_TOKEN_DECODE_ERROR,
    AddressMissing: ErrorCode.OAUTH_NOT_AVAILABLE_EMAIL,
    AccountExists: ErrorCode.OAUTH_USER_ALREADY_EXISTS,
    RegistrationConflict: ErrorCode.OAUTH_USER_ALREADY_EXISTS,
    IdentityTaken: ErrorCode.OAUTH_USER_ALREADY_EXISTS,
    InvalidLogin: ErrorCode.LOGIN_BAD_CREDENTIALS,
    EmailNotVerified: ErrorCode.LOGIN_USER_NOT_VERIFIED,
}
"""What the dialect calls each refusal."""

_ERROR = re.compile(r"[a-z_]{1,64}")


class Elsewhere:
    """The providers of one application: those its routers were given, and those of the settings they name."""

    def __init__(self) -> None:
        self._given: dict[str, Provider] = {}
        self._named: set[str] = set()
        self._social: Social | None = None

    def take(self, client: Any) -> str:
        """Return the name of a provider: itself, a name of the settings, or a client of httpx-oauth.

        Raises ConfigurationError.
        """
        if isinstance(client, str):
            self._named.add(client)
            return client
        found = client if isinstance(client, Provider) else provider_behind(client)
        if self._given.setdefault(found.name, found) != found:
            raise ConfigurationError(f"two different providers are called {found.name}: give each a name of its own")
        return found.name

    def open(self, context: Context) -> None:
        """Take the installation. Raises ConfigurationError for a provider that could not be used."""
        if not self._named and not self._given:
            return
        social = social_of(context, self._given.values())
        for name in sorted(self._named | self._given.keys()):
            _require_usable(name, social)
        redaction.install(redaction.Redaction(below="/callback?"))
        self._social = social

    @property
    def social(self) -> Social:
        """The way through them. Raises ConfigurationError while there is no installation."""
        if self._social is None:
            raise ConfigurationError("pass this profile to Rimlock(profiles=[…]) and call auth.install(app)")
        return self._social

    async def close(self) -> None:
        """Give connections back."""
        if self._social is not None:
            await self._social.close()


def provider_behind(client: Any) -> Provider:
    """Return the provider that a client of httpx-oauth speaks with. Raises ConfigurationError.

    It counts only where it is asked at the place that is known under its name: another one would let others in.
    """
    name, place = client.name, urlsplit(client.authorize_endpoint)
    given = {"client_id": client.client_id, "client_secret": client.client_secret}
    published = getattr(client, "openid_configuration", None)
    if published is not None:
        return provider_of(name, {**given, "issuer": published["issuer"]})
    if name not in PRESETS or place.hostname != urlsplit(PRESETS[name].issuer).hostname:
        raise ConfigurationError(
            f"what the client {name} speaks with is not known here: pass a Provider of rimlock.features.social"
        )
    return provider_of(name, {**given, **({"tenant": place.path.split("/")[1]} if PRESETS[name].tenants else {})})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How a sign-in elsewhere ended. `new`: it made the account."""

    outcome: SignedIn | Pending
    new: bool


async def settle(context: Context, request: Request, person: Person, *, by_email: bool, unproven: bool) -> Settled:
    """Start a session for who came back.

    `by_email`: an account of the same address is linked, if both sides proved it; with `unproven` without any proof.
    Raises what `enter` raises.
    """
    made = False

    def judged(tx: Transaction) -> None:
        nonlocal made
        if identities.find(tx, person.issuer, person.subject) is not None:
            made = False
            return
        user = context.users.find(tx, person.email) if "@" in person.email else None
        made = user is None
        if user is not None and not by_email:
            raise AccountExists
        if user is not None and unproven:
            _link(tx, user.id, person, context.now())

    device = context.device(request, True, "body")  # noqa: FBT003 - positional by the seam
    narrowed = replace(context, lifetimes=token_long(context))
    # The dialect knows no name of a user, and neither do most tables that it was used with.
    outcome = await enter(narrowed, replace(person, display_name=""), device, spend=judged)
    return Settled(outcome=outcome, new=made)


def refusal(error: AuthError, said: str | None = None) -> HTTPException | None:
    """Return an error in the words of the dialect, None where it has none. `said`: the `error` of the address."""
    if isinstance(error, ProviderRefused):
        return bare_request(said if said and _ERROR.fullmatch(said) else "Bad Request")
    code = CODES.get(type(error))
    return None if code is None else bad_request(code)


class OAuthAccount:
    """A login elsewhere, as `oauth_accounts` has it. Tokens of the provider are not kept, so none is shown."""

    access_token = ""
    expires_at = refresh_token = None

    def __init__(self, identity: Identity) -> None:
        self.id = UUID(hex=logic.id_of(identity))
        self.oauth_name = identity.provider
        self.account_id, self.account_email = identity.subject, identity.email


def _link(tx: Transaction, user_id: str, person: Person, now: int) -> None:
    told: dict[str, Any] = {"provider": person.provider, "email": person.email, "verified": person.proven}
    identities.link(tx, user_id, person.issuer, person.subject, now=now, **told)


def _require_usable(name: str, social: Social) -> None:
    provider = social.providers.get(name)
    if provider is None:
        raise ConfigurationError(f"the provider {name} is not set up: set its client id, or pass a Provider")
    if provider.extra.get("response_mode") == "form_post":
        raise ConfigurationError(f"the provider {name} comes back by POST, which only Rimlock's own routes take")
