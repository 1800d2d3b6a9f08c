"""Firebase Authentication's own scrypt, in a form that carries the project's parameters.

Threat: the signer key is a secret of the whole project and stands in every such string: guard the store accordingly
    and let the hashes be replaced. A stored cost is bounded as for any scrypt.
Source: the published description of Firebase's modified scrypt: a 32-byte scrypt key of the password, salted with the
    account's salt followed by the project's separator, encrypts the project's signer key by AES-256-CTR from zero.

The form, all values in base64 as Firebase exports them (`n` is its `mem_cost`, `r` its `rounds`):
`$firebase-scrypt$v=1$n=14,r=8,ss=<base64_salt_separator>,sk=<base64_signer_key>$<salt>$<passwordHash>`
"""

from __future__ import annotations

import re
from typing import Final

from rimlock.crypto.passwords.encoding import as_typed
from rimlock.crypto.passwords.foreign.form import form
from rimlock.crypto.passwords.foreign.scrypts import bounded_scrypt
from rimlock.crypto.passwords.stored import from_base64, require_equal, require_length

__all__ = ["FORMS"]

_SIGNER_KEY_BYTES: Final = 64
_BASE64: Final = r"[A-Za-z0-9+/_=-]"


def _firebase(parts: re.Match[str], password: str) -> None:
    salt = from_base64(parts["salt"]) + from_base64(parts["separator"])
    signer_key = require_length(from_base64(parts["key"]), _SIGNER_KEY_BYTES)
    expected = require_length(from_base64(parts["digest"]), _SIGNER_KEY_BYTES)
    key = bounded_scrypt(as_typed(password), salt, n=1 << int(parts["n"]), r=int(parts["r"]), p=1, length=32)
    require_equal(_encrypted(signer_key, key), expected)


def _encrypted(data: bytes, key: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR

    encryptor = Cipher(AES(key), CTR(bytes(16))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


FORMS = (
    form(
        "firebase-scrypt",
        rf"\$firebase-scrypt\$v=1\$n=(?P<n>[1-9][0-9]?),r=(?P<r>[1-9][0-9]?),ss=(?P<separator>{_BASE64}*),"
        rf"sk=(?P<key>{_BASE64}+)\$(?P<salt>{_BASE64}+)\$(?P<digest>{_BASE64}+)",
        _firebase,
    ),
)
