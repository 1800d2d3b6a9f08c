"""The plug of the exchange: the application's own function, and the route that asks it.

Threat: none of its own; it hands out a route.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.feature import Feature
from rimlock.features.session_exchange.routes import exchange_routes

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rimlock.feature import Context
    from rimlock.features.session_exchange.logic import By
    from rimlock.features.session_exchange.routes import Whose

__all__ = ["SessionExchange"]


class SessionExchange(Feature):
    """`POST /exchange-session`, for as long as an application still has sessions of its own.

    `whose`: asked with the request; says whose session it carries, None for nobody's. `by`: whether it says so by the
    id of the user, or by what they sign in with, an email or a username. Raises ConfigurationError.
    """

    name = "session_exchange"

    def __init__(self, whose: Whose, *, by: By = "user_id") -> None:
        """Keep the application's function."""
        if by not in {"user_id", "login"}:
            raise ConfigurationError("by must be user_id or login: what the function returns")
        self._whose = whose
        self._by: By = by

    def routes(self, context: Context) -> APIRouter:
        """Return the route."""
        return exchange_routes(context, self._whose, self._by)
