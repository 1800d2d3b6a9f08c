"""What the header of a moment ago meant: the common request costs one look-up, and no second decision.

Threat: an answer that outlives the token, its revocation, the key that signed it, or a second credential beside it.
Source: design section 4 (an authenticated request); measured, a request of ours may cost a few microseconds.

Only the identity of a request whose one credential was an access token is kept, by the whole text of its header. It
is asked for only when a request carries exactly one header that any reader looks at, and that header is this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimlock.core.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.errors import AuthError
    from rimlock.core.revocations import Revocations
    from rimlock.core.tokens import VerifiedTokens

__all__ = ["AUTHORIZATION", "Identity", "Recalled", "Recollection", "watched_headers"]

AUTHORIZATION = b"authorization"
LARGEST = 4_096
MOST_PASSAGES = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """All that the credentials of one request say: the principal, and the first bad credential of ours."""

    principal: Principal | None
    bad: AuthError | None


@dataclass(frozen=True, slots=True)
class Recalled(Identity):
    """An identity that was worked out before. It counts before `ends`, in seconds since the epoch.

    `session`: the session as a number. `edition`: the edition of the verified tokens it rests on. `passages`: what
    was decided for it, by the id of the ruling, which each of them holds.
    """

    principal: Principal
    session: int = 0
    ends: float = 0.0
    edition: int = 0
    passages: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)

    def keep(self, ruling: object, passage: object) -> None:
        """Remember a decision that neither the time nor anything but the ruling changes."""
        if len(self.passages) >= MOST_PASSAGES:
            self.passages.clear()
        self.passages[id(ruling)] = passage


class Recollection:
    """Identities by the text of the Authorization header, bounded."""

    def __init__(self, verified: VerifiedTokens, revocations: Revocations, largest: int = LARGEST) -> None:
        """`verified`: whose entries they rest on. `largest`: how many are kept at most."""
        self._verified = verified
        self._revocations = revocations
        self._largest = largest
        self._by_text: dict[bytes, Recalled] = {}

    def recall(self, text: bytes, now: float) -> Recalled | None:
        """Return what this text meant, unless it may mean something else by now."""
        known = self._by_text.get(text)
        if known is None:
            return None
        principal = known.principal
        if (
            known.ends > now
            and known.edition == self._verified.edition
            and not self._revocations.refuses(known.session, principal.subject, principal.epoch)
        ):
            return known
        self._by_text.pop(text, None)
        return None

    def remember(self, text: bytes, identity: Identity) -> Identity:
        """Keep the identity if it is one of an access token and nothing else; return it either way."""
        principal = identity.principal
        if principal is None or identity.bad is not None or principal.kind != "token" or not principal.expires_at:
            return identity
        if len(self._by_text) >= self._largest:
            self._by_text.pop(next(iter(self._by_text)), None)
        self._by_text[text] = kept = Recalled(
            principal,
            None,
            session=int(principal.credential_id, 16),
            ends=float(principal.expires_at),
            edition=self._verified.edition,
        )
        return kept


def watched_headers(readers: Iterable[object]) -> frozenset[bytes] | None:
    """Return every header that any of the readers looks at; None when one may look somewhere else.

    A reader says so by an attribute `headers`, a set of lower-case names. One without it may look anywhere.
    """
    watched: frozenset[bytes] = frozenset()
    for reader in readers:
        headers: frozenset[bytes] | None = getattr(reader, "headers", None)
        if headers is None:
            return None
        watched |= headers
    return watched
