"""The feature: where keys are looked for, what they are worth, and the routes to make and revoke them.

Threat: callers who hold an old key and are turned away on the day the lock is fitted.
Source: design section 4 (a legacy call).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError
from rimlock.feature import Feature
from rimlock.features.api_keys import logic
from rimlock.features.api_keys.routes import key_routes
from rimlock.web.credentials import KeyReader, from_authorization, from_header, from_path, from_query

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fastapi import APIRouter

    from rimlock.core.rulefile import ImportedKey
    from rimlock.feature import Context
    from rimlock.settings import Settings
    from rimlock.web.credentials import Extractor, Reader

__all__ = ["ApiKeys"]

LIMIT = 50


class ApiKeys(Feature):
    """Keys for programs, made here or taken over from before.

    `imported`: keys that callers hold already, like those of `rimlock.toml`, with their values in `environment` (that
    of the process unless given). `scopes`: what every user may give to a key of their own; others only somebody
    whose roles allow the permission of that name, and administrators. `limit`: living keys a user may have.
    """

    name = "api_keys"

    def __init__(
        self,
        imported: Sequence[ImportedKey] = (),
        *,
        scopes: Collection[str] = (),
        limit: int = LIMIT,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Read nothing yet."""
        self._imported = tuple(imported)
        self._scopes = frozenset(scopes)
        self._limit = limit
        self._environment = environment
        self._known: logic.KnownKeys | None = None

    def routes(self, context: Context) -> APIRouter:
        """Return the routes under `/api-keys`."""
        return key_routes(context, self._bounds(context), self._limit)

    def readers(self, context: Context) -> Sequence[Reader]:
        """Return the one reader of keys. Raises ConfigurationError for a path without `{key}`."""
        if self._known is not None:
            raise ConfigurationError("make an ApiKeys for each Rimlock; what one knows is no use to another")
        self._known = logic.KnownKeys(context, self._bounds(context))
        return (KeyReader(_places(context.settings), self._known.resolve),)

    async def start(self, context: Context) -> None:
        """Take in the imported keys. Raises ConfigurationError that names the variable without a value."""
        await logic.take_in(context, self._imported, self._environment)

    async def flush(self, context: Context) -> None:  # noqa: ARG002 - it kept the context
        """Write when keys were last used."""
        if self._known is not None:
            await self._known.flush()

    def _bounds(self, context: Context) -> logic.Bounds:
        return logic.Bounds(context.permissions, self._scopes)


def _places(settings: Settings) -> list[Extractor]:
    """Where keys are looked for, in this order."""
    return [
        *(from_header(name) for name in settings.api_key_headers),
        from_authorization("Bearer"),
        from_authorization("ApiKey"),
        *(from_query(name) for name in settings.api_key_query),
        *(from_path(template) for template in settings.api_key_paths),
    ]
