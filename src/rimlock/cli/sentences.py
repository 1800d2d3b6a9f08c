"""What an expected failure is called on standard error: one sentence, with the mend where there is one.

Threat: an internal message that repeats an address or a token; a failure nobody knows how to mend.
Source: OWASP ASVS 5.0 V16.5.1 (generic messages on failures).
"""

from __future__ import annotations

from rimlock.core.errors import AuthError, ConfigurationError, Unavailable
from rimlock.crypto.passwords.policy import PasswordRefused
from rimlock.crypto.sealing import SealBroken

__all__ = ["EXPECTED", "sentence"]

EXPECTED = (AuthError, ConfigurationError, PasswordRefused, SealBroken)
"""What may happen to somebody who did nothing wrong, or something a sentence can mend."""


SEAL = (
    "the signing keys were sealed under another secret; "
    "put that secret back into RIMLOCK_SECRETS, after the present one"
)
NO_ANSWER = "the database does not answer; see whether it runs and whether DATABASE_URL is right"


def sentence(error: Exception) -> str:
    """Return what to say of an expected failure."""
    if isinstance(error, SealBroken):
        return SEAL
    if isinstance(error, Unavailable):
        return NO_ANSWER
    if isinstance(error, PasswordRefused):
        return " ".join(violation.text for violation in error.violations)
    if isinstance(error, AuthError):
        fields = " ".join(one["detail"] for one in error.errors if "detail" in one)
        return f"{error.detail} {fields}".strip()
    return str(error)
