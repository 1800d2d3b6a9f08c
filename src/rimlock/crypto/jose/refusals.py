"""Why a token or a key was refused, in stable words.

Threat: an answer, a log line or an exception that repeats the token or tells a forger how close the guess was.
Source: RFC 6750 section 3.1 (one answer, `invalid_token`); RFC 7515 section 5.2 (what a verifier must check).
"""

from __future__ import annotations

from enum import StrEnum, unique

__all__ = ["KeyRefused", "KeyUnsupported", "Reason", "TokenRefused"]


@unique
class Reason(StrEnum):
    """For logs, events and tests. What goes over the wire is one answer for all of them."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    ENCODING = "encoding"
    HEADER = "header"
    HEADER_TYPE = "header_type"
    DUPLICATE_MEMBER = "duplicate_member"
    NUMBER = "number"
    TEXT = "text"
    DEPTH = "depth"
    ALGORITHM = "algorithm"
    CRITICAL = "critical"
    EMBEDDED_KEY = "embedded_key"
    ENCRYPTED = "encrypted"
    TYPE = "type"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE = "signature"
    PAYLOAD = "payload"
    MISSING = "missing"
    CLAIM_TYPE = "claim_type"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME = "lifetime"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    SUBJECT = "subject"


class TokenRefused(Exception):
    """The token is not accepted. `reason` says why; nothing of the token is kept."""

    def __init__(self, reason: Reason) -> None:
        """`reason`: one of `Reason`."""
        self.reason = reason
        super().__init__(reason.value)


class KeyRefused(ValueError):
    """The key must not be used. The sentence says why and never shows key material."""


class KeyUnsupported(KeyRefused):
    """The key may be sound but is for something we do not do: another algorithm, another curve, encryption."""
