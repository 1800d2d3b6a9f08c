"""Asks who a request is and whether its route lets them in: the gate's one question.

Threat: a decision taken on something else than the route that will run; a failure that lets a request through.
Source: design section 5; OWASP ASVS 5.0 V8.2.1, V16.5.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from rimlock.core.access import METHODS, RuleBook, Ruling, Stage, decide
from rimlock.core.errors import AuthError, Unavailable
from rimlock.web.credentials import Credentials, Identity, Scope
from rimlock.web.recall import Recalled

if TYPE_CHECKING:
    from rimlock.core.principal import Principal
    from rimlock.web.routing import Target

__all__ = ["DOOR", "PASSAGE", "GateJudge", "Passage"]

PASSAGE = "rimlock.passage"
"""Where the outcome is put in the ASGI scope."""

DOOR = "rimlock.door"
"""Where the gate puts the door, for the dependencies of routes."""

OPEN = Stage.OPEN  # a member of an enumeration costs more to look up than a name

LOOK_SECONDS = 0.25
"""How often a route that asks for nothing looks whether the rules were changed."""

Observe = Callable[["Target | None", "Principal | None", AuthError], None]
Verdict = AuthError | None


@dataclass(frozen=True, slots=True)
class Passage:
    """How a request came through the gate: as whom, and what would have refused it."""

    ruling: Ruling
    principal: Principal | None
    error: AuthError | None


class GateJudge:
    """Judges by a rule book that may be exchanged at any time."""

    def __init__(
        self,
        rules: RuleBook,
        credentials: Credentials,
        *,
        door: object,
        prepare: Callable[[], Awaitable[None]],
        look: Callable[[], object],
        observe: Observe,
        clock: Callable[[], float],
    ) -> None:
        """`prepare` starts what is not started yet; `look` notices changed rules; `door` is for the dependencies.

        `observe` is told of every request that a required route would have refused.
        """
        self.rules = rules
        self.prepared = False
        self._credentials = credentials
        self.door = door
        self._prepare = prepare
        self._look = look
        self._look_at = 0.0
        self._observe = observe
        self._clock = clock

    def __call__(self, scope: Scope, target: Target | None) -> Verdict | Awaitable[Verdict]:
        """Return None to let the request through, or the error that refuses it; an awaitable when I/O is needed."""
        scope[DOOR] = self.door
        scope.pop(PASSAGE, None)  # an installation around this one may have left its own
        if not self.prepared:
            return self._prepare_and_judge(scope, target)
        rules = self.rules
        ruling = rules.fallback if target is None else rules.ruling(_method(target, scope), target.path)
        if ruling.stage is OPEN:
            return self(scope, target) if monotonic() >= self._look_at and self._changed(rules) else None
        identity = self._credentials.identify(scope)
        if rules is not self.rules:
            return self(scope, target)
        if type(identity) is Recalled and (passage := identity.passages.get(id(ruling))) is not None:
            scope[PASSAGE] = passage
            return None
        if isinstance(identity, Identity):
            return self._judge(scope, target, ruling, identity)
        return self._judge_later(scope, target, ruling, identity)

    def _changed(self, rules: RuleBook) -> bool:
        """Look, now and then, whether the rules were changed: a route that asks for nothing looks at nothing else."""
        self._look_at = monotonic() + LOOK_SECONDS
        self._look()
        return rules is not self.rules

    async def ready(self) -> None:
        """Start what is not started, where the host runs no lifespan: its tests often do not. Raises Unavailable."""
        if not self.prepared:
            await self._prepare()
            self.prepared = True

    async def _prepare_and_judge(self, scope: Scope, target: Target | None) -> Verdict:
        await self.ready()
        verdict = self(scope, target)
        return verdict if verdict is None or isinstance(verdict, AuthError) else await verdict

    async def _judge_later(
        self, scope: Scope, target: Target | None, ruling: Ruling, waiting: Awaitable[Identity]
    ) -> Verdict:
        try:
            identity = await waiting
        except Unavailable as error:
            if ruling.stage is not Stage.OBSERVE:
                return error
            identity = Identity(None, error)
        return self._judge(scope, target, ruling, identity)

    def _judge(self, scope: Scope, target: Target | None, ruling: Ruling, identity: Identity) -> Verdict:
        decision = decide(ruling.stage, ruling.requirement, identity.principal, identity.bad, self._clock())
        scope[PASSAGE] = passage = Passage(ruling, decision.principal, decision.error)
        if decision.error is None:
            if type(identity) is Recalled and ruling.requirement.fresh is None:
                identity.keep(ruling, passage)
            return None
        if decision.refused:
            return decision.error
        self._observe(target, decision.principal, decision.error)
        return None


def _method(target: Target, scope: Scope) -> str:
    """A route that takes every method is judged by the method that was sent."""
    if target.method != "ANY":
        return target.method
    sent: str = scope.get("method", "WS")
    return sent if sent in METHODS else "ANY"
