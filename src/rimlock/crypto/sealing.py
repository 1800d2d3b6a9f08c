"""Encryption of what rests in the database: keys, and secrets that must be read again.

Threat: a copy of the database; a sealed value moved to another row or another column, where it would open.
Source: NIST SP 800-38D (AES-GCM, random 96-bit nonces); OWASP ASVS 5.0 V11.3.
"""

from __future__ import annotations

from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from rimlock.crypto.secret import RootSecret

__all__ = ["SealBroken", "seal", "unseal"]

_VERSION = b"\x01"
_NONCE = 12
_SHORTEST = len(_VERSION) + _NONCE + 16


class SealBroken(Exception):
    """The value was changed, belongs to another place, or was sealed under a secret that is not in the list."""


def seal(root: RootSecret, purpose: str, data: bytes, *, context: bytes) -> bytes:
    """Return `data` encrypted under the newest key for `purpose`.

    `context` names the place the value rests in (table, column, row id); `unseal` needs the same.
    Nonces are random: fewer than 2**32 values may be sealed under one secret and purpose.
    """
    nonce = token_bytes(_NONCE)
    return _VERSION + nonce + AESGCM(root.derive(_named(purpose))).encrypt(nonce, data, _VERSION + context)


def unseal(root: RootSecret, purpose: str, sealed: bytes, *, context: bytes) -> bytes:
    """Return what `seal` was given, trying every secret, newest first; raise SealBroken otherwise."""
    if len(sealed) < _SHORTEST or sealed[:1] != _VERSION:
        raise SealBroken("the sealed value does not have the known form")
    nonce, ciphertext = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
    for key in root.derive_all(_named(purpose)):
        try:
            return AESGCM(key).decrypt(nonce, ciphertext, _VERSION + context)
        except InvalidTag:
            continue
    raise SealBroken("the sealed value does not open here")


def _named(purpose: str) -> str:
    # Keeps a sealing key apart from a signing key that happens to bear the same purpose.
    return f"seal/{purpose}"
