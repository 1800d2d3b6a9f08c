"""The root secret: one list in the settings, one key per purpose derived from it.

Threat: a guessable secret; one key in two roles, so that a value made for one door opens another.
Source: RFC 5869 (HKDF); OWASP ASVS 5.0 V11.4.4, V13.3 (secrets, rotation).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["MINIMUM_BYTES", "RootSecret", "check_secret"]

MINIMUM_BYTES = 32
"""Shortest secret accepted, in bytes (256 bits when they are random)."""

_MINIMUM_DISTINCT = 8
_MEND = "; make one with: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
_SAMPLE = re.compile(
    r"changeme|changethis|changeit|replaceme|replacethis|secret|password|passw0rd|example|insecure|placeholder"
    r"|notsafe|unsafe|default|development|qwertyui|abcdefgh|12345678"
)
# Digests of values printed in tutorials that thousands of applications have kept.
_PUBLISHED = frozenset({"570dad43de1af4c925f92c16a68a50936da42b7dd6fdeb24850507a1199aac89"})


class RootSecret:
    """Secrets in order of age: the first derives, all are tried when something is checked.

    Raises ValueError, with the mend in the sentence, for an empty list or a secret that could be guessed.
    """

    __slots__ = ("_derived", "_values")

    def __init__(self, values: Sequence[str | bytes]) -> None:
        """`values`: newest first, each of at least 32 bytes; texts are taken as UTF-8."""
        if isinstance(values, (str, bytes)) or not values:
            raise ValueError("the root secret is a list of at least one secret, newest first" + _MEND)
        self._values = tuple(_as_bytes(value) for value in values)
        self._derived: dict[tuple[str, int], tuple[bytes, ...]] = {}
        for value in self._values:
            check_secret(value)

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """Return the newest key for `purpose`, `length` bytes long."""
        return self.derive_all(purpose, length)[0]

    def derive_all(self, purpose: str, length: int = 32) -> tuple[bytes, ...]:
        """Return the keys for `purpose`, one per secret, newest first."""
        known = self._derived.get((purpose, length))
        if known is None:
            known = tuple(_expand(value, purpose, length) for value in self._values)
            self._derived[purpose, length] = known
        return known

    def __repr__(self) -> str:
        """Say how many there are and nothing else."""
        return f"<RootSecret of {len(self._values)}>"

    def __reduce__(self) -> str:
        """Refuse to be pickled: a copy in a file or a queue is a leak."""
        raise TypeError("a root secret is not written anywhere")


def check_secret(value: bytes) -> None:
    """Raise ValueError, with the mend, when `value` is too short, repetitive or a known sample."""
    if len(value) < MINIMUM_BYTES:
        raise ValueError(f"the secret has {len(value)} bytes and needs {MINIMUM_BYTES}" + _MEND)
    if len(set(value)) < _MINIMUM_DISTINCT or _repeats(value):
        raise ValueError("the secret repeats itself" + _MEND)
    if _is_sample(value) or sha256(value).hexdigest() in _PUBLISHED:
        raise ValueError("the secret is a sample value" + _MEND)


def _is_sample(value: bytes) -> bool:
    # A telling word is no fault in a secret that would be long enough without it.
    letters = re.sub(r"[^a-z0-9]", "", value.decode("latin-1").lower())
    rest, words = _SAMPLE.subn("", letters)
    return words > 0 and len(rest) < MINIMUM_BYTES


def _repeats(value: bytes) -> bool:
    return any(value.startswith(value[period:]) for period in range(1, len(value) // 2 + 1))


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _expand(value: bytes, purpose: str, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=b"rimlock/" + purpose.encode()).derive(value)
