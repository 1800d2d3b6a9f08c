"""Passwords: hashed, verified in whatever form they were stored, and judged before they are accepted.

Threat: see the modules; each names its own.
Source: NIST SP 800-63B-4 section 3.1.1; OWASP ASVS 5.0 V6.2 and V11.4.
"""

from __future__ import annotations

from rimlock.crypto.passwords.argon import (
    ASVS_46_MIB,
    CHEAPEST_FOR_TESTS,
    DEFAULT,
    RFC_9106_LOW_MEMORY,
    Argon2Cost,
)
from rimlock.crypto.passwords.encoding import MAXIMUM_BYTES
from rimlock.crypto.passwords.errors import (
    HashUnreadable,
    PasswordError,
    PasswordMismatch,
    PasswordTooLong,
    PasswordUnencodable,
    PasswordUnusable,
    VerifierMissing,
)
from rimlock.crypto.passwords.hashes import PasswordHasher, PasswordHashes, Verified

__all__ = [
    "ASVS_46_MIB",
    "CHEAPEST_FOR_TESTS",
    "DEFAULT",
    "MAXIMUM_BYTES",
    "RFC_9106_LOW_MEMORY",
    "Argon2Cost",
    "HashUnreadable",
    "PasswordError",
    "PasswordHasher",
    "PasswordHashes",
    "PasswordMismatch",
    "PasswordTooLong",
    "PasswordUnencodable",
    "PasswordUnusable",
    "Verified",
    "VerifierMissing",
]
