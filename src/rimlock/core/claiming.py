"""An address is proven by its owner: what somebody else may have put into the account before goes.

Threat: an account that was registered under somebody else's address, and kept open through a session, a key, a login
    elsewhere or a change that waits, until its owner comes.
Source: A. Sudhodanan, A. Paverd: Pre-hijacked Accounts (USENIX Security 2022); OWASP ASVS 5.0 V7.4.3, V6.8.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import challenges, identities, keys, sessions
from rimlock.core.links import key_of
from rimlock.core.revocations import hold

if TYPE_CHECKING:
    from rimlock.core.database import Transaction
    from rimlock.core.identities import Identity
    from rimlock.core.sessions import EndReason

__all__ = ["Claimed", "claim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """How much went: sessions, API keys, identities elsewhere."""

    sessions: int = 0
    keys: int = 0
    identities: int = 0


def claim(
    tx: Transaction, user_id: str, email: str, *, now: int, everything: bool, reason: EndReason | None
) -> Claimed:
    """Take out of an account what need not be its owner's; every link, code and pending login goes in any case.

    `everything`: API keys, and identities that do not prove this very address. `reason`: why the sessions end, None to
    let them go on. The password is for the caller, before or after.
    """
    hold(tx)
    challenges.withdraw_all(tx, user_id, now=now)
    ended = 0 if reason is None else sessions.end_all(tx, user_id, reason=reason, now=now)
    if not everything:
        return Claimed(sessions=ended)
    revoked = keys.revoke_all(tx, user_id, now=now)
    strange = [one for one in identities.of_user(tx, user_id) if not _proves(one, email)]
    unlinked = sum(identities.unlink(tx, user_id, one.issuer, one.subject, now=now) for one in strange)
    return Claimed(sessions=ended, keys=revoked, identities=unlinked)


def _proves(identity: Identity, email: str) -> bool:
    """Whether whoever comes by this identity was found to own the same address."""
    return identity.verified and key_of(identity.email) == key_of(email)
