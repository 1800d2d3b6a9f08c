"""What another issuer publishes of itself: where it is asked, and the keys that its signatures are checked by.

Threat: keys of somebody else's; a stranger who orders a fetch with each made-up key id; an issuer that is down for a
    minute and takes every sign-in with it.
Source: OpenID Connect Discovery 1.0 sections 3 and 4; RFC 8414 section 3.3; RFC 7517; RFC 9207 section 3.

Both are fetched when they are needed, by one caller while the others wait, and kept. What was good before stays in use
while the issuer cannot be asked, for a day.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from rimlock.core.outgoing import Ask, NoReply, is_near, is_sound
from rimlock.crypto.jose import KeyRefused, VerifyingKey, key_set

if TYPE_CHECKING:
    from rimlock.core.clock import Clock
    from rimlock.core.outgoing import Send

__all__ = ["Issuer", "Keys", "Metadata"]

T = TypeVar("T")
log = logging.getLogger("rimlock.issuers")

GOOD_SECONDS = 3600
"""How long what was fetched is used without asking again."""

STALE_SECONDS = 86_400
"""How long it stays in use while asking fails."""

COOL_SECONDS = 60
"""How long after an unknown key id, or a failure, no other orders an attempt."""

RETRY_SECONDS = 5
"""How long after a failure it is tried again while there is nothing at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Where an issuer is asked. `issuer`: as its tokens name it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_auth: tuple[str, ...] = ("client_secret_basic",)
    names_itself: bool = False
    """Whether it sends `iss` with every authorization response (RFC 9207)."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of an issuer by their ids. `issuers`: for whom a key signs, where the set says so."""

    by_kid: Mapping[str, VerifyingKey]
    issuers: Mapping[str, str] = field(default_factory=dict)


class Issuer:
    """One issuer, by the address that the configuration names. Nothing a stranger sends changes whom we ask."""

    def __init__(self, address: str, send: Send, clock: Clock) -> None:
        """Ask nobody yet."""
        self.address = address
        self._send = send
        self._metadata = _Kept(self._fetch_metadata, clock)
        self._keys = _Kept(self._fetch_keys, clock)

    async def metadata(self) -> Metadata:
        """Return where the issuer is asked. Raises NoReply."""
        return await self._metadata.get()

    async def keys(self, kid: str | None = None) -> Keys:
        """Return the keys; fetched again when `kid` is none of them, once a minute at most. Raises NoReply."""
        known = await self._keys.get()
        if kid is None or kid in known.by_kid:
            return known
        return await self._keys.get(anew=True)

    async def _fetch_metadata(self) -> Metadata:
        url = self.address.rstrip("/") + "/.well-known/openid-configuration"
        return _judged(await self._members(url), self.address)

    async def _fetch_keys(self) -> Keys:
        found = await self._members((await self.metadata()).jwks_uri)
        try:
            return Keys(key_set(found), _issuers_of(found))
        except KeyRefused:
            raise NoReply("keys_refused") from None

    async def _members(self, url: str) -> dict[str, Any]:
        if not is_sound(url, near=is_near(self.address)):
            raise NoReply("address_refused")
        reply = await self._send(Ask(url=url, headers={"Accept": "application/json"}))
        if reply.status != 200:  # noqa: PLR2004 - there is one good answer
            raise NoReply("status")
        return reply.members()


class _Kept(Generic[T]):
    """One thing that is fetched, by one caller at a time, and kept."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value: T | None = None
        self._good_at = self._tried_at = self._anew_at = float("-inf")
        self._failed = ""
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def get(self, *, anew: bool = False) -> T:
        """Return it; `anew`: what is kept lacks something. Raises NoReply."""
        if self._value is not None and not self._due(anew=anew):
            return self._value
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._due(anew=anew):
                await self._try(anew=anew)
        return self._kept()

    def _due(self, *, anew: bool) -> bool:
        now = self._clock()
        if self._failed and 0 <= now - self._tried_at < (COOL_SECONDS if self._value is not None else RETRY_SECONDS):
            return False
        if anew and not 0 <= now - self._anew_at < COOL_SECONDS:
            return True
        return self._value is None or not 0 <= now - self._good_at < GOOD_SECONDS

    async def _try(self, *, anew: bool) -> None:
        self._tried_at = self._clock()
        self._anew_at = self._tried_at if anew else self._anew_at
        try:
            self._value = await self._fetch()
            self._good_at, self._failed = self._tried_at, ""
        except NoReply as error:
            self._failed = error.reason
            log.warning("an issuer could not be asked: %s", error.reason)

    def _kept(self) -> T:
        if self._value is None or self._clock() - self._good_at > STALE_SECONDS:
            raise NoReply(self._failed or "stale")
        return self._value


def _judged(found: Mapping[str, Any], address: str) -> Metadata:
    """Return the metadata if it is the issuer's own and leads nowhere we would not go. Raises NoReply."""
    issuer = found.get("issuer")
    if not isinstance(issuer, str) or not _names(issuer, address):
        raise NoReply("other_issuer")
    near = is_near(address)
    places = {name: found.get(name, "") for name in _PLACES}
    for name, place in places.items():
        optional = name == "userinfo_endpoint" and not place
        if not optional and not (isinstance(place, str) and is_sound(place, near=near)):
            raise NoReply("endpoint_refused")
    methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    named = tuple(one for one in methods if isinstance(one, str)) if isinstance(methods, list) else ()
    says = found.get("authorization_response_iss_parameter_supported") is True
    return Metadata(issuer=issuer, token_auth=named, names_itself=says, **places)


_PLACES = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")


def _names(issuer: str, address: str) -> bool:
    """Whether a document of `address` may call itself so: the same address, a slash at the end aside.

    An issuer of many tenants names a template: `{tenantid}` stands where the address says whose they are.
    """
    if issuer.rstrip("/") == address.rstrip("/"):
        return True
    begin, braces, end = issuer.partition("{tenantid}")
    return bool(braces) and address.startswith(begin) and address.endswith(end)


def _issuers_of(found: Mapping[str, Any]) -> dict[str, str]:
    keys = [one for one in found.get("keys", ()) if isinstance(one, dict)]
    return {
        one["kid"]: one["issuer"]
        for one in keys
        if isinstance(one.get("kid"), str) and isinstance(one.get("issuer"), str)
    }
