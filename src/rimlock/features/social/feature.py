"""The plug of signing in through other services.

Threat: a provider that is offered though it cannot work; one that a variable of another program switched on.
Source: design section 2; RFC 9700 section 2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.feature import Feature
from rimlock.features.social.logic import Provider, Social, incomplete, providers_of
from rimlock.features.social.routes import social_routes
from rimlock.web.outgoing import Sender

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.core.outgoing import Send
    from rimlock.feature import Context

__all__ = ["SocialFeature", "social_of"]

log = logging.getLogger("rimlock.social")


class SocialFeature(Feature):
    """Signing in through other services: those of the settings, and `providers`, which come first.

    `send`: what carries requests out, for tests and special networks.
    """

    name = "social"

    def __init__(self, providers: Iterable[Provider] = (), *, send: Send | None = None) -> None:
        """Raises ConfigurationError for two providers of one name, or without the package that asks them."""
        self._given = tuple(providers)
        self._send = send
        self._social: Social | None = None
        if len({one.name for one in self._given}) != len(self._given):
            raise ConfigurationError("two providers have one name: give each its own, it stands in the address")
        if self._given and send is None and find_spec("httpx2") is None:
            raise ConfigurationError("signing in elsewhere needs another package: pip install 'rimlock[social]'")

    def routes(self, context: Context) -> APIRouter:
        """Return leaving, coming back, fetching the tokens, and the logins of an account."""
        return social_routes(context, self.social(context))

    def social(self, context: Context) -> Social:
        """Return the providers of this installation, and the way through them."""
        if self._social is None or self._social.context is not context:
            self._social = social_of(context, self._given, send=self._send)
        return self._social

    async def start(self, context: Context) -> None:
        """Say which providers of the settings are not offered, and what they lack."""
        for name, given in context.settings.social.items():
            lacking = incomplete(name, given)
            if lacking is not None:
                log.warning("the provider %s is not offered: %s is not set", name, lacking)
        if self.social(context).providers and self._send is None and find_spec("httpx2") is None:
            log.error("signing in elsewhere needs another package: pip install 'rimlock[social]'")

    async def stop(self, context: Context) -> None:
        """Give connections back."""
        await self.social(context).close()


def social_of(context: Context, providers: Iterable[Provider] = (), *, send: Send | None = None) -> Social:
    """Return the providers of an installation: for profiles, which speak of them in another dialect.

    Raises ConfigurationError.
    """
    found = {**providers_of(context.settings.social), **{one.name: one for one in providers}}
    return Social(context, found.values(), send or Sender())
