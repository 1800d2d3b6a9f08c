"""A sign-in that was begun: what the browser carries to the provider and back, sealed.

Threat: an answer that belongs to another browser, another provider, another moment or another purpose; one that is
    used twice.
Source: RFC 9700 sections 2.1, 4.4, 4.5 and 4.7; RFC 6265bis (`__Host-`); OpenID Connect Core 1.0 section 3.1.2.1.

Nothing is written when somebody begins, so that strangers can fill no table: the browser keeps the sealed text under a
name that follows from `state`, and several sign-ins can be under way in several tabs. That one is used up is written
when it comes back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Literal

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.opaque import digest, new_secret
from rimlock.crypto.sealing import SealBroken, seal, unseal
from rimlock.features.social.errors import StateRefused

if TYPE_CHECKING:
    from rimlock.crypto.secret import RootSecret

__all__ = ["SECONDS", "Purpose", "Transaction", "cookie_id", "opened", "sealed"]

Purpose = Literal["login", "link"]

SECONDS = 600
"""How long somebody may take at the provider."""

_SEAL, _PLACE = "social", b"browser/transaction"
_LONGEST = 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One sign-in under way. Times are in seconds since the epoch.

    `provider`, `issuer`: whom the browser was sent to. `redirect_uri`: where the provider sends it back. `next`: the
    page it goes on to. `challenge`: of the page that will fetch the tokens (RFC 7636), empty where a cookie binds it.
    `user_id`, `session_id`, `epoch`: who links, and under which standing; empty for a sign-in.
    """

    provider: str
    issuer: str
    redirect_uri: str
    next: str
    expires_at: int
    purpose: Purpose = "login"
    challenge: str = ""
    user_id: str = ""
    session_id: str = ""
    epoch: int = 0
    state: str = field(default_factory=new_secret, repr=False)
    nonce: str = field(default_factory=new_secret, repr=False)
    verifier: str = field(default_factory=new_secret, repr=False)

    @property
    def id(self) -> str:
        """What it is known by afterwards; no way leads back to `state`."""
        return digest(self.state)[:32]

    @property
    def verifier_challenge(self) -> str:
        """What the provider is shown of the verifier (RFC 7636, S256)."""
        return encode(sha256(self.verifier.encode()).digest())


def cookie_id(state: str) -> str:
    """Return under which name the browser keeps the transaction of a `state`."""
    return digest(state)[:16]


def sealed(root: RootSecret, begun: Transaction) -> str:
    """Return what the browser carries; it can read and change nothing of it."""
    return encode(seal(root, _SEAL, json.dumps(asdict(begun)).encode(), context=_PLACE))


def opened(root: RootSecret, carried: str | None, *, provider: str, state: str, now: int) -> Transaction:
    """Return what this browser began with this provider under this `state`. Raises StateRefused."""
    if not carried or not state or len(carried) > _LONGEST:
        raise StateRefused
    try:
        found = Transaction(**json.loads(unseal(root, _SEAL, decode(carried), context=_PLACE)))
    except (SealBroken, ValueError, TypeError):
        raise StateRefused from None
    if not compare_digest(found.state.encode(), state.encode("utf-8", "surrogatepass")):
        raise StateRefused
    if found.provider != provider or found.expires_at <= now:
        raise StateRefused
    return found
