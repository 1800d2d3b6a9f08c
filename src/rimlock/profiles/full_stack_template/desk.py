"""What the routes of the dialect share: the choices of one application, the installation, and who a request acts as.

Threat: an unsafe form that stays on because nobody remembers it; a route that answers before there is an installation.
Source: full-stack-fastapi-template (2026-08-21), `api/deps.py`; design section 7 (dangerous switches).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import Parameter, Signature
from typing import TYPE_CHECKING, Any

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

from rimlock.core.accounts import ADMIN
from rimlock.core.errors import AuthError, ConfigurationError, CredentialInvalid, FreshLoginRequired, PermissionMissing
from rimlock.crypto.passwords.policy import PasswordPolicy, Violation
from rimlock.profiles.full_stack_template.dialect import INACTIVE, Refused, UserMissing, said
from rimlock.profiles.ids import as_stored
from rimlock.profiles.people import FRESH_SECONDS, load
from rimlock.profiles.tokens import Caller, Tokens, token_long

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.principal import Principal
    from rimlock.core.registering import Known
    from rimlock.feature import Context
    from rimlock.profiles.full_stack_template.legacy import LegacyTokens

__all__ = ["DOCUMENTED", "Choices", "Desk"]

DOCUMENTED = {
    "insecure_tell_taken": "anybody can ask which addresses have an account",
    "insecure_tell_inactive": "who tries passwords is told when one is right, by the time of the answer even before",
    "insecure_changes_without_recent_login": "a token of any age changes the address, other accounts, and deletes them",
    "insecure_superusers_set_passwords": "superusers choose passwords for others, and know them",
    "insecure_show_reset_links": "superusers see links that open any account",
    "insecure_weak_passwords": "passwords that everybody guesses first are taken, from eight characters on",
}
"""What the template does and this profile does not unless it is asked to, and why it does not."""

_LEAST = 8
_STILL_REFUSED = {"too_short", "too_long", "unencodable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What one application chose."""

    insecure_tell_taken: bool = False
    insecure_tell_inactive: bool = False
    insecure_changes_without_recent_login: bool = False
    insecure_superusers_set_passwords: bool = False
    insecure_show_reset_links: bool = False
    insecure_weak_passwords: bool = False


class Desk:
    """One application's choices, and its installation once there is one."""

    def __init__(self, prefix: str, legacy: LegacyTokens | None, choices: Choices) -> None:
        """Raise ConfigurationError for a prefix that is none."""
        if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
            raise ConfigurationError("prefix must begin with a slash and not end with one, like /api/v1")
        self.prefix, self.legacy, self.choices = prefix, legacy, choices
        self.scheme = OAuth2PasswordBearer(tokenUrl=f"{prefix}/login/access-token")
        self._context: Context | None = None
        self._tokens: Tokens | None = None

    def open(self, context: Context) -> None:
        """Take the installation, once, as the dialect needs it: a session lasts as long as its token."""
        if self._context is None:
            policy = _AnyOfEight(minimum=_LEAST) if self.choices.insecure_weak_passwords else context.password_policy
            self._context = replace(context, password_policy=policy, lifetimes=token_long(context))
            self._tokens = Tokens(context, self.legacy, "uuid")

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

    def caller(self, *, superuser: bool = False) -> Callable[..., Any]:
        """Return a dependency: who a request acts as, refused in the words of the dialect."""

        async def dependency(token: str) -> Caller:
            try:
                caller = await self.identify(token)
                if superuser and ADMIN not in caller.known.account.roles:
                    raise PermissionMissing
            except AuthError as error:
                raise said(error) from None
            return caller

        token = Parameter("token", Parameter.POSITIONAL_OR_KEYWORD, default=Depends(self.scheme))
        dependency.__signature__ = Signature([token])  # type: ignore[attr-defined]
        return dependency

    async def identify(self, token: str) -> Caller:
        """Return who a token speaks for. Raises CredentialInvalid, UserMissing, Refused, Unavailable.

        Only who holds a genuine token is told that its user is gone, or may not act.
        """
        caller = await self.tokens.caller(token)
        if caller is not None and _acts(caller):
            return caller
        named = self._named(token)
        known = await self._owner(named)
        if named and known is None:
            raise UserMissing
        if known is not None and (not known.account.active or known.account.waiting):
            raise Refused(400, INACTIVE)
        raise CredentialInvalid

    def require_recent(self, principal: Principal) -> None:
        """Return when the sign-in is recent enough for what a stolen token must not do. Raises FreshLoginRequired."""
        if self.choices.insecure_changes_without_recent_login:
            return
        if self.context.clock() - principal.auth_time > FRESH_SECONDS:
            raise FreshLoginRequired

    def _named(self, token: str) -> tuple[str, ...]:
        """Return the ids that a genuine token names, even if it counts no more; none for any other text."""
        try:
            if self.legacy is not None and self.legacy.looks_it(token):
                return as_stored(self.legacy.access(token, self.context.clock()).user, "uuid")
            whose = self.context.entrance.principal_of(token.encode("latin-1", errors="replace")).user_id
        except CredentialInvalid:
            return ()
        return () if whose is None else (whose,)

    async def _owner(self, named: Iterable[str]) -> Known | None:
        for user_id in named:
            if (known := await load(self.context, user_id)) is not None:
                return known
        return None


class _AnyOfEight(PasswordPolicy):
    """As documented: eight characters, and nothing else."""

    def violations(self, password: str, *, words: Iterable[str] = ()) -> tuple[Violation, ...]:
        """See PasswordPolicy.violations."""
        found = PasswordPolicy.violations(self, password, words=words)
        return tuple(one for one in found if one.code in _STILL_REFUSED)


def _acts(caller: Caller) -> bool:
    return caller.known.account.active and not caller.known.account.waiting
