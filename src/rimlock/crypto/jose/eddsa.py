"""Ed25519.

Threat: a public key of small order, under which one signature fits every text; two encodings of one point.
Source: RFC 8032 section 5.1; RFC 8037 section 2; RFC 9864 (the name `Ed25519`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose.keys import Algorithm, SigningKey, VerifyingKey
from rimlock.crypto.jose.refusals import KeyRefused, KeyUnsupported, Reason, TokenRefused

__all__ = ["Ed25519Signer", "Ed25519Verifier"]

_PRIME = 2**255 - 19
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ROOT_OF_MINUS_ONE = pow(2, (_PRIME - 1) // 4, _PRIME)
_SIZE = 32


@dataclass(frozen=True, slots=True)
class Ed25519Verifier(VerifyingKey):
    """Checks Ed25519 signatures."""

    algorithm: ClassVar[Algorithm] = Algorithm.ED25519
    names: ClassVar[frozenset[str]] = frozenset({"EdDSA", "Ed25519"})
    material: Ed25519PublicKey = field(repr=False)

    @classmethod
    def from_members(cls, kid: str, jwk: dict[str, Any]) -> Ed25519Verifier:
        """Return the key a JWK of type OKP describes; raise KeyRefused for another curve or an unsound point."""
        if jwk.get("crv") != "Ed25519":
            raise KeyUnsupported("of the OKP curves only Ed25519 is supported")
        encoded = decode(jwk["x"])
        _check_point(encoded)
        return cls(kid, Ed25519PublicKey.from_public_bytes(encoded))

    def verify(self, signature: bytes, data: bytes) -> None:
        """See VerifyingKey."""
        try:
            self.material.verify(signature, data)
        except InvalidSignature:
            raise TokenRefused(Reason.SIGNATURE) from None

    def members(self) -> dict[str, str]:
        """See VerifyingKey."""
        return {"crv": "Ed25519", "kty": "OKP", "x": encode(self.material.public_bytes_raw())}


@dataclass(frozen=True, slots=True)
class Ed25519Signer(SigningKey):
    """Makes Ed25519 signatures."""

    algorithm: ClassVar[Algorithm] = Algorithm.ED25519
    material: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, kid: str) -> Ed25519Signer:
        """Return a new key."""
        return cls(kid, Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, kid: str, data: bytes) -> Ed25519Signer:
        """Return the key in the PKCS8 DER `data`."""
        material = load_der_private_key(data, password=None)
        if not isinstance(material, Ed25519PrivateKey):
            raise KeyRefused("the stored key is not an Ed25519 key")
        return cls(kid, material)

    @property
    def public(self) -> Ed25519Verifier:
        """See SigningKey."""
        return Ed25519Verifier(self.kid, self.material.public_key())

    def sign(self, data: bytes) -> bytes:
        """See SigningKey."""
        return self.material.sign(data)

    def private_bytes(self) -> bytes:
        """See SigningKey."""
        return self.material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _check_point(encoded: bytes) -> None:
    if len(encoded) != _SIZE:
        raise KeyRefused("an Ed25519 public key has 32 bytes")
    y = int.from_bytes(encoded, "little") & (2**255 - 1)
    if y >= _PRIME:
        raise KeyRefused("the Ed25519 public key is not in canonical form")
    x = _x_of(y)
    if x == 0 and encoded[-1] & 0x80:
        raise KeyRefused("the Ed25519 public key is not in canonical form")
    if _has_small_order(x, y):
        raise KeyRefused("the Ed25519 public key is of small order")


def _x_of(y: int) -> int:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _PRIME) % _PRIME
    root = pow(square, (_PRIME + 3) // 8, _PRIME)
    if (root * root - square) % _PRIME:
        root = root * _ROOT_OF_MINUS_ONE % _PRIME
    if (root * root - square) % _PRIME:
        raise KeyRefused("the Ed25519 public key is not a point of the curve")
    return root


def _has_small_order(x: int, y: int) -> bool:
    # The cofactor is 8: a point of small order is the neutral one after three doublings.
    for _ in range(3):
        x, y = _doubled(x, y)
    return (x, y) == (0, 1)


def _doubled(x: int, y: int) -> tuple[int, int]:
    product = _D * x * x * y * y
    doubled_x = 2 * x * y * pow(1 + product, -1, _PRIME)
    doubled_y = (y * y + x * x) * pow(1 - product, -1, _PRIME)
    return doubled_x % _PRIME, doubled_y % _PRIME
