"""Signed tokens and their keys: the strict envelope.

Threat: see the modules; each names its own.
Source: RFC 7515, 7517, 7518, 7519, 7638, 8037, 8725, 9068.
"""

from __future__ import annotations

from rimlock.crypto.jose.algorithms import generate, load_private, private_bytes, shared_key
from rimlock.crypto.jose.claims import Expectation, check_claims
from rimlock.crypto.jose.envelope import MAX_BYTES, read, sign
from rimlock.crypto.jose.jwk import from_jwk, key_set, thumbprint, to_jwk
from rimlock.crypto.jose.keys import Algorithm, SigningKey, VerifyingKey
from rimlock.crypto.jose.refusals import KeyRefused, KeyUnsupported, Reason, TokenRefused

__all__ = [
    "MAX_BYTES",
    "Algorithm",
    "Expectation",
    "KeyRefused",
    "KeyUnsupported",
    "Reason",
    "SigningKey",
    "TokenRefused",
    "VerifyingKey",
    "check_claims",
    "from_jwk",
    "generate",
    "key_set",
    "load_private",
    "private_bytes",
    "read",
    "shared_key",
    "sign",
    "thumbprint",
    "to_jwk",
]
