"""The profile: the dialect's routes at the documented paths, and dependencies for the host's own.

Threat: a dialect that opens a second door; a profile that is wired half; an address in a log.
Source: full-stack-fastapi-template (2026-08-21); design section 1 (one door in).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends

from rimlock.core.errors import CredentialInvalid
from rimlock.feature import Profile
from rimlock.features.password_recovery import PasswordRecovery
from rimlock.profiles.full_stack_template.desk import DOCUMENTED, Choices, Desk
from rimlock.profiles.full_stack_template.dialect import handlers
from rimlock.profiles.full_stack_template.login_routes import login_routes
from rimlock.profiles.full_stack_template.people import public
from rimlock.profiles.full_stack_template.users_routes import users_routes
from rimlock.profiles.tokens import Caller
from rimlock.web import redaction
from rimlock.web.credentials import bearer
from rimlock.web.mounting import profile_application

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastapi import FastAPI

    from rimlock.core.errors import AuthError
    from rimlock.core.principal import Principal
    from rimlock.feature import Context, Feature
    from rimlock.profiles.full_stack_template.legacy import LegacyTokens
    from rimlock.web.credentials import Reader, Scope

__all__ = ["FullStackTemplate"]


class FullStackTemplate(Profile):
    """The template's routes about signing in and about users, from `/login/access-token` to `/users/{user_id}`.

    `prefix`: where they stand. `legacy`: which tokens issued before are taken, and until when. What begins with
    `insecure_` brings documented forms back that give something away, see DOCUMENTED. `current_user` and
    `current_active_superuser` are dependencies for the host's own routes. Raises ConfigurationError.
    """

    name = "full_stack_template"

    def __init__(
        self,
        *,
        prefix: str = "/api/v1",
        legacy: LegacyTokens | None = None,
        insecure_tell_taken: bool = False,
        insecure_tell_inactive: bool = False,
        insecure_changes_without_recent_login: bool = False,
        insecure_superusers_set_passwords: bool = False,
        insecure_show_reset_links: bool = False,
        insecure_weak_passwords: bool = False,
    ) -> None:
        """Choose; nothing is opened yet."""
        choices = Choices(
            insecure_tell_taken=insecure_tell_taken,
            insecure_tell_inactive=insecure_tell_inactive,
            insecure_changes_without_recent_login=insecure_changes_without_recent_login,
            insecure_superusers_set_passwords=insecure_superusers_set_passwords,
            insecure_show_reset_links=insecure_show_reset_links,
            insecure_weak_passwords=insecure_weak_passwords,
        )
        self.desk = Desk(prefix, legacy, choices)
        self.current_user = _member(self.desk, superuser=False)
        self.current_active_superuser = _member(self.desk, superuser=True)

    @property
    def documented(self) -> Mapping[str, str]:
        """Unsafe forms that were asked for, and why they are, for `rimlock doctor`."""
        return {name: why for name, why in DOCUMENTED.items() if getattr(self.desk.choices, name)}

    def brings(self) -> Sequence[Feature]:
        """Return the mails of the dialect."""
        return (PasswordRecovery(),)

    def readers(self, context: Context) -> Sequence[Reader]:
        """Return what lets the gate, and routes of the host's, know old tokens."""
        self.desk.open(context)
        return () if self.desk.legacy is None else (_OldTokens(self.desk, self.desk.legacy),)

    def application(self, context: Context) -> FastAPI:
        """Return what answers."""
        self.desk.open(context)
        prefix = self.desk.prefix
        named = tuple(f"{prefix}/{start}/{{key}}" for start in ("password-recovery", "password-recovery-html-content"))
        redaction.install(redaction.Redaction(paths=named, below=f"{prefix}/"))
        return profile_application([login_routes(self.desk), users_routes(self.desk)], handlers())


class _OldTokens:
    """Reads old tokens in the header; access tokens of ours are read before."""

    headers = frozenset({b"authorization"})

    def __init__(self, desk: Desk, legacy: LegacyTokens) -> None:
        self._desk = desk
        self._legacy = legacy

    def read(self, scope: Scope, now: float) -> Principal | AuthError | Awaitable[Principal | AuthError | None] | None:  # noqa: ARG002
        sent = bearer(scope)
        text = None if sent is None else sent.decode("latin-1")
        # Awaited, and so never remembered by the text of the header: each time it is looked up what became of it.
        return self._principal(text) if text is not None and self._legacy.looks_it(text) else None

    async def _principal(self, token: str) -> Principal | AuthError | None:
        return await self._desk.tokens.principal(token) or CredentialInvalid()


def _member(desk: Desk, *, superuser: bool) -> Callable[..., Any]:
    async def member(caller: Any) -> Any:
        return public(caller.known.user, caller.known.account)

    member.__annotations__["caller"] = Annotated[Caller, Depends(desk.caller(superuser=superuser))]
    return member
