"""What the header of a moment ago meant: the common request costs one look-up, and no second decision.

Threat: an answer that outlives the token, its revocation, the key that signed it, or a second credential beside it.
Source: design section 4 (an authenticated request); measured, a request of ours may cost a few microseconds.

Only the identity of a request whose one credential was an access token or an API key is kept, by the name and the
whole text of its header. It is asked for only when a request carries exactly one header that any reader looks at, and
that header is this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimlock.core.principal import Principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rimlock.core.errors import AuthError
    from rimlock.core.retirements import Notice
    from rimlock.core.revocations import Revocations
    from rimlock.core.tokens import VerifiedTokens

__all__ = ["AUTHORIZATION", "Identity", "Recalled", "Recollection", "known_headers", "watched_headers"]

AUTHORIZATION = b"authorization"
LARGEST = 4_096
KEY_SECONDS = 5.0
"""How long a key is recalled at most: its reader, who notes about once a minute that it is used, has to hear of it."""

_SESSION = re.compile("[0-9a-f]{32}")

Header = tuple[bytes, bytes]
MOST_PASSAGES = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """All that the credentials of one request say: the principal, and the first bad credential of ours."""

    principal: Principal | None
    bad: AuthError | None
    notice: Notice | None = None
    """What the answer has to carry, because the credential is being retired."""


@dataclass(frozen=True, slots=True)
class Recalled(Identity):
    """An identity that was worked out before. It counts before `ends`, in seconds since the epoch.

    `session`: the session as a number, None for a key. `edition`: of what it rests on, the verified tokens or the
    keys. `passages`: what was decided for it, by the id of the ruling, which each of them holds.
    """

    principal: Principal
    session: int | None = None
    ends: float = 0.0
    edition: int = 0
    passages: dict[int, Any] = field(default_factory=dict, compare=False, repr=False)

    def keep(self, ruling: object, passage: object) -> None:
        """Remember a decision that neither the time nor anything but the ruling changes."""
        if len(self.passages) >= MOST_PASSAGES:
            self.passages.clear()
        self.passages[id(ruling)] = passage


class Recollection:
    """Identities by the name and the text of a header, bounded."""

    def __init__(self, verified: VerifiedTokens, revocations: Revocations, largest: int = LARGEST) -> None:
        """`verified`: whose entries they rest on. `largest`: how many are kept at most."""
        self._verified = verified
        self._revocations = revocations
        self._largest = largest
        self._by_header: dict[Header, Recalled] = {}
        self._key_edition = 0
        revocations.on_change.setdefault("key", []).append(self._keys_changed)
        revocations.on_change.setdefault("user", []).append(self._keys_changed)

    def recall(self, header: Header, now: float) -> Recalled | None:
        """Return what this header meant, unless it may mean something else by now."""
        known = self._by_header.get(header)
        if known is None:
            return None
        if known.ends > now and self._stands(known):
            return known
        self._by_header.pop(header, None)
        return None

    def remember(self, header: Header, identity: Identity, now: float) -> Identity:
        """Keep the identity if it is one of a token or key and nothing else; return it either way."""
        principal = identity.principal
        if principal is None or identity.bad is not None:
            return identity
        if principal.kind == "token" and principal.expires_at and _SESSION.fullmatch(principal.credential_id):
            session, ends, edition = int(principal.credential_id, 16), principal.expires_at, self._verified.edition
            return self._keep(header, Recalled(principal, None, session=session, ends=ends, edition=edition))
        if principal.kind == "key":
            until = min(principal.expires_at or now + KEY_SECONDS, now + KEY_SECONDS)
            return self._keep(header, Recalled(principal, None, ends=until, edition=self._key_edition))
        return identity

    def _keep(self, header: Header, recalled: Recalled) -> Recalled:
        if len(self._by_header) >= self._largest:
            self._by_header.pop(next(iter(self._by_header)), None)
        self._by_header[header] = recalled
        return recalled

    def _stands(self, known: Recalled) -> bool:
        if known.session is None:
            return known.edition == self._key_edition
        principal = known.principal
        return known.edition == self._verified.edition and not self._revocations.refuses(
            known.session, principal.subject, principal.epoch
        )

    def _keys_changed(self, _: str) -> None:
        """A key or an owner changed: which keys that concerns is not worth working out."""
        self._key_edition += 1


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


def known_headers(readers: Iterable[object]) -> frozenset[bytes]:
    """Return the headers that readers are known to look at, whether or not some look elsewhere too."""
    found: frozenset[bytes] = frozenset()
    for reader in readers:
        everything: frozenset[bytes] | None = getattr(reader, "headers", None)
        found |= getattr(reader, "known_headers", frozenset()) if everything is None else everything
    return found
