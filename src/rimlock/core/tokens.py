"""Access tokens: signed once, read without a query, and without a signature check that was already done.

Threat: a token of another kind, issuer or audience taken for ours; a cached answer that outlives its token.
Source: RFC 9068 (JWT profile for access tokens), RFC 8725 (JWT best practice).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol

from rimlock.core.errors import CredentialExpired, CredentialInvalid
from rimlock.core.ids import new_id
from rimlock.core.principal import Principal
from rimlock.crypto import jose

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rimlock.core.keyring import KeyRing

__all__ = ["AccessTokens", "Grant", "JwtAccessTokens", "KeyUnknown", "TokenSettings", "VerifiedTokens"]

TYPES = frozenset({"at+jwt"})
MAX_LIFETIME = 24 * 3600


class KeyUnknown(CredentialInvalid):
    """The token names a key this process does not know. It may be one that was made a moment ago."""

    code, title = "signing_key_unknown", "The credential is not valid."


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """`lifetime` and `leeway` in seconds; `audience` is what a token must be for; `client_id` names first-party use."""

    issuer: str
    audience: str
    lifetime: int = 900
    leeway: int = 5
    client_id: str = "first-party"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What an access token is to say."""

    user_id: str
    session_id: str
    roles: frozenset[str]
    epoch: int
    auth_time: int
    scopes: frozenset[str] = frozenset()


class AccessTokens(Protocol):
    """A token format. A host may bring its own. Tokens travel in `Authorization: Bearer`."""

    def sign(self, grant: Grant, now: float) -> tuple[str, int]:
        """Return the token and its lifetime in seconds."""
        ...

    def read(self, token: bytes, now: float) -> Principal:
        """Return whom the token speaks for. Raises CredentialInvalid, CredentialExpired, KeyUnknown.

        The principal has the session of the grant as its `credential_id`, its user as `subject` and `user_id`, and
        its epoch: by these a token is revoked. What it said is remembered until `expires_at`.
        """
        ...

    def recognises(self, token: bytes) -> bool:
        """Say whether a text, good or not, claims to be such a token; any other is left to other readers."""
        ...


class JwtAccessTokens:
    """RFC 9068 tokens signed by the keys of a ring."""

    def __init__(self, settings: TokenSettings, permissions: Callable[[frozenset[str]], frozenset[str]]) -> None:
        """`permissions` maps roles to what they allow, by configuration."""
        self.settings = settings
        self._permissions = permissions
        self._ring: KeyRing | None = None
        self._expect = jose.Expectation(
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=timedelta(seconds=settings.leeway),
            max_lifetime=timedelta(seconds=MAX_LIFETIME),
        )

    def use(self, ring: KeyRing) -> None:
        """Sign and verify with these keys from now on."""
        self._ring = ring

    @property
    def ring(self) -> KeyRing:
        """The keys in use. Raises KeyUnknown before they are loaded, so that nothing is let in."""
        if self._ring is None:
            raise KeyUnknown
        return self._ring

    def sign(self, grant: Grant, now: float) -> tuple[str, int]:
        """See AccessTokens.sign."""
        settings, at = self.settings, int(now)
        claims: dict[str, Any] = {
            "iss": settings.issuer,
            "aud": settings.audience,
            "sub": grant.user_id,
            "client_id": settings.client_id,
            "iat": at,
            "exp": at + settings.lifetime,
            "jti": new_id(now),
            "sid": grant.session_id,
            "auth_time": grant.auth_time,
            "epoch": grant.epoch,
            "roles": sorted(grant.roles),
        }
        if grant.scopes:
            claims["scope"] = " ".join(sorted(grant.scopes))
        return jose.sign(self.ring.signer(now), claims, reread=False), settings.lifetime

    def read(self, token: bytes, now: float) -> Principal:
        """See AccessTokens.read."""
        try:
            claims = jose.read(token, self.ring.verifiers(now), typ=TYPES)
            jose.check_claims(claims, self._expect, now)
        except jose.TokenRefused as refused:
            raise _translated(refused) from None
        return self._principal(claims)

    def recognises(self, token: bytes) -> bool:
        """See AccessTokens.recognises. Another issuer's token is none of our business."""
        try:
            _, payload, _ = token.split(b".")
            claims = json.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
        except (ValueError, RecursionError):
            return False
        return isinstance(claims, dict) and claims.get("iss") == self.settings.issuer

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        sid, epoch, roles = claims.get("sid"), claims.get("epoch"), claims.get("roles")
        if not _session_id(sid) or type(epoch) is not int or not _names(roles):
            raise CredentialInvalid
        names = frozenset(roles)  # type: ignore[arg-type]
        return Principal(
            subject=claims["sub"],
            kind="token",
            credential_id=sid,  # type: ignore[arg-type]
            user_id=claims["sub"],
            issuer=claims["iss"],
            roles=names,
            permissions=self._permissions(names),
            scopes=frozenset(str(claims.get("scope", "")).split()),
            epoch=epoch,
            auth_time=claims.get("auth_time", 0),
            expires_at=claims["exp"],
        )


class VerifiedTokens:
    """Tokens already verified, bounded, by digest. An entry never outlives its token or the ring that verified it."""

    def __init__(self, largest: int = 20_000) -> None:
        """`largest`: how many tokens are remembered at most."""
        self._entries: dict[bytes, tuple[Principal, int, float]] = {}
        self._largest = largest
        self.edition = 0

    def get(self, token: bytes, now: float) -> tuple[Principal, int] | None:
        """Return the principal and its session as a number, or None when the token has to be verified."""
        key = sha256(token).digest()
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[2] <= now:
            self._entries.pop(key, None)
            return None
        return entry[0], entry[1]

    def put(self, token: bytes, principal: Principal) -> int:
        """Remember a verified token until it expires; return its session as a number.

        Raises CredentialInvalid for a session that is none of ours: it could never be revoked.
        """
        if not _session_id(principal.credential_id):
            raise CredentialInvalid
        if len(self._entries) >= self._largest:
            self._entries.pop(next(iter(self._entries)), None)
        session = int(principal.credential_id, 16)
        self._entries[sha256(token).digest()] = (principal, session, float(principal.expires_at or 0))
        return session

    def clear(self) -> None:
        """Forget everything: a key was changed. The `edition` tells those who remember what rests on it."""
        self._entries.clear()
        self.edition += 1


def _translated(refused: jose.TokenRefused) -> CredentialInvalid:
    if refused.reason == jose.Reason.EXPIRED:
        return CredentialExpired()
    if refused.reason == jose.Reason.KEY_UNKNOWN:
        return KeyUnknown()
    return CredentialInvalid()


def _session_id(value: object) -> bool:
    return isinstance(value, str) and len(value) == 32 and all(sign in "0123456789abcdef" for sign in value)  # noqa: PLR2004


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
