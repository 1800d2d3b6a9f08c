"""What a refresh token is good for, and how sessions end at their owner's wish.

Threat: a stolen refresh token; somebody else's session ended or seen by naming it.
Source: RFC 6749 section 6; RFC 7009 section 2.2 (signing out with a dead token is no error); OWASP ASVS 5.0 V7.4, V7.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import sessions
from rimlock.core.errors import CredentialInvalid, NotFound
from rimlock.crypto.opaque import OpaqueRefused, RefreshClaim, read_refresh
from rimlock.features.sessions.events import SignedOutEverywhere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rimlock.core.database import Transaction
    from rimlock.core.principal import Principal
    from rimlock.core.sessions import Refreshed, Session
    from rimlock.feature import Context

__all__ = ["Page", "end_own", "own", "renew", "session_of", "sign_out", "sign_out_everywhere"]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the living sessions, oldest sign-in first. `next`: where the following page begins, None at the end."""

    items: Sequence[Session]
    next: str | None


async def renew(context: Context, token: str) -> Refreshed:
    """Use a refresh token. Raises CredentialInvalid, CredentialExpired, Unavailable."""
    claim = _claim(context, token)
    grace = context.lifetimes.grace
    return await sessions.refresh(context.database, claim.session_id, claim.generation, grace=grace, now=context.now())


def session_of(context: Context, token: str) -> str | None:
    """Return the session a refresh token was minted for, None for a text that is no token of ours.

    Good for signing out alone: any generation will do, since whoever holds one may end the session.
    """
    try:
        return _claim(context, token).session_id
    except CredentialInvalid:
        return None


async def sign_out(context: Context, session_ids: Sequence[str]) -> None:
    """End these sessions; those that have ended already stay as they are. Raises Unavailable."""
    now = context.now()

    def work(tx: Transaction) -> None:
        for session_id in session_ids:
            sessions.end(tx, session_id, reason="logout", now=now)

    await context.database.write(work)


async def sign_out_everywhere(context: Context, principal: Principal, *, keep_current: bool) -> int:
    """End every session of the caller, but perhaps the present one; return how many. Raises Unavailable."""
    user_id, now = _owner(principal), context.now()
    spared = principal.credential_id if keep_current else None

    def work(tx: Transaction) -> int:
        ended = sessions.end_all(tx, user_id, reason="logout_all", now=now, but=spared)
        tx.emit(SignedOutEverywhere(at=now, user_id=user_id, kept=keep_current))
        return ended

    return await context.database.write(work)


async def own(context: Context, principal: Principal, *, after: str | None, limit: int) -> Page:
    """Return the caller's sessions after the one with the id `after`. Raises Unavailable."""
    user_id, now = _owner(principal), context.now()
    found = await context.database.read(lambda tx: sessions.living(tx, user_id, now=now, after=after, limit=limit + 1))
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


async def end_own(context: Context, principal: Principal, session_id: str) -> None:
    """End one session of the caller's. Raises NotFound for another's, as for one that is none; Unavailable."""
    user_id, now = _owner(principal), context.now()
    ended = await context.database.write(
        lambda tx: sessions.end(tx, session_id, reason="ended_by_user", now=now, user_id=user_id)
    )
    if not ended:
        raise NotFound


def _claim(context: Context, token: str) -> RefreshClaim:
    try:
        return read_refresh(context.root, token)
    except OpaqueRefused:
        raise CredentialInvalid from None


def _owner(principal: Principal) -> str:
    if principal.user_id is None:
        raise NotFound
    return principal.user_id
