"""What a signing and a verifying key are: each bound to one algorithm by its type.

Threat: algorithm confusion. A key that can be used in two ways will be used in the wrong one.
Source: RFC 8725 sections 3.1 and 3.2; RFC 7515 section 10.7.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import ClassVar

from rimlock.crypto.jose.refusals import KeyRefused

__all__ = ["SAFE_KID", "Algorithm", "SigningKey", "VerifyingKey"]

SAFE_KID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
"""What a key id may be made of: nothing that means something to a shell, a query or a log."""


@unique
class Algorithm(StrEnum):
    """The algorithms there are; the values are the names published in headers and key sets."""

    ED25519 = "EdDSA"
    ES256 = "ES256"
    RS256 = "RS256"
    HS256 = "HS256"


@dataclass(frozen=True, slots=True)
class _Named:
    kid: str
    algorithm: ClassVar[Algorithm]

    def __post_init__(self) -> None:
        if not SAFE_KID.fullmatch(self.kid):
            raise KeyRefused("a key id is 1 to 128 characters of A-Z a-z 0-9 . _ ~ + / = : @ -")


@dataclass(frozen=True, slots=True)
class VerifyingKey(_Named, ABC):
    """Checks signatures of one algorithm. `names`: the header's `alg` values it answers to."""

    names: ClassVar[frozenset[str]]

    @abstractmethod
    def verify(self, signature: bytes, data: bytes) -> None:
        """Return when `signature` is genuine for `data`; raise TokenRefused (`signature`) otherwise."""

    @abstractmethod
    def members(self) -> dict[str, str]:
        """Return the required public members of the key's JWK; raise KeyRefused when the key has no public form."""


@dataclass(frozen=True, slots=True)
class SigningKey(_Named, ABC):
    """Makes signatures of one algorithm."""

    @property
    @abstractmethod
    def public(self) -> VerifyingKey:
        """The key that checks what this one signs, under the same kid."""

    @abstractmethod
    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data` in the form JOSE carries."""

    @abstractmethod
    def private_bytes(self) -> bytes:
        """Return what `load_private` takes: PKCS8 DER, or the raw secret. Seal it before it rests anywhere."""
