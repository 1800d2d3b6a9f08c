"""The plug of the profile feature.

Threat: none of its own; it hands out routes.
Source: design section 3 (a feature is a folder that can be deleted).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rimlock.core.accounts import EmailChanged
from rimlock.core.registering import UserRegistered
from rimlock.feature import Feature
from rimlock.features.profile.events import ProfileChanged
from rimlock.features.profile.logic import allowed
from rimlock.features.profile.routes import profile_routes
from rimlock.web.fields import ProfileFields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import APIRouter
    from pydantic import BaseModel

    from rimlock.core.events import Event
    from rimlock.feature import Context, Reaction
    from rimlock.features.profile.logic import Validate

__all__ = ["ProfileFeature"]


class ProfileFeature(Feature):
    """`/me`, and what others may see.

    `fields`: the profile fields of the application, a Pydantic model; any JSON object, unless given. `validate`: asked
    with the transaction and the user about every account that is made and every change of one, whoever makes it. It
    raises ValueError, with a sentence for the caller, and then nothing was made or changed.
    Raises ConfigurationError.
    """

    name = "profile"

    def __init__(self, fields: type[BaseModel] | None = None, *, validate: Validate | None = None) -> None:
        """Keep what the application says about its users."""
        self._fields = ProfileFields(fields)
        self._validate = validate

    def fields(self) -> ProfileFields:
        """Return the fields of this application."""
        return self._fields

    def reactions(self, context: Context) -> Mapping[type[Event], Reaction]:
        """Ask in the transaction that makes or changes an account, so that no way of doing it goes without."""
        if self._fields.model is None and self._validate is None:
            return {}
        ask = partial(allowed, context, self._validate)
        return {UserRegistered: ask, ProfileChanged: ask, EmailChanged: ask}

    def routes(self, context: Context) -> APIRouter:
        """Return the routes."""
        return profile_routes(context)
