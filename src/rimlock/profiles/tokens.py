"""Who a token of a dialect speaks for: one of ours, or one that the other system issued before.

Threat: a token that is read in two ways; one that goes on after its session, its password or its rights ended.
Source: design sections 1 (one door in) and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rimlock.core.acting import become
from rimlock.core.errors import CredentialInvalid, Unavailable
from rimlock.core.sessions import Lifetimes
from rimlock.core.tokens import VerifiedTokens
from rimlock.profiles.legacy_tokens import principal_of
from rimlock.profiles.people import load

if TYPE_CHECKING:
    from rimlock.core.principal import Principal
    from rimlock.core.registering import Known
    from rimlock.feature import Context
    from rimlock.profiles.ids import Ids
    from rimlock.profiles.legacy_tokens import OldTokens

__all__ = ["Caller", "Tokens", "token_long"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request acts as, and by which token."""

    known: Known
    principal: Principal
    token: str = field(repr=False)


class Tokens:
    """Reads tokens of a dialect: access tokens of ours, and old ones until their date."""

    def __init__(self, context: Context, legacy: OldTokens | None, ids: Ids) -> None:
        """`legacy` None takes no old ones."""
        self._context = context
        self.legacy = legacy
        self._ids: Ids = ids
        self._verified = VerifiedTokens()
        context.revocations.on_change.setdefault("signing_key", []).append(lambda _: self._verified.clear())

    async def caller(self, token: str) -> Caller | None:
        """Return who a token speaks for, as the database has them now, None for a bad one. Raises Unavailable."""
        principal = await self.principal(token)
        known = None if principal is None else await load(self._context, principal.user_id or "")
        if principal is None or known is None:
            return None
        become(principal)
        return Caller(known, principal, token)

    async def principal(self, token: str) -> Principal | None:
        """Return who a token speaks for, None for a bad one. Raises Unavailable while revocations are not known."""
        await self._hear()
        if self.legacy is not None and self.legacy.looks_it(token):
            return await self._old(token)
        return self._ours(token.encode("latin-1", errors="replace"))

    def _ours(self, token: bytes) -> Principal | None:
        now, revocations = self._context.clock(), self._context.revocations
        kept = self._verified.get(token, now)
        try:
            principal = kept[0] if kept else self._context.entrance.principal_of(token)
            session = kept[1] if kept else self._verified.put(token, principal)
        except CredentialInvalid:
            return None
        return None if revocations.refuses(session, principal.subject, principal.epoch) else principal

    async def _old(self, token: str) -> Principal | None:
        assert self.legacy is not None  # noqa: S101 - asked by who called
        try:
            claimed = self.legacy.access(token, self._context.clock())
        except CredentialInvalid:
            return None
        context = self._context
        return await context.database.read(lambda tx: principal_of(context, tx, claimed, self._ids))

    async def _hear(self) -> None:
        """Make the memory of revocations complete, as far as is allowed. Raises Unavailable."""
        follower = self._context.follower
        if follower.current() or await follower.revive():
            return
        if self._context.settings.on_stale == "refuse":
            raise Unavailable
        await follower.catch_up()


def token_long(context: Context) -> Lifetimes:
    """Let a session last as long as its token: for dialects that have nothing to renew one with."""
    seconds = int(context.settings.access_lifetime.total_seconds())
    return Lifetimes(absolute=seconds, idle=seconds, browser=seconds, grace=0)
