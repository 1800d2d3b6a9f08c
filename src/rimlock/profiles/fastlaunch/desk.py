"""What one application chose of the dialect, and the installation as the dialect needs it.

Threat: a form that is unsafe and stays on because nobody remembers it; a sign-in that the dialect forgets to check.
Source: the LAUNCH contract; design section 7 (dangerous switches); NIST SP 800-63B-4 section 3.1.1.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.core.login import refuse_unverified
from rimlock.crypto.passwords.policy import PasswordPolicy, Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from rimlock.feature import Context

__all__ = ["DOCUMENTED", "Desk", "backwards"]

DOCUMENTED = {
    "insecure_tokens_in_redirect": "tokens stand in addresses, where logs, histories and other sites find them",
    "insecure_link_unverified": "who writes somebody's address into a profile elsewhere gets their account",
    "insecure_tell_taken": "anybody can ask which addresses have an account",
    "insecure_weak_passwords": "passwords that everybody guesses first are taken, from eight characters on",
}
"""What the documented API does and this profile does not unless it is asked to, and why it does not."""

_LEAST = 8
_STILL_REFUSED = {"too_short", "too_long", "unencodable"}


class _AnyOfEight(PasswordPolicy):
    """As documented: eight characters, and nothing else."""

    def violations(self, password: str, *, words: Iterable[str] = ()) -> tuple[Violation, ...]:
        """See PasswordPolicy.violations."""
        found = PasswordPolicy.violations(self, password, words=words)
        return tuple(one for one in found if one.code in _STILL_REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The choices of one application. `handled`: providers whose answer is taken, None for all there are."""

    prefix: str = "/auth"
    handled: Collection[str] | None = None
    insecure_tokens_in_redirect: bool = False
    insecure_link_unverified: bool = False
    insecure_tell_taken: bool = False
    insecure_weak_passwords: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a prefix that is none."""
        if not self.prefix.startswith("/") or self.prefix.endswith("/"):
            raise ConfigurationError("prefix must begin with a slash and not end with one, like /auth")

    def tuned(self, context: Context) -> Context:
        """Return the installation as the dialect needs it: nobody signs in before their address is proven."""
        if not context.settings.frontend_url:
            raise ConfigurationError("this profile sends people to pages of yours; set FRONTEND_URL to their address")
        verified = () if context.settings.require_verified else (refuse_unverified,)
        policy = _AnyOfEight(minimum=_LEAST) if self.insecure_weak_passwords else context.password_policy
        return replace(context, policies=(*verified, *context.policies), password_policy=policy)

    def place(self, context: Context, path: str) -> str:
        """Return the address of a route of the dialect, from outside. It is made of settings alone."""
        settings = context.settings
        return (settings.backend_url or settings.issuer).rstrip("/") + self.prefix + path

    def page(self, context: Context, path: str) -> str:
        """Return the address of a page of the front end."""
        return context.settings.frontend_url.rstrip("/") + path


def backwards(context: Context, prefix: str) -> Context:
    """Return the installation with links in mails that lead to the dialect's routes, not to pages of the front end."""
    return replace(context, settings=replace(context.settings, frontend_url="", prefix=prefix))
