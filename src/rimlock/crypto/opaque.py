"""Secrets that mean something to us alone: refresh tokens, API keys, one-time challenges.

Threat: guessing, forging, a second spelling of one token, a timing difference, a plain secret at rest.
Source: RFC 2104 (HMAC); RFC 6749 section 10.10 (guessing); OWASP ASVS 5.0 V7.2, V11.5.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as keyed_digest
from secrets import randbits, token_bytes, token_hex
from zlib import crc32

from rimlock.crypto.encoding import encode
from rimlock.crypto.secret import RootSecret

__all__ = [
    "API_KEY_PATTERN",
    "OpaqueRefused",
    "RefreshClaim",
    "api_key_pattern",
    "digest",
    "hint",
    "looks_issued",
    "mint_refresh",
    "new_api_key",
    "new_challenge",
    "new_secret",
    "read_refresh",
    "split_challenge",
]

_REFRESH_PURPOSE = "refresh"
_REFRESH_LONGEST = 160
_REFRESH = re.compile(r"(rr1\.([0-9a-f]{32})\.(0|[1-9][0-9]{0,14}))\.([A-Za-z0-9_-]{43})")
_CHALLENGE = re.compile(r"([0-9a-f]{32})\.([A-Za-z0-9_-]{43})")
_PREFIX = re.compile(r"[a-z][a-z0-9]{1,15}")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BODY, _CHECKSUM = 43, 6
_SHORTEST_HINTED = 16


class OpaqueRefused(Exception):
    """The text is not a token of ours. `reason`: `too_large`, `malformed` or `mac`; never the text itself."""

    def __init__(self, reason: str) -> None:
        """`reason` is a stable word for logs and tests."""
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class RefreshClaim:
    """What a genuine refresh token says: a session and the generation it was minted for."""

    session_id: str
    generation: int


def mint_refresh(root: RootSecret, session_id: str, generation: int) -> str:
    """Return the refresh token of a session's generation: the same text whenever it is asked for.

    `session_id`: 32 lower-case hexadecimal digits. `generation`: 0 or more.
    """
    text = f"rr1.{session_id}.{generation}"
    token = f"{text}.{_mac(root.derive(_REFRESH_PURPOSE), text)}"
    if not _REFRESH.fullmatch(token):
        raise ValueError("a session id is 32 hexadecimal digits and a generation a whole number from 0")
    return token


def read_refresh(root: RootSecret, token: str) -> RefreshClaim:
    """Return what `token` says once its MAC fits under one of the secrets; raise OpaqueRefused otherwise.

    Says nothing about whether the session lives or the generation is current: that is the database's to say.
    """
    if len(token) > _REFRESH_LONGEST:
        raise OpaqueRefused("too_large")
    parts = _REFRESH.fullmatch(token)
    if parts is None:
        raise OpaqueRefused("malformed")
    text, session_id, generation, mac = parts.groups()
    if not any(compare_digest(_mac(key, text), mac) for key in root.derive_all(_REFRESH_PURPOSE)):
        raise OpaqueRefused("mac")
    return RefreshClaim(session_id, int(generation))


def _mac(key: bytes, text: str) -> str:
    return encode(keyed_digest(key, text.encode(), "sha256"))


def new_secret(size: int = 32) -> str:
    """Return `size` random bytes (16 or more) as base64url text."""
    if size < 16:  # noqa: PLR2004
        raise ValueError("a secret has at least 16 bytes")
    return encode(token_bytes(size))


def digest(text: str | bytes) -> str:
    """Return SHA-256 in hexadecimal: how a secret of full entropy rests in the database."""
    return sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def api_key_pattern(prefix: str = "rl") -> str:
    """Return a regular expression by which secret scanners find keys with this prefix."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("an API key prefix is 2 to 16 lower-case letters and digits, a letter first")
    return rf"\b{prefix}_[0-9A-Za-z]{{{_BODY}}}_[0-9A-Za-z]{{{_CHECKSUM}}}\b"


API_KEY_PATTERN = api_key_pattern()
"""Finds keys with the prefix `rl`; publish it to secret scanners."""


def new_api_key(prefix: str = "rl") -> str:
    """Return a new key: `<prefix>_<256 random bits, base62>_<CRC32, base62>`.

    The checksum proves nothing; it lets a scanner, or us before any lookup, drop what only resembles a key.
    """
    api_key_pattern(prefix)
    text = f"{prefix}_{_base62(randbits(256), _BODY)}"
    return f"{text}_{_checksum(text)}"


def looks_issued(key: str, prefix: str = "rl") -> bool:
    """Tell whether `key` has our form and its checksum is right. It may still be unknown or revoked."""
    text, _, checksum = key.rpartition("_")
    return bool(re.fullmatch(api_key_pattern(prefix), key)) and _checksum(text) == checksum


def hint(key: str) -> str:
    """Return what may be shown of a key: its prefix and last four characters, nothing of a short foreign one."""
    if len(key) < _SHORTEST_HINTED:
        return "…"
    prefix, separator, _ = key.partition("_")
    shown = f"{prefix}_" if separator and _PREFIX.fullmatch(prefix) else ""
    return f"{shown}…{key[-4:]}"


def _checksum(text: str) -> str:
    return _base62(crc32(text.encode()), _CHECKSUM)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def new_challenge() -> tuple[str, str, str]:
    """Return `(token, id, digest)`: the token `<id>.<secret>` travels, the id and the digest rest.

    The id finds the one row a guess could be tried against; only the secret's digest is kept.
    """
    challenge_id, secret = token_hex(16), new_secret()
    return f"{challenge_id}.{secret}", challenge_id, digest(secret)


def split_challenge(token: str) -> tuple[str, str]:
    """Return `(id, digest of the secret)` of a challenge token; raise OpaqueRefused for any other text."""
    parts = _CHALLENGE.fullmatch(token)
    if parts is None:
        raise OpaqueRefused("malformed")
    return parts[1], digest(parts[2])
