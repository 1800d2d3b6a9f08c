"""RSA with PKCS#1 v1.5 and SHA-256: for issuers that have nothing else.

Threat: short moduli, small exponents, factors that can be guessed (ROCA, primes too close to each other).
Source: RFC 7518 section 3.3; RFC 8017; CVE-2017-15361 (fingerprint from Nemec et al., ACM CCS 2017).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt
from typing import Any, ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose.keys import Algorithm, SigningKey, VerifyingKey
from rimlock.crypto.jose.refusals import KeyRefused, Reason, TokenRefused

__all__ = ["RS256Signer", "RS256Verifier"]

_OWN_BITS, _FOREIGN_BITS, _MOST_BITS = 3072, 2048, 8192
_EXPONENT, _MOST_EXPONENT = 65537, 2**32
_FERMAT_STEPS = 64
_PADDING, _HASH = PKCS1v15(), SHA256()


@dataclass(frozen=True, slots=True)
class RS256Verifier(VerifyingKey):
    """Checks RS256 signatures."""

    algorithm: ClassVar[Algorithm] = Algorithm.RS256
    names: ClassVar[frozenset[str]] = frozenset({"RS256"})
    material: RSAPublicKey = field(repr=False)

    @classmethod
    def from_members(cls, kid: str, jwk: dict[str, Any]) -> RS256Verifier:
        """Return the key a JWK of type RSA describes; raise KeyRefused when its numbers are weak."""
        modulus, exponent = _number(jwk["n"]), _number(jwk["e"])
        _check_numbers(modulus, exponent)
        return cls(kid, RSAPublicNumbers(exponent, modulus).public_key())

    def verify(self, signature: bytes, data: bytes) -> None:
        """See VerifyingKey."""
        try:
            self.material.verify(signature, data, _PADDING, _HASH)
        except InvalidSignature:
            raise TokenRefused(Reason.SIGNATURE) from None

    def members(self) -> dict[str, str]:
        """See VerifyingKey."""
        numbers = self.material.public_numbers()
        return {"e": _text(numbers.e), "kty": "RSA", "n": _text(numbers.n)}


@dataclass(frozen=True, slots=True)
class RS256Signer(SigningKey):
    """Makes RS256 signatures with a key of 3072 bits or more."""

    algorithm: ClassVar[Algorithm] = Algorithm.RS256
    material: RSAPrivateKey = field(repr=False)

    @classmethod
    def generate(cls, kid: str) -> RS256Signer:
        """Return a new key of 3072 bits."""
        return cls(kid, generate_private_key(_EXPONENT, _OWN_BITS))

    @classmethod
    def load(cls, kid: str, data: bytes) -> RS256Signer:
        """Return the key in the PKCS8 DER `data`; raise KeyRefused under 3072 bits."""
        material = load_der_private_key(data, password=None)
        if not isinstance(material, RSAPrivateKey):
            raise KeyRefused("the stored key is not an RSA key")
        if material.key_size < _OWN_BITS:
            raise KeyRefused(f"an RSA key of our own has at least {_OWN_BITS} bits, not {material.key_size}")
        return cls(kid, material)

    @property
    def public(self) -> RS256Verifier:
        """See SigningKey."""
        return RS256Verifier(self.kid, self.material.public_key())

    def sign(self, data: bytes) -> bytes:
        """See SigningKey."""
        return self.material.sign(data, _PADDING, _HASH)

    def private_bytes(self) -> bytes:
        """See SigningKey."""
        return self.material.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _number(text: str) -> int:
    encoded = decode(text)
    if not encoded or encoded[0] == 0:
        raise KeyRefused("a number of an RSA key has no leading zero byte")
    return int.from_bytes(encoded)


def _text(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8))


def _check_numbers(modulus: int, exponent: int) -> None:
    if not _FOREIGN_BITS <= modulus.bit_length() <= _MOST_BITS:
        raise KeyRefused(f"an RSA modulus has {_FOREIGN_BITS} to {_MOST_BITS} bits, not {modulus.bit_length()}")
    if not _EXPONENT <= exponent < _MOST_EXPONENT or exponent % 2 == 0:
        raise KeyRefused("an RSA exponent is odd, at least 65537 and below 2**32")
    if modulus % 2 == 0 or any(modulus % prime == 0 for prime, _ in _FINGERPRINTS):
        raise KeyRefused("the RSA modulus has a small factor")
    if all(modulus % prime in residues for prime, residues in _FINGERPRINTS):
        raise KeyRefused("the RSA modulus bears the fingerprint of ROCA")
    if _has_close_factors(modulus):
        raise KeyRefused("the RSA modulus has factors too close to each other")


def _has_close_factors(modulus: int) -> bool:
    # Fermat: n = a**2 - b**2 is found in a few steps from the square root when the factors are near each other.
    start = isqrt(modulus - 1) + 1
    return any(isqrt(rest) ** 2 == rest for rest in (a * a - modulus for a in range(start, start + _FERMAT_STEPS)))


def _powers(prime: int) -> frozenset[int]:
    return frozenset(pow(_EXPONENT, exponent, prime) for exponent in range(prime))


# Primes of the weak generator are powers of 65537 modulo every small prime, so their product is one too.
_SMALL_PRIMES = tuple(n for n in range(3, 168) if all(n % d for d in range(2, isqrt(n) + 1)))
_FINGERPRINTS = tuple((prime, _powers(prime)) for prime in _SMALL_PRIMES)
