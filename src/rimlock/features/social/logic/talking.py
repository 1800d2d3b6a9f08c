"""The talk with a provider: where the browser is sent, and what the code it brings back is exchanged for.

Threat: a code that is somebody else's, or was meant for another provider; a client secret in an address.
Source: RFC 6749 sections 4.1 and 2.3.1; RFC 7636; RFC 9207; OpenID Connect Core 1.0 sections 3.1.2.1, 3.1.3 and 5.3;
    Apple: creating a client secret.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

from rimlock.core.outgoing import Ask, NoReply, is_near, is_sound
from rimlock.crypto.jose import sign
from rimlock.features.social.errors import ProviderRefused
from rimlock.features.social.logic.id_token import Wanted, judge, kid_of
from rimlock.features.social.logic.persons import Person, by_claims, by_own_way
from rimlock.features.social.logic.transaction import SECONDS

if TYPE_CHECKING:
    from rimlock.core.issuers import Issuer, Metadata
    from rimlock.core.outgoing import Send
    from rimlock.features.social.logic.providers import Provider
    from rimlock.features.social.logic.transaction import Transaction

__all__ = ["Answer", "authorization_url", "check_answer", "person_behind"]

Answer = Mapping[str, str]
"""The parameters of an authorization response, none of them twice."""

_LONGEST_CODE, _LONGEST_TOKEN = 4096, 16_384
_SECRET_SECONDS = 300


async def authorization_url(provider: Provider, issuer: Issuer, begun: Transaction) -> str:
    """Return where the browser is sent. Raises NoReply."""
    place = provider.endpoints.authorization if provider.endpoints else (await issuer.metadata()).authorization_endpoint
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": begun.redirect_uri,
        "scope": " ".join(provider.scopes),
        "state": begun.state,
        "code_challenge": begun.verifier_challenge,
        "code_challenge_method": "S256",
        **({"nonce": begun.nonce} if provider.openid else {}),
        **provider.extra,
    }
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"


async def check_answer(provider: Provider, issuer: Issuer, begun: Transaction, answer: Answer) -> str:
    """Return the code of an authorization response that is this provider's. Raises NoReply, ProviderRefused."""
    if begun.issuer != provider.issuer:
        raise NoReply("provider_changed")
    await _check_issuer(provider, issuer, answer.get("iss"))
    if "error" in answer:
        if answer["error"] in {"access_denied", "user_cancelled_login", "user_cancelled_authorize"}:
            raise ProviderRefused
        raise NoReply("provider_error")
    code = answer.get("code", "")
    if not 0 < len(code) <= _LONGEST_CODE or not code.isprintable():
        raise NoReply("code_missing")
    return code


async def person_behind(
    provider: Provider, issuer: Issuer, send: Send, begun: Transaction, code: str, *, now: int
) -> Person:
    """Exchange the code, and return who the provider says it is. Raises NoReply."""
    metadata = await issuer.metadata() if provider.openid else None
    found = await _exchanged(provider, metadata, send, begun, code, now=now)
    access_token = found.get("access_token")
    bearer = found.get("token_type", "bearer")
    if not isinstance(access_token, str) or not _is_token(access_token) or str(bearer).lower() != "bearer":
        raise NoReply("token_answer")
    if metadata is None:
        return await by_own_way(provider, send, access_token)
    token = found.get("id_token")
    if not isinstance(token, str):
        raise NoReply("id_token_missing")
    wanted = Wanted(
        issuer=metadata.issuer,
        client_id=provider.client_id,
        nonce=begun.nonce,
        algorithms=provider.algorithms,
        access_token=access_token,
        began=begun.expires_at - SECONDS,
    )
    claims = judge(token, await issuer.keys(kid_of(token)), wanted, now=now)
    return by_claims(provider, await _completed(metadata, send, access_token, claims))


async def _check_issuer(provider: Provider, issuer: Issuer, named: str | None) -> None:
    """An answer that says whose it is has to say the right one, and who promised to say so has to."""
    if not provider.openid:
        expected, promised = provider.issuer, False
    else:
        metadata = await issuer.metadata()
        expected, promised = metadata.issuer, metadata.names_itself
    if named is None and not promised:
        return
    if "{tenantid}" in expected:
        begin, _, end = expected.partition("{tenantid}")
        fits = named is not None and named.startswith(begin) and named.endswith(end)
    else:
        fits = named == expected
    if not fits:
        raise NoReply("iss")


async def _exchanged(
    provider: Provider, metadata: Metadata | None, send: Send, begun: Transaction, code: str, *, now: int
) -> dict[str, Any]:
    """Send the code to the token endpoint. What the provider says in an error stays there. Raises NoReply."""
    place = metadata.token_endpoint if metadata else provider.endpoints.token if provider.endpoints else ""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": begun.redirect_uri,
        "code_verifier": begun.verifier,
    }
    headers = {"Accept": "application/json"}
    _say_who(provider, metadata, form, headers, now=now)
    reply = await send(Ask(url=place, form=form, headers=headers))
    if reply.status != 200:  # noqa: PLR2004 - there is one good answer
        raise NoReply("token_status")
    found = reply.members()
    if "error" in found:  # some say it with a 200
        raise NoReply("token_error")
    return found


def _say_who(
    provider: Provider, metadata: Metadata | None, form: dict[str, str], headers: dict[str, str], *, now: int
) -> None:
    """Add who we are, in the way the provider takes; never in the address."""
    secret = _client_secret(provider, now=now)
    way = provider.client_auth or ("none" if not secret else _way(metadata))
    if way == "basic":
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return
    form["client_id"] = provider.client_id
    if way == "post":
        form["client_secret"] = secret


def _way(metadata: Metadata | None) -> str:
    offered = metadata.token_auth if metadata else ()
    return "post" if "client_secret_post" in offered and "client_secret_basic" not in offered else "basic"


def _client_secret(provider: Provider, *, now: int) -> str:
    """Return the secret, or the one for this moment that is signed with our key."""
    if provider.signing_key is None:
        return provider.client_secret
    claims = {
        "iss": provider.team,
        "sub": provider.client_id,
        "aud": provider.issuer,
        "iat": now,
        "exp": now + _SECRET_SECONDS,
    }
    return sign(provider.signing_key, claims, typ="JWT")


async def _completed(metadata: Metadata, send: Send, access_token: str, claims: dict[str, Any]) -> Mapping[str, Any]:
    """Ask for what the id token left out. It has to be about the same person. Raises NoReply."""
    place = metadata.userinfo_endpoint
    if ("email" in claims and "email_verified" in claims) or not is_sound(place, near=is_near(metadata.issuer)):
        return claims
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
    reply = await send(Ask(url=place, headers=headers))
    if reply.status != 200:  # noqa: PLR2004 - there is one good answer
        raise NoReply("userinfo_status")
    told = reply.members()
    about = told.get("sub")
    if not isinstance(about, str) or not compare_digest(about.encode(), claims["sub"].encode()):
        raise NoReply("userinfo_sub")
    # The address and the word on it come from one place: two of them could speak of two addresses.
    proven = told if "email" in told else claims
    return {**told, **claims, **{name: proven.get(name) for name in ("email", "email_verified")}}


def _is_token(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable() and " " not in text
