"""HMAC with SHA-256: one secret on both sides, for issuers and hosts that work so.

Threat: a public key taken as the secret (everybody knows it), a secret short enough to be guessed offline.
Source: RFC 7518 section 3.2; RFC 8725 sections 3.1 and 3.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hmac import compare_digest, digest
from typing import ClassVar

from rimlock.crypto.jose.keys import Algorithm, SigningKey, VerifyingKey
from rimlock.crypto.jose.refusals import KeyRefused, Reason, TokenRefused
from rimlock.crypto.secret import check_secret

__all__ = ["HS256Signer", "HS256Verifier"]


@dataclass(frozen=True, slots=True)
class HS256Verifier(VerifyingKey):
    """Checks HS256 signatures. It is as secret as the signer, and has no public form.

    Raises ValueError for a secret under 32 bytes or easily guessed, and KeyRefused for one that is a key of another
    algorithm in any usual encoding: no key that somebody published can ever become a secret.
    """

    algorithm: ClassVar[Algorithm] = Algorithm.HS256
    names: ClassVar[frozenset[str]] = frozenset({"HS256"})
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        VerifyingKey.__post_init__(self)
        from rimlock.crypto.jose.published import looks_like_key  # it reads certificates, which is slow to import

        if looks_like_key(self.secret):
            raise KeyRefused("this is a key of another algorithm, not a shared secret")
        check_secret(self.secret)

    def verify(self, signature: bytes, data: bytes) -> None:
        """See VerifyingKey."""
        if not compare_digest(digest(self.secret, data, "sha256"), signature):
            raise TokenRefused(Reason.SIGNATURE)

    def members(self) -> dict[str, str]:
        """Raise KeyRefused: there is nothing here to publish."""
        raise KeyRefused("a shared secret has no public form")


@dataclass(frozen=True, slots=True)
class HS256Signer(SigningKey):
    """Makes HS256 signatures. Takes and refuses the same secrets as its verifier."""

    algorithm: ClassVar[Algorithm] = Algorithm.HS256
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        HS256Verifier(self.kid, self.secret)

    @property
    def public(self) -> HS256Verifier:
        """See SigningKey. Public by role only: never hand it out."""
        return HS256Verifier(self.kid, self.secret)

    def sign(self, data: bytes) -> bytes:
        """See SigningKey."""
        return digest(self.secret, data, "sha256")

    def private_bytes(self) -> bytes:
        """See SigningKey."""
        return self.secret
