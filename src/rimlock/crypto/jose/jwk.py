"""Public keys as JSON, ours and other issuers': out they are minimal, in they are judged.

Threat: a private or symmetric key in a published set, a key used outside its purpose, two keys under one name,
weak or invalid numbers.
Source: RFC 7517; RFC 7518 section 6; RFC 7638 (thumbprint); RFC 8037 section 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from rimlock.crypto.encoding import encode
from rimlock.crypto.jose.eddsa import Ed25519Verifier
from rimlock.crypto.jose.es256 import ES256Verifier
from rimlock.crypto.jose.keys import VerifyingKey
from rimlock.crypto.jose.refusals import KeyRefused, KeyUnsupported
from rimlock.crypto.jose.rs256 import RS256Verifier

__all__ = ["from_jwk", "key_set", "thumbprint", "to_jwk"]

_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_MOST_KEYS = 64
_FROM: Final[dict[str, tuple[frozenset[str], Callable[[str, dict[str, Any]], VerifyingKey]]]] = {
    "OKP": (Ed25519Verifier.names, Ed25519Verifier.from_members),
    "EC": (ES256Verifier.names, ES256Verifier.from_members),
    "RSA": (RS256Verifier.names, RS256Verifier.from_members),
}


def to_jwk(key: VerifyingKey) -> dict[str, str]:
    """Return the public JWK with `kid`, `alg` and `use`; raise KeyRefused for a shared secret."""
    return {**key.members(), "kid": key.kid, "alg": key.algorithm.value, "use": "sig"}


def thumbprint(key: VerifyingKey) -> str:
    """Return the SHA-256 thumbprint of a public key, base64url: a kid that follows from the key itself."""
    canonical = json.dumps(key.members(), sort_keys=True, separators=(",", ":"))
    return encode(sha256(canonical.encode()).digest())


def from_jwk(jwk: Any) -> VerifyingKey:
    """Return the verifying key a public JWK describes, with its `kid` or, without one, its thumbprint as the kid.

    Raises KeyUnsupported for what we do not do (another algorithm, encryption), KeyRefused for what nobody should.
    """
    if not isinstance(jwk, dict):
        raise KeyRefused("a JWK is an object")
    if not _PRIVATE.isdisjoint(jwk) or jwk.get("kty") == "oct":
        raise KeyRefused("a key of a public set has a private or symmetric part")
    kid = jwk.get("kid")
    if not isinstance(kid, str | None):
        raise KeyRefused("a key id is text")
    _check_purpose(jwk)
    key = _built("-" if kid is None else kid, jwk)
    return key if kid is not None else _built(thumbprint(key), jwk)


def _built(kid: str, jwk: dict[str, Any]) -> VerifyingKey:
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in _FROM:
        raise KeyUnsupported("the key type is not supported")
    names, build = _FROM[kind]
    alg = jwk.get("alg", min(names))
    if not isinstance(alg, str):
        raise KeyRefused("the algorithm of a key is text")
    if alg not in names:
        raise KeyUnsupported("the algorithm of the key is not supported")
    try:
        return build(kid, jwk)
    except KeyRefused:
        raise
    except (KeyError, TypeError, ValueError, AttributeError):
        raise KeyRefused("a required member of the JWK is missing or not canonical base64url") from None


def _check_purpose(jwk: dict[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise KeyUnsupported("the key is not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or any(operations.count(each) > 1 for each in operations):
        raise KeyRefused("key_ops is a list without repetition")
    if "verify" not in operations:
        raise KeyUnsupported("the key is not for verifying")


def key_set(jwks: Any) -> dict[str, VerifyingKey]:
    """Return the usable keys of a JWK set by kid; keys we have no use for are passed over.

    Raises KeyRefused, for the whole set, when one key is private, symmetric, weak or invalid, when two share a kid,
    or when no key remains.
    """
    entries = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise KeyRefused(f"a key set has a list of at most {_MOST_KEYS} keys")
    _check_names(entries)
    keys: dict[str, VerifyingKey] = {}
    for key in filter(None, map(_supported, entries)):
        if keys.setdefault(key.kid, key) is not key:
            raise KeyRefused("two keys of the set are the same")
    if not keys:
        raise KeyRefused("the key set holds no key for signatures that is supported")
    return keys


def _check_names(entries: list[Any]) -> None:
    names = [entry["kid"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("kid"), str)]
    if len(names) != len(set(names)):
        raise KeyRefused("two keys of the set share a kid")


def _supported(jwk: Any) -> VerifyingKey | None:
    try:
        return from_jwk(jwk)
    except KeyUnsupported:
        return None
