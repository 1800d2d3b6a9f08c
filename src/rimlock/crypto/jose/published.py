"""Recognising a key of another algorithm in what is offered as a shared secret.

Threat: key confusion. A verifier that takes a published key as its HMAC secret accepts everybody's signatures.
Source: RFC 8725 section 2.1; RFC 7468 (PEM); RFC 4253 section 6.6 (SSH); SEC 1 section 2.3 (X9.62 points).
"""

from __future__ import annotations

import json
import re
from binascii import Error, a2b_base64, unhexlify
from collections.abc import Callable, Iterator

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, SECP521R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from cryptography.x509 import load_der_x509_certificate

__all__ = ["looks_like_key"]

_ARMOUR = re.compile(rb"-----\s*(BEGIN|END)|---- BEGIN SSH2|PuTTY-User-Key-File|\b(ssh|ecdsa|sk)-[a-z0-9-]+[ @]")
_SSH_BLOB = re.compile(rb"\x00\x00\x00.(ssh|ecdsa|sk)-", re.DOTALL)
_JWK_MEMBERS = frozenset({"kty", "keys", "n", "x", "crv"})
# Number of bytes of a point, first byte 4 when both coordinates are there, 2 or 3 when one is.
_POINTS: dict[int, type[SECP256R1 | SECP384R1 | SECP521R1]] = {
    65: SECP256R1,
    97: SECP384R1,
    133: SECP521R1,
    33: SECP256R1,
    49: SECP384R1,
    67: SECP521R1,
}


def looks_like_key(secret: bytes) -> bool:
    """Tell whether `secret` is, as it stands or under base64 or hexadecimal, a PEM, DER, SSH, JWK or X9.62 key.

    A bare 32-byte Ed25519 point can't be told from random bytes; only the type of the key guards against that.
    """
    return any(_is_key(form) for form in (secret, *_decoded(secret))) or _is_point(secret)


def _is_key(data: bytes) -> bool:
    return bool(_ARMOUR.search(data) or _SSH_BLOB.match(data)) or _is_jwk(data) or _is_der(data) or _is_long_point(data)


def _decoded(data: bytes) -> Iterator[bytes]:
    text = b"".join(data.split())
    for read in (_from_base64, unhexlify):
        try:
            yield read(text)
        except (Error, ValueError):
            continue


def _from_base64(text: bytes) -> bytes:
    standard = text.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    return a2b_base64(standard + b"=" * (-len(standard) % 4), strict_mode=True)


def _is_jwk(data: bytes) -> bool:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, (dict, list)) and (isinstance(value, list) or not _JWK_MEMBERS.isdisjoint(value))


def _is_der(data: bytes) -> bool:
    readers: tuple[Callable[[bytes], object], ...] = (
        load_der_public_key,
        lambda raw: load_der_private_key(raw, password=None),
        load_der_x509_certificate,
    )
    return any(_reads(reader, data) for reader in readers)


def _reads(reader: Callable[[bytes], object], data: bytes) -> bool:
    try:
        reader(data)
    except UnsupportedAlgorithm:
        return True
    except (ValueError, TypeError) as refused:
        # TypeError: an encrypted private key was recognised and asks for its password.
        return isinstance(refused, TypeError)
    return True


def _is_long_point(data: bytes) -> bool:
    return data[:1] == b"\x04" and _is_point(data)


def _is_point(data: bytes) -> bool:
    curve = _POINTS.get(len(data))
    if curve is None or data[0] not in (2, 3, 4):
        return False
    try:
        EllipticCurvePublicKey.from_encoded_point(curve(), data)
    except ValueError:
        return False
    return True
