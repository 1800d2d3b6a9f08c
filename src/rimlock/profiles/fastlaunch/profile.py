"""The profile: the dialect's routes at the documented paths, and the mails that lead to them.

Threat: a link in a mail that leads to a page there is not; a dialect that is wired half.
Source: the LAUNCH contract; design section 1 (one door in).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.feature import Profile
from rimlock.features.email_verification import EmailVerification
from rimlock.features.password_recovery import PasswordRecovery
from rimlock.features.social.feature import social_of
from rimlock.profiles.fastlaunch.accounts import account_routes
from rimlock.profiles.fastlaunch.desk import DOCUMENTED, Desk, backwards
from rimlock.profiles.fastlaunch.dialect import handlers
from rimlock.profiles.fastlaunch.oauth import oauth_routes
from rimlock.web import redaction
from rimlock.web.mounting import profile_application

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fastapi import FastAPI

    from rimlock.core.events import Event
    from rimlock.core.outgoing import Send
    from rimlock.feature import Context, Feature, Reaction
    from rimlock.features.social.logic import Provider, Social

__all__ = ["FastLaunch"]


class FastLaunch(Profile):
    """The routes of the LAUNCH authentication API, from `/auth/create-user` to `/auth/oauth/callback/{provider}`.

    `prefix`: where they stand; our own routes cannot stand there too. `handled`: providers whose answer is taken, all
    that are set up unless given; others answer 501. `providers`, `send`: as for SocialFeature. What begins with
    `insecure_` brings documented forms back that give something away, see DOCUMENTED. Raises ConfigurationError.
    """

    name = "fastlaunch"

    def __init__(
        self,
        *,
        prefix: str = "/auth",
        handled: Collection[str] | None = None,
        providers: Iterable[Provider] = (),
        send: Send | None = None,
        insecure_tokens_in_redirect: bool = False,
        insecure_link_unverified: bool = False,
        insecure_tell_taken: bool = False,
        insecure_weak_passwords: bool = False,
    ) -> None:
        """Choose; nothing is opened yet."""
        self.desk = Desk(
            prefix=prefix,
            handled=handled,
            insecure_tokens_in_redirect=insecure_tokens_in_redirect,
            insecure_link_unverified=insecure_link_unverified,
            insecure_tell_taken=insecure_tell_taken,
            insecure_weak_passwords=insecure_weak_passwords,
        )
        self._given, self._send = tuple(providers), send
        self._social: Social | None = None

    @property
    def documented(self) -> Mapping[str, str]:
        """Unsafe forms that were asked for, and why they are, for `rimlock doctor`."""
        return {name: why for name, why in DOCUMENTED.items() if getattr(self.desk, name)}

    def brings(self) -> Sequence[Feature]:
        """Return the mails of the dialect: the link that proves an address leads to its route."""
        return (_Verification(self.desk.prefix), PasswordRecovery())

    def application(self, context: Context) -> FastAPI:
        """Return what answers. Raises ConfigurationError."""
        tuned = self.desk.tuned(context)
        self._social = social_of(tuned, self._given, send=self._send)
        redaction.install(redaction.Redaction(below=f"{self.desk.prefix}/"))
        routers = [account_routes(tuned, self.desk), oauth_routes(tuned, self.desk, self._social)]
        return profile_application(routers, handlers())

    async def stop(self, context: Context) -> None:  # noqa: ARG002 - the seam's
        """Give connections back."""
        if self._social is not None:
            await self._social.close()


class _Verification(EmailVerification):
    """Ours, with links that lead to the dialect's `GET /verify-email`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:
        """See EmailVerification.reactions."""
        return super().reactions(backwards(context, self._prefix))
