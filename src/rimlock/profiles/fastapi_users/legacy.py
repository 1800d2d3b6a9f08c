"""Tokens that FastAPI Users issued, read until a date and ended before it: see rimlock.profiles.legacy_tokens.

Threat: a link used twice; a token of one kind taken for another.
Source: FastAPI Users 15 (its JWT strategy and its manager); RFC 8725 sections 3.5 and 3.8; RFC 7519.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from rimlock.core.access import end_of
from rimlock.core.errors import CredentialInvalid
from rimlock.profiles.legacy_tokens import Claimed, claimed_by, key_of, person, principal_of, spend, unverified

if TYPE_CHECKING:
    from rimlock.crypto.jose.hs256 import HS256Verifier

__all__ = ["ISSUER", "Claimed", "LegacyTokens", "person", "principal_of", "spend"]

ISSUER = "fastapi-users"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTokens:
    """Which tokens made before are taken: signed by which secrets, and until when (the end of that day, UTC).

    `reset_secret`, `verify_secret`: of the links that were mailed; None takes none. Raises ConfigurationError for a
    secret that could be guessed: whoever does makes tokens for everybody, until the date.
    """

    secret: str = field(repr=False)
    until: date
    audience: str = "fastapi-users:auth"
    reset_secret: str | None = field(default=None, repr=False)
    verify_secret: str | None = field(default=None, repr=False)
    _keys: dict[str, HS256Verifier] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the keys. Raises ConfigurationError."""
        secrets = {"access": self.secret, "reset": self.reset_secret, "verify": self.verify_secret}
        keys = {
            name: key_of(secret, what=f"{name} secret of FastAPI Users")
            for name, secret in secrets.items()
            if secret is not None
        }
        object.__setattr__(self, "_keys", keys)

    @property
    def ends(self) -> int:
        """When the last of them is over, in seconds since the epoch."""
        return end_of(self.until)

    def looks_it(self, token: str) -> bool:
        """Say whether a text, good or not, claims to be an access token of that kind."""
        claims = unverified(token)
        return claims is not None and "iss" not in claims and _is_for(claims.get("aud"), self.audience)

    def access(self, token: str, now: float) -> Claimed:
        """Return what an access token says. Raises CredentialInvalid."""
        return self._read("access", token, self.audience, now)

    def reset(self, token: str, now: float) -> Claimed:
        """Return what a link to choose another password says. Raises CredentialInvalid."""
        return self._read("reset", token, "fastapi-users:reset", now)

    def verify(self, token: str, now: float) -> Claimed:
        """Return what a link that proves an address says. Raises CredentialInvalid."""
        return self._read("verify", token, "fastapi-users:verify", now)

    def _read(self, kind: str, token: str, audience: str, now: float) -> Claimed:
        key = self._keys.get(kind)
        if key is None:
            raise CredentialInvalid
        claimed = claimed_by(ISSUER, token, key, now=now, last=end_of(self.until))
        if not _is_for(claimed.claims.get("aud"), audience):
            raise CredentialInvalid
        return claimed


def _is_for(audience: object, wanted: str) -> bool:
    return audience == wanted or (isinstance(audience, list) and wanted in audience)
