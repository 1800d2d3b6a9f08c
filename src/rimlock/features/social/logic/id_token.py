"""What an id token proves: every claim is judged, and what it does not say is not believed.

Threat: a token of another issuer, for another application, of another sign-in, without a signature, or signed with a
    key that everybody knows; an access token that belongs to somebody else.
Source: OpenID Connect Core 1.0 sections 3.1.3.6 and 3.1.3.7; RFC 8725 section 3; Microsoft identity platform: token
    validation (issuer of many tenants).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256, sha512
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from rimlock.core.outgoing import NoReply
from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose import Expectation, Reason, TokenRefused, check_claims, read
from rimlock.crypto.jose.strict_json import parse_object

if TYPE_CHECKING:
    from rimlock.core.issuers import Keys

__all__ = ["Wanted", "judge", "kid_of"]

_KINDS = frozenset({"", "jwt"})
_LONGEST_LIFE = timedelta(days=2)
_OLDEST = 300
"""How many seconds before the sign-in began an id token may have been made: clocks differ."""

_TENANT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASHES = {"RS256": sha256, "ES256": sha256, "EdDSA": sha512, "Ed25519": sha512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an id token has to say. `began`: when the sign-in did. `issuer` may have `{tenantid}` in it."""

    issuer: str
    client_id: str
    nonce: str
    algorithms: frozenset[str]
    access_token: str
    began: int


def judge(token: str, keys: Keys, wanted: Wanted, *, now: float) -> dict[str, Any]:
    """Return the claims of an id token that is all of what it has to be. Raises NoReply with the reason."""
    try:
        return _judged(token.encode("ascii", "strict"), keys, wanted, now)
    except TokenRefused as refused:
        raise NoReply(f"id_token_{refused.reason}") from None
    except UnicodeEncodeError:
        raise NoReply("id_token_malformed") from None


def kid_of(token: str) -> str | None:
    """Return which key an id token says it is signed with; nothing rests on it. Raises NoReply."""
    kid = _head(token).get("kid")
    return kid if isinstance(kid, str) else None


def _judged(token: bytes, keys: Keys, wanted: Wanted, now: float) -> dict[str, Any]:
    usable = {kid: key for kid, key in keys.by_kid.items() if key.names & wanted.algorithms}
    claims = read(token, usable, typ=_KINDS, kid_optional=True)
    head = _head(token.decode())
    _check_issuer(claims, wanted, keys.issuers.get(head.get("kid", "")))
    expected = Expectation(
        issuer=claims["iss"],
        audience=wanted.client_id,
        max_lifetime=_LONGEST_LIFE,
        require=frozenset({"iat"}),
        strict_audience=False,
        whole_seconds=False,
    )
    check_claims(claims, expected, now)
    _check_party(claims, wanted)
    _check_moment(claims, wanted)
    _check_hash(claims, head["alg"], wanted.access_token)
    return claims


def _check_issuer(claims: Mapping[str, Any], wanted: Wanted, of_key: str | None) -> None:
    """Where the issuer is a template, it is filled in by the token's tenant, for the token and for the key alike."""
    tenant = claims.get("tid", "")
    issuer = wanted.issuer
    if "{tenantid}" in issuer:
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise TokenRefused(Reason.ISSUER)
        issuer = issuer.replace("{tenantid}", tenant)
        if of_key is not None and of_key.replace("{tenantid}", tenant) != issuer:
            raise TokenRefused(Reason.ISSUER)
    if claims.get("iss") != issuer:
        raise TokenRefused(Reason.ISSUER)


def _check_party(claims: Mapping[str, Any], wanted: Wanted) -> None:
    """With several audiences, or a party named, that party has to be us."""
    several = isinstance(claims["aud"], list) and len(claims["aud"]) != 1
    if (several or "azp" in claims) and claims.get("azp") != wanted.client_id:
        raise TokenRefused(Reason.AUDIENCE)


def _check_moment(claims: Mapping[str, Any], wanted: Wanted) -> None:
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not compare_digest(nonce.encode("utf-8", "replace"), wanted.nonce.encode()):
        raise NoReply("id_token_nonce")
    if claims["iat"] < wanted.began - _OLDEST:
        raise NoReply("id_token_old")


def _check_hash(claims: Mapping[str, Any], algorithm: str, access_token: str) -> None:
    if "at_hash" not in claims:
        return
    whole = _HASHES[algorithm](access_token.encode()).digest()
    given = claims["at_hash"]
    if not isinstance(given, str) or not compare_digest(
        given.encode("utf-8", "replace"), encode(whole[: len(whole) // 2]).encode()
    ):
        raise NoReply("id_token_at_hash")


def _head(token: str) -> dict[str, Any]:
    try:
        return parse_object(decode(token.partition(".")[0]), Reason.HEADER)
    except (ValueError, TokenRefused):
        raise NoReply("id_token_malformed") from None
