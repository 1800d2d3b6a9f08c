"""Who came, by what the provider says of them: in claims of OpenID Connect, or in the provider's own way.

Threat: an address that is believed though nobody proved it; a subject that can be taken over by somebody else.
Source: OpenID Connect Core 1.0 sections 5.1, 5.3.2 and 5.7; the providers' documentation of their users.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from hmac import new as keyed
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from rimlock.core.outgoing import Ask, NoReply

if TYPE_CHECKING:
    from rimlock.core.outgoing import Send
    from rimlock.features.social.logic.providers import Endpoints, Provider

__all__ = ["Person", "by_claims", "by_own_way"]

_LONGEST_SUBJECT, _LONGEST_EMAIL, _LONGEST_NAME = 255, 320, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody a provider vouches for. `proven`: it says so of the address, and its word counts."""

    provider: str
    issuer: str
    subject: str
    email: str = ""
    proven: bool = False
    display_name: str = ""

    def facts(self) -> dict[str, Any]:
        """Return the fields, to be kept for a moment."""
        return asdict(self)


def by_claims(provider: Provider, claims: Mapping[str, Any]) -> Person:
    """Return whom claims of OpenID Connect are about. Raises NoReply."""
    verified = claims.get("email_verified")
    # Apple writes the word as a text.
    return _person(provider, claims, issuer=claims["iss"], proven=verified is True or verified == "true", key="sub")


async def by_own_way(provider: Provider, send: Send, access_token: str) -> Person:
    """Ask a provider that speaks no OpenID Connect who came. Raises NoReply."""
    endpoints = provider.endpoints
    assert endpoints is not None  # noqa: S101 - asked of such providers alone
    url = endpoints.user + (_proof(provider, access_token) if provider.reading == "facebook" else "")
    found = (await _asked(send, url, access_token)).members()
    if provider.reading == "github":
        return await _github(provider, send, endpoints, access_token, found)
    proven = provider.reading == "discord" and found.get("verified") is True
    return _person(provider, found, issuer=provider.issuer, proven=proven, key="id")


async def _github(
    provider: Provider, send: Send, endpoints: Endpoints, access_token: str, found: Mapping[str, Any]
) -> Person:
    """The address of the profile is only what is shown; which one is proven stands in a list of its own."""
    emails = _listed((await _asked(send, endpoints.emails, access_token)).body) if endpoints.emails else []
    primary = next((one for one in emails if one.get("primary") is True), {})
    whole = {**found, "email": primary.get("email", "")}
    return _person(provider, whole, issuer=provider.issuer, proven=primary.get("verified") is True, key="id")


async def _asked(send: Send, url: str, access_token: str) -> Any:
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
    reply = await send(Ask(url=url, headers=headers))
    if reply.status != 200:  # noqa: PLR2004 - there is one good answer
        raise NoReply("user_status")
    return reply


def _listed(body: bytes) -> Sequence[Mapping[str, Any]]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise NoReply("not_json") from None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _proof(provider: Provider, access_token: str) -> str:
    """Show that the token is used by whom it was given to; an application there can be set to demand it."""
    mac = keyed(provider.client_secret.encode(), access_token.encode(), sha256).hexdigest()
    return "&" + urlencode({"appsecret_proof": mac})


def _person(provider: Provider, found: Mapping[str, Any], *, issuer: str, proven: bool, key: str) -> Person:
    email = _text(found.get("email"), _LONGEST_EMAIL)
    return Person(
        provider=provider.name,
        issuer=issuer,
        subject=_subject(found.get(key)),
        email=email,
        proven=bool(email) and proven and provider.trusts_email,
        display_name=_name_of(found),
    )


def _subject(value: object) -> str:
    """Return whom it is about: a text as it stands, or a whole number of a provider that counts its users."""
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_SUBJECT or not text.isprintable():
        raise NoReply("subject")
    return text


def _name_of(found: Mapping[str, Any]) -> str:
    readings: Sequence[Callable[[], Any]] = (lambda: found.get("name"), lambda: found.get("global_name"))
    return next((name for one in readings if (name := _text(one(), _LONGEST_NAME))), "")


def _text(value: object, longest: int) -> str:
    return value if isinstance(value, str) and len(value) <= longest and value.isprintable() else ""
