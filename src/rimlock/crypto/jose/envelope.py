"""Signed tokens in compact form: written one way, read strictly.

Threat: everything a forger can do to the outside of a token: other algorithms, other kinds of token, keys brought
along, second spellings, oversized or deeply nested input. Nothing of the payload is looked at before the signature.
Source: RFC 7515 sections 4, 5.2 and 7.1; RFC 7519 section 7.2; RFC 8725 section 3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rimlock.crypto.encoding import ALPHABET, decode_clean, encode
from rimlock.crypto.jose.algorithms import HEADER_NAMES
from rimlock.crypto.jose.keys import SAFE_KID, SigningKey, VerifyingKey
from rimlock.crypto.jose.refusals import Reason, TokenRefused
from rimlock.crypto.jose.strict_json import parse_object

__all__ = ["MAX_BYTES", "read", "sign"]

MAX_BYTES = 16_384
"""Longest token that is looked at, in bytes."""

# A member that is there at all, whatever its value, refuses the token.
_FORBIDDEN = {
    **dict.fromkeys(("crit", "b64"), Reason.CRITICAL),
    **dict.fromkeys(("jku", "jwk", "x5u", "x5c"), Reason.EMBEDDED_KEY),
    **dict.fromkeys(("enc", "zip", "epk", "p2c", "p2s"), Reason.ENCRYPTED),
}
_MOST_HEADERS = 256


@dataclass(frozen=True, slots=True)
class _Header:
    alg: str
    kid: str | None
    typ: str


# Only headers of genuine tokens are kept, so that a forger can neither fill nor flush this.
_genuine: dict[bytes, _Header] = {}


def sign(key: SigningKey, claims: Mapping[str, Any], *, typ: str = "at+jwt", reread: bool = True) -> str:
    """Return a token with these claims, of the kind `typ`, signed by `key`.

    Raises ValueError for claims that `read` would refuse; they are read back first, unless `reread` is False because
    all of them are our own making.
    """
    payload = _json(dict(claims))
    if reread:
        _check_own(payload)
    signed = f"{_head(key.algorithm.value, key.kid, typ)}.{encode(payload)}"
    token = f"{signed}.{encode(key.sign(signed.encode()))}"
    if len(token) > MAX_BYTES:
        raise ValueError(f"the claims make a token of {len(token)} bytes; {MAX_BYTES} is the most")
    return token


@lru_cache(maxsize=64)
def _head(algorithm: str, kid: str, typ: str) -> str:
    return encode(_json({"alg": algorithm, "kid": kid, "typ": typ}))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _check_own(payload: bytes) -> None:
    try:
        parse_object(payload, Reason.PAYLOAD)
    except TokenRefused as refused:
        raise ValueError(f"the claims would be refused when read: {refused.reason}") from None


def read(
    token: bytes,
    keys: Mapping[str, VerifyingKey],
    *,
    typ: AbstractSet[str],
    max_bytes: int = MAX_BYTES,
    kid_optional: bool = False,
) -> dict[str, Any]:
    """Return the claims of a genuine token; raise TokenRefused, with the reason, for everything else.

    `keys`: by kid, each bound to its algorithm. `typ`: the kinds allowed, lower case without `application/`; an empty
    text in it allows a token that names none. `kid_optional`: a token without kid is tried with the only key there is.
    The claims themselves are not judged here: see `check_claims`.
    """
    if len(token) > max_bytes:
        raise TokenRefused(Reason.TOO_LARGE)
    head, body, seal = _segments(token)
    try:
        payload, signature = decode_clean(body), decode_clean(seal)
    except ValueError:
        raise TokenRefused(Reason.ENCODING) from None
    header = _genuine.get(head) or _parse_header(head)
    if header.typ not in typ:
        raise TokenRefused(Reason.TYPE)
    key = _choose(keys, header, kid_optional=kid_optional)
    key.verify(signature, token[: -len(seal) - 1])
    _remember(head, header)
    return parse_object(payload, Reason.PAYLOAD)


def _segments(token: bytes) -> tuple[bytes, bytes, bytes]:
    if token.translate(None, ALPHABET) != b"..":
        raise TokenRefused(Reason.MALFORMED)
    head, body, seal = token.split(b".")
    if not (head and body and seal):
        raise TokenRefused(Reason.MALFORMED)
    return head, body, seal


def _choose(keys: Mapping[str, VerifyingKey], header: _Header, *, kid_optional: bool) -> VerifyingKey:
    if header.kid is not None:
        key = keys.get(header.kid)
    else:
        key = next(iter(keys.values())) if kid_optional and len(keys) == 1 else None
    if key is None:
        raise TokenRefused(Reason.KEY_UNKNOWN)
    if header.alg not in key.names:
        raise TokenRefused(Reason.ALGORITHM)
    return key


def _remember(head: bytes, header: _Header) -> None:
    if head not in _genuine:
        if len(_genuine) >= _MOST_HEADERS:
            _genuine.clear()
        _genuine[head] = header


def _parse_header(head: bytes) -> _Header:
    try:
        members = parse_object(decode_clean(head), Reason.HEADER)
    except ValueError:
        raise TokenRefused(Reason.ENCODING) from None
    for name in members:
        if name in _FORBIDDEN:
            raise TokenRefused(_FORBIDDEN[name])
    alg, kid = members.get("alg"), members.get("kid")
    if not isinstance(alg, str) or alg not in HEADER_NAMES:
        raise TokenRefused(Reason.ALGORITHM)
    if "kid" in members and not (isinstance(kid, str) and SAFE_KID.fullmatch(kid)):
        raise TokenRefused(Reason.HEADER_TYPE)
    return _Header(alg, kid, _kind(members.get("typ", "")))


def _kind(typ: object) -> str:
    if not isinstance(typ, str) or not typ.isascii():
        raise TokenRefused(Reason.HEADER_TYPE)
    # A name without a slash is short for application/…; names are compared without regard to case.
    return typ.lower().removeprefix("application/")
