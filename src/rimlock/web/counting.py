"""Takes note of every judged request: which route, who came, with what program, and what refuses or would refuse it.

Threat: a count that costs, delays or breaks the request it counts.
Source: design section 5 (observe); requirement L3; measured, it may cost two microseconds.

Nothing here raises. What a request has in common with one of a moment ago is found by its headers in one look, and
only the number goes up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rimlock.core.access import Stage
from rimlock.core.clients import Clients
from rimlock.core.principal import ANONYMOUS_KIND
from rimlock.core.usage import ALLOWED, UNREAD, Key, Tally, Usage

if TYPE_CHECKING:
    from rimlock.core.errors import AuthError
    from rimlock.core.principal import Principal
    from rimlock.web.credentials import Credentials, Scope
    from rimlock.web.routing import Target

__all__ = ["Counting", "Watch"]

Watch = Callable[[Key], None]
"""Is told how each judged request was counted, while it is being judged."""

AGENT = b"user-agent"
LONGEST_AGENT = 300
MOST_QUICK = 4_096
QUICK_SECONDS = 5
"""How long a request to an open route is taken for the same as one that looked the same."""

UNMATCHED = ("*", "unmatched")
"""Where requests are counted that no route of the host's answers."""

log = logging.getLogger("rimlock.gate")


class Counting:
    """Counts for one installation. Not asked where usage is switched off."""

    def __init__(
        self,
        usage: Usage,
        credentials: Credentials,
        *,
        clock: Callable[[], float],
        soon: Callable[[], None],
    ) -> None:
        """`soon`: is called about once a second while requests come, to have what was counted written."""
        self._usage = usage
        self._clients = Clients()
        self._credentials = credentials
        watched = credentials.watched
        self._headers = None if watched is None else watched | {AGENT}
        self._clock = clock
        self._soon = soon
        self._quick: dict[tuple[Any, ...] | None, Tally] = {}
        self._quick_ends = 0
        self._second = 0
        self.watchers: tuple[Watch, ...] = ()

    def again(self, scope: Scope, target: Target | None) -> bool:
        """Count a request to an open route if one like it was counted a moment ago; say whether it was."""
        try:
            tally = self._quick.get(self._look(scope, target))
            if tally is None:
                return False
            now = int(self._clock())
            if now < tally.ends and now == self._second:
                tally.requests += 1
                tally.last = now
            else:
                self._count(tally, now)
            if self.watchers:
                self._tell(tally)
        except Exception as error:  # noqa: BLE001 - counting breaks nothing
            return _failed(error)
        return True

    def passed(
        self, scope: Scope, target: Target | None, principal: Principal | None, error: AuthError | None, *, keep: bool
    ) -> None:
        """Count a request to an open route. `keep`: the next one that looks the same is counted alike."""
        tally = self.judged(scope, target, Stage.OPEN, principal, error)
        look = self._look(scope, target) if keep and tally is not None else None
        if look is not None and tally is not None:
            self._remember(look, tally)

    def unread(self, scope: Scope, target: Target | None) -> None:
        """Count a request to an open route whose credential could not be looked up."""
        try:
            method, path = target.key if target else UNMATCHED
            client = self._clients.family(_agent(scope), trusted=False)
            key = Key(method, path, UNREAD, "", Stage.OPEN.value, UNREAD, client)
            self._count(self._usage.tally(key, stranger=True), int(self._clock()))
        except Exception as error:  # noqa: BLE001 - counting breaks nothing
            _failed(error)

    def judged(
        self,
        scope: Scope,
        target: Target | None,
        stage: Stage,
        principal: Principal | None,
        error: AuthError | None,
    ) -> Tally | None:
        """Count a request that was judged, let through or refused; return the count it went into."""
        try:
            method, path = (target.method, target.path) if target else UNMATCHED
            kind, which = ANONYMOUS_KIND, ""
            if principal is not None:
                kind = principal.kind
                which = principal.credential_id if kind == "key" else ""
            agent = None
            for name, value in scope["headers"]:
                if name == AGENT:
                    agent = value
                    break
            outcome = ALLOWED if error is None else error.code
            tally = self._quick.get((method, path, kind, which, stage, outcome, agent))
            if tally is None:
                tally = self._tally(Key(method, path, kind, which, stage.value, outcome, ""), agent, principal)
            now = int(self._clock())
            if now < tally.ends and now == self._second:
                tally.requests += 1
                tally.last = now
            else:
                self._count(tally, now)
            if self.watchers:
                self._tell(tally)
        except Exception as failure:  # noqa: BLE001 - counting breaks nothing
            _failed(failure)
            return None
        return tally

    def _count(self, tally: Tally, now: int) -> None:
        """Count the first request of a second or of a tally. All others are counted where they are seen."""
        self._usage.count(tally, now)
        if now != self._second:
            self._tick(now)

    def _tell(self, tally: Tally) -> None:
        for watch in self.watchers:
            watch(tally.key)

    def _tick(self, now: int) -> None:
        """What is done once a second, by the first request of it."""
        self._second = now
        if not 0 <= self._quick_ends - now <= QUICK_SECONDS or len(self._quick) > MOST_QUICK:
            self._quick.clear()
            self._quick_ends = now + QUICK_SECONDS
        self._soon()

    def _look(self, scope: Scope, target: Target | None) -> tuple[Any, ...] | None:
        """Return what tells requests to open routes apart; None when that is more than a few headers."""
        watched = self._headers
        if watched is None:
            return None
        agent = carried = None
        for name, value in scope["headers"]:
            if name in watched:
                if name == AGENT:
                    agent = value
                elif carried is None:
                    carried = (name, value)
                else:
                    return None
        if carried is not None and self._credentials.retiring:
            return None
        return (target.method, target.path, agent, carried) if target else (*UNMATCHED, agent, carried)

    def _tally(self, key: Key, agent: bytes | None, principal: Principal | None) -> Tally:
        """Return the count of a request unlike those of a moment ago, and know it by its agent from now on."""
        known = principal is not None
        client = self._clients.family(agent, trusted=known)
        label = principal.label if principal is not None and key.credential_id else ""
        tally = self._usage.tally(key._replace(client=client), label, stranger=not known)
        self._remember((*key[:4], Stage(key.stage), key.outcome, agent), tally)
        return tally

    def _remember(self, look: tuple[Any, ...], tally: Tally) -> None:
        """Keep what leads to a tally, unless it is longer than what a browser sends."""
        if any(isinstance(part, bytes) and len(part) > LONGEST_AGENT for part in look):
            return
        if len(self._quick) >= MOST_QUICK:
            self._quick.clear()
        self._quick[look] = tally


def _agent(scope: Scope) -> bytes | None:
    return next((value for name, value in scope["headers"] if name == AGENT), None)


def _failed(error: Exception) -> bool:
    log.error("a request could not be counted: %s", type(error).__name__)
    return True
