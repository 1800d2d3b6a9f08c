"""Access tokens that the template issued, read until a date and ended before it: see rimlock.profiles.legacy_tokens.

Threat: a link to choose another password, signed with the same secret, that is taken for a sign-in.
Source: full-stack-fastapi-template (2026-08-21), `core/security.py` and `utils.py`; RFC 8725 section 3.11.

Its access tokens say `exp` and `sub`, a UUID, and nothing else. Its links say `nbf` as well, and an address in `sub`:
they are not taken at all, for they could be used again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from rimlock.core.access import end_of
from rimlock.core.errors import CredentialInvalid
from rimlock.profiles.ids import as_stored
from rimlock.profiles.legacy_tokens import claimed_by, key_of, unverified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock.crypto.jose.hs256 import HS256Verifier
    from rimlock.profiles.legacy_tokens import Claimed

__all__ = ["ISSUER", "LegacyTokens"]

ISSUER = "full-stack-template"
_SAID = {"exp", "sub"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTokens:
    """Which tokens made before are taken: signed by the application's SECRET_KEY, and until when (end of day, UTC).

    Raises ConfigurationError for a secret that could be guessed: whoever does makes tokens for everybody.
    """

    secret: str = field(repr=False)
    until: date
    _key: HS256Verifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the key. Raises ConfigurationError."""
        object.__setattr__(self, "_key", key_of(self.secret, what="SECRET_KEY of the template"))

    def looks_it(self, token: str) -> bool:
        """Say whether a text, good or not, claims to be an access token of that kind."""
        claims = unverified(token)
        return claims is not None and _is_access(claims)

    def access(self, token: str, now: float) -> Claimed:
        """Return what an access token says. Raises CredentialInvalid."""
        claimed = claimed_by(ISSUER, token, self._key, now=now, last=end_of(self.until))
        if not _is_access(claimed.claims):
            raise CredentialInvalid
        return claimed


def _is_access(claims: Mapping[str, object]) -> bool:
    """Whether it says what an access token says, no more and no less. One without an end was never issued."""
    return set(claims) == _SAID and bool(as_stored(str(claims["sub"]), "uuid"))
