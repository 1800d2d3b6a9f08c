"""The register of algorithms: the one place a new one is added.

Threat: an algorithm that can be reached without having been chosen.
Source: RFC 8725 section 3.1; OWASP ASVS 5.0 V11.1.2 and V11.2.2 (inventory, agility).
"""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes
from typing import Final

from rimlock.crypto.jose.eddsa import Ed25519Signer, Ed25519Verifier
from rimlock.crypto.jose.es256 import ES256Signer, ES256Verifier
from rimlock.crypto.jose.hs256 import HS256Signer, HS256Verifier
from rimlock.crypto.jose.keys import Algorithm, SigningKey
from rimlock.crypto.jose.refusals import KeyRefused
from rimlock.crypto.jose.rs256 import RS256Signer, RS256Verifier

__all__ = ["HEADER_NAMES", "generate", "load_private", "private_bytes", "shared_key"]

HEADER_NAMES: Final = Ed25519Verifier.names | ES256Verifier.names | RS256Verifier.names | HS256Verifier.names
"""Every value of `alg` that some key of ours answers to."""


def shared_key(kid: str, secret: bytes | str) -> HS256Signer:
    """Return the HS256 key of a shared secret (texts are taken as UTF-8); see HS256Verifier for what is refused."""
    return HS256Signer(kid, secret.encode() if isinstance(secret, str) else bytes(secret))


_GENERATE: Final[dict[Algorithm, Callable[[str], SigningKey]]] = {
    Algorithm.ED25519: Ed25519Signer.generate,
    Algorithm.ES256: ES256Signer.generate,
    Algorithm.RS256: RS256Signer.generate,
    Algorithm.HS256: lambda kid: shared_key(kid, token_bytes(64)),
}
_LOAD: Final[dict[Algorithm, Callable[[str, bytes], SigningKey]]] = {
    Algorithm.ED25519: Ed25519Signer.load,
    Algorithm.ES256: ES256Signer.load,
    Algorithm.RS256: RS256Signer.load,
    Algorithm.HS256: shared_key,
}


def generate(algorithm: Algorithm, kid: str) -> SigningKey:
    """Return a new key. RS256 (3072 bits) takes a good part of a second; the others microseconds."""
    return _GENERATE[Algorithm(algorithm)](kid)


def private_bytes(key: SigningKey) -> bytes:
    """Return the private key for storage: PKCS8 DER, or the raw secret of HS256. Seal it first."""
    return key.private_bytes()


def load_private(algorithm: Algorithm, kid: str, data: bytes) -> SigningKey:
    """Return the key `private_bytes` wrote; raise KeyRefused when it is of another algorithm, weak or broken."""
    try:
        return _LOAD[Algorithm(algorithm)](kid, data)
    except KeyRefused:
        raise
    except (ValueError, TypeError):
        raise KeyRefused(f"the stored key is not a usable {algorithm} key") from None
