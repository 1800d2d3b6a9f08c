"""What the dependencies of a route ask: who is this, and which user.

Threat: a dependency and a gate that come to different answers; a user row that outlives a change for long.
Source: design section 4.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from rimlock.core.access import ANYONE_KNOWN, Requirement, Stage, decide
from rimlock.core.errors import ConfigurationError, CredentialInvalid, CredentialMissing
from rimlock.core.principal import Principal
from rimlock.web.credentials import Credentials, Identity, Scope
from rimlock.web.judge import DOOR, PASSAGE, Passage
from rimlock.web.recall import Recalled

if TYPE_CHECKING:
    from rimlock.core.database import Database
    from rimlock.core.revocations import Revocations
    from rimlock.core.users import User, Users
    from rimlock.web.refusals import Refusals

__all__ = ["Door", "door_of"]

NOTHING = Requirement()
"""What is asked of a request that may come as anybody."""

USER_SECONDS = 5.0
LARGEST_CACHE = 10_000


class Door:
    """Answers for one installation."""

    def __init__(
        self,
        credentials: Credentials,
        database: Database,
        users: Users,
        revocations: Revocations,
        refusals: Refusals,
        clock: Callable[[], float],
    ) -> None:
        """Remember user rows for a few seconds, and no longer than until the journal says that they changed.

        `refusals` takes note of who is turned away.
        """
        self._credentials = credentials
        self._database = database
        self._users = users
        self.refusals = refusals
        self._clock = clock
        self._rows: dict[str, tuple[User, float]] = {}
        self._drops = 0
        revocations.on_change.setdefault("user", []).append(self._drop)

    def _drop(self, user_id: str) -> None:
        self._drops += 1
        self._rows.pop(user_id, None)

    def principal(self, scope: Scope, requirement: Requirement) -> Principal | Awaitable[Principal]:
        """Return who the request acts as. Raises the AuthError that says what is missing, and takes note of it."""
        passage: Passage | None = scope.get(PASSAGE)
        if passage is not None:
            if requirement is ANYONE_KNOWN and passage.error is None and passage.principal is not None:
                return passage.principal
            bad = None if passage.principal else passage.error
            return self._admit(scope, Identity(passage.principal, bad), requirement)
        identity = self._credentials.identify(scope)
        if type(identity) is Recalled and requirement is ANYONE_KNOWN:
            return identity.principal
        if isinstance(identity, Identity):
            return self._admit(scope, identity, requirement)
        return self._admit_later(scope, identity, requirement)

    async def optional(self, scope: Scope) -> Principal | None:
        """Return who the request acts as, or None for nobody. A bad credential of ours is an error, not nobody."""
        try:
            found = self.principal(scope, NOTHING)
            return found if isinstance(found, Principal) else await found
        except CredentialMissing:
            return None
        except CredentialInvalid as error:
            self.refusals.note(scope, error)
            raise

    async def user(self, principal: Principal) -> User:
        """Return the user behind the principal. Raises CredentialInvalid when there is none (a service key)."""
        if principal.user_id is None:
            raise CredentialMissing("This route needs a user, not a service key.")
        return self.remembered(principal.user_id) or await self._load(principal.user_id)

    def remembered(self, user_id: str | None) -> User | None:
        """Return the user if the row was read a moment ago, and nothing was said about it since."""
        known = self._rows.get(user_id) if user_id is not None else None
        return known[0] if known is not None and known[1] > self._clock() else None

    async def _load(self, user_id: str) -> User:
        drops = self._drops
        found = await self._database.read(lambda tx: self._users.get(tx, user_id))
        if found is None:
            raise CredentialInvalid
        if drops != self._drops:
            return found  # some row was changed while this one was read: it may be that one, so it is not kept
        if len(self._rows) >= LARGEST_CACHE:
            self._rows.pop(next(iter(self._rows)), None)
        self._rows[user_id] = (found, self._clock() + USER_SECONDS)
        return found

    async def _admit_later(self, scope: Scope, waiting: Awaitable[Identity], requirement: Requirement) -> Principal:
        return self._admit(scope, await waiting, requirement)

    def _admit(self, scope: Scope, identity: Identity, requirement: Requirement) -> Principal:
        decision = decide(Stage.REQUIRED, requirement, identity.principal, identity.bad, self._clock())
        if decision.error is not None:
            if requirement is not NOTHING:
                self.refusals.note(scope, decision.error, identity.principal)
            raise decision.error
        return cast("Principal", decision.principal)


def door_of(scope: Scope) -> Door:
    """Return the door of the application that handles this request. Raises ConfigurationError."""
    door: Door | None = scope.get(DOOR)
    if door is None:
        raise ConfigurationError("this application has no Rimlock; call auth.install(app) after making it")
    return door
