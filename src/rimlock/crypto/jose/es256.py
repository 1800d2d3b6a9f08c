"""ECDSA on P-256 with SHA-256.

Threat: a repeated nonce gives the private key away; zero signatures; a DER signature as a second spelling.
Source: RFC 7518 section 3.4; RFC 6979 (deterministic nonces).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose.keys import Algorithm, SigningKey, VerifyingKey
from rimlock.crypto.jose.refusals import KeyRefused, KeyUnsupported, Reason, TokenRefused

__all__ = ["ES256Signer", "ES256Verifier"]

_SIZE = 32
_CHECK = ECDSA(SHA256())


@dataclass(frozen=True, slots=True)
class ES256Verifier(VerifyingKey):
    """Checks ES256 signatures: r and s, 32 bytes each."""

    algorithm: ClassVar[Algorithm] = Algorithm.ES256
    names: ClassVar[frozenset[str]] = frozenset({"ES256"})
    material: EllipticCurvePublicKey = field(repr=False)

    @classmethod
    def from_members(cls, kid: str, jwk: dict[str, Any]) -> ES256Verifier:
        """Return the key a JWK of type EC describes; raise KeyRefused for another curve or a point off the curve."""
        if jwk.get("crv") != "P-256":
            raise KeyUnsupported("of the EC curves only P-256 is supported")
        numbers = EllipticCurvePublicNumbers(_coordinate(jwk["x"]), _coordinate(jwk["y"]), SECP256R1())
        try:
            return cls(kid, numbers.public_key())
        except ValueError:
            raise KeyRefused("the EC public key is not a point of P-256") from None

    def verify(self, signature: bytes, data: bytes) -> None:
        """See VerifyingKey."""
        if len(signature) != 2 * _SIZE:
            raise TokenRefused(Reason.SIGNATURE)
        r, s = int.from_bytes(signature[:_SIZE]), int.from_bytes(signature[_SIZE:])
        try:
            self.material.verify(encode_dss_signature(r, s), data, _CHECK)
        except InvalidSignature:
            raise TokenRefused(Reason.SIGNATURE) from None

    def members(self) -> dict[str, str]:
        """See VerifyingKey."""
        numbers = self.material.public_numbers()
        x, y = numbers.x.to_bytes(_SIZE), numbers.y.to_bytes(_SIZE)
        return {"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)}


@dataclass(frozen=True, slots=True)
class ES256Signer(SigningKey):
    """Makes ES256 signatures, deterministic where OpenSSL can (3.2 and later), else with its random nonces."""

    algorithm: ClassVar[Algorithm] = Algorithm.ES256
    material: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls, kid: str) -> ES256Signer:
        """Return a new key."""
        return cls(kid, generate_private_key(SECP256R1()))

    @classmethod
    def load(cls, kid: str, data: bytes) -> ES256Signer:
        """Return the key in the PKCS8 DER `data`."""
        material = load_der_private_key(data, password=None)
        if not isinstance(material, EllipticCurvePrivateKey) or not isinstance(material.curve, SECP256R1):
            raise KeyRefused("the stored key is not a P-256 key")
        return cls(kid, material)

    @property
    def public(self) -> ES256Verifier:
        """See SigningKey."""
        return ES256Verifier(self.kid, self.material.public_key())

    def sign(self, data: bytes) -> bytes:
        """See SigningKey."""
        r, s = decode_dss_signature(self.material.sign(data, _MAKE))
        return r.to_bytes(_SIZE) + s.to_bytes(_SIZE)

    def private_bytes(self) -> bytes:
        """See SigningKey."""
        return self.material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _coordinate(text: str) -> int:
    encoded = decode(text)
    if len(encoded) != _SIZE:
        raise KeyRefused("a coordinate of P-256 has 32 bytes")
    return int.from_bytes(encoded)


def _signing_scheme() -> ECDSA:
    try:
        return ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        return ECDSA(SHA256())


_MAKE = _signing_scheme()
