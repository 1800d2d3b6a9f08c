"""Requests that were refused, told to observers and to the log, however many of them come.

Threat: an attempt to get around a check that nobody hears of; a log that a stranger floods to hide in it.
Source: OWASP ASVS 5.0 V16.3.2, V16.3.3.

The first refusal of an address with a code is told at once. Those that follow within a minute are counted, and told
as a number when it is over. They are no rows of the audit, which a stranger could fill: usage holds the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rimlock.core.acting import Acting, actor_of
from rimlock.core.audit import plain
from rimlock.core.challenges import ChallengeRefused
from rimlock.core.errors import (
    AuthError,
    CredentialExpired,
    CredentialInvalid,
    CredentialMissing,
    FreshLoginRequired,
    PermissionMissing,
)
from rimlock.core.events import Event, Told
from rimlock.web.addresses import client_address
from rimlock.web.judge import DOOR

if TYPE_CHECKING:
    from rimlock.core.principal import Principal
    from rimlock.web.addresses import Network
    from rimlock.web.routing import Target

__all__ = ["Refusals", "RequestRefused", "refused", "route_of"]

Scope = MutableMapping[str, Any]

SECONDS = 60.0
LARGEST = 1_000
"""Addresses and codes kept apart; refusals of further ones are told as of `others`."""

OTHERS = "others"
EVERYDAY = frozenset({CredentialMissing.code, CredentialExpired.code})
"""What happens to honest callers as well, several times a day."""

_BY_CREDENTIAL = (CredentialMissing, CredentialInvalid, PermissionMissing, FreshLoginRequired, ChallengeRefused)
_TOO_MANY, _CROSS_SITE = 429, "cross_site_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(Event):
    """A request was refused by its credential, or the lack of one; by where it came from; or as one too many.

    `requests`: how many of this address with this code it tells of, the earlier ones of the last minute included.
    `credential`: `token`, `key`, or empty. `key_id` and `user_id`: whose it was, where the credential itself was good.
    """

    told = Told(
        outcome="refused", audited=False, grave=lambda event: event.code not in EVERYDAY or event.requests > SECONDS
    )
    route: str
    code: str
    credential: str
    key_id: str
    user_id: str | None
    address: str
    requests: int = 1


@dataclass(slots=True)
class _Spell:
    """A minute in which one address was refused with one code. `more`: how often after the first time."""

    event: RequestRefused
    ends: float
    more: int = 0


class Refusals:
    """Of one process. What it keeps and what it tells are bounded."""

    def __init__(
        self, publish: Callable[[Event], None], clock: Callable[[], float], proxies: Sequence[Network]
    ) -> None:
        """`proxies`: whose forwarded addresses are believed."""
        self._publish = publish
        self._clock = clock
        self._proxies = proxies
        self._spells: dict[tuple[str, str], _Spell] = {}

    def note(
        self, scope: Scope, error: AuthError, principal: Principal | None = None, target: Target | None = None
    ) -> None:
        """Take note of a refused request. Raises nothing."""
        now, address = self._clock(), client_address(scope, self._proxies)
        spell = self._spells.get((address, error.code))
        if spell is not None and now < spell.ends:
            spell.more += 1
        else:
            self._begin(address, now, scope, error, principal, target)

    def settle(self, *, everything: bool = False) -> None:
        """Tell the numbers of what is over, or of everything."""
        if not self._spells:
            return
        now = self._clock()
        for key, spell in list(self._spells.items()):
            if everything or spell.ends <= now:
                del self._spells[key]
                if spell.more:
                    self._publish(replace(spell.event, at=now, requests=spell.more))

    def _begin(
        self,
        address: str,
        now: float,
        scope: Scope,
        error: AuthError,
        principal: Principal | None,
        target: Target | None,
    ) -> None:
        if len(self._spells) >= LARGEST:
            self.settle()
        key = (address if len(self._spells) < LARGEST else OTHERS, error.code)
        before = self._spells.get(key)
        if before is not None and now < before.ends:
            before.more += 1
            return
        event = _event(scope, error, principal, target, address=address, now=now)
        self._spells[key] = _Spell(event, now + SECONDS)
        self._publish(replace(event, requests=1 + (before.more if before else 0)))


def refused(scope: Scope, error: AuthError) -> None:
    """Take note of a request that one of our own routes refuses, unless what refused it has an event of its own."""
    if isinstance(error, _BY_CREDENTIAL) or error.status == _TOO_MANY or error.code == _CROSS_SITE:
        door: Any = scope.get(DOOR)
        if door is not None:
            door.refusals.note(scope, error)


def _event(
    scope: Scope, error: AuthError, principal: Principal | None, target: Target | None, *, address: str, now: float
) -> RequestRefused:
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    kind = principal.kind if principal else _presented(scope, error)
    return RequestRefused(
        at=now,
        acting=Acting(
            actor=actor_of(principal) if principal else "",
            address=address,
            agent=plain(agent[:500].decode("latin-1"), 200),
        ),
        route=route_of(scope, target),
        code=error.code,
        credential=kind,
        key_id=principal.credential_id if principal and kind == "key" else "",
        user_id=principal.user_id if principal else None,
        address=address,
    )


def _presented(scope: Scope, error: AuthError) -> str:
    """Guess what a bad credential was meant to be: two dots make a token."""
    if not isinstance(error, CredentialInvalid):
        return ""
    sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    return "token" if sent.count(b".") == 2 else "key"  # noqa: PLR2004 - header, claims, signature


def route_of(scope: Scope, target: Target | None = None) -> str:
    """Name the route by its template; what was sent in its place stays out."""
    if target is not None:
        return " ".join(target.key)
    template = getattr(scope.get("route"), "path", None)
    method = scope.get("method", "WS")
    return f"{method} {scope.get('root_path', '')}{template}" if template else "* unmatched"
