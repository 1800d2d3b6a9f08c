"""Asks who a request is and whether its route lets them in: the gate's one question.

Threat: a decision taken on something else than the route that will run; a failure that lets a request through.
Source: design section 5; OWASP ASVS 5.0 V8.2.1, V16.5.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core.access import RuleBook, Ruling, Stage, decide
from rimlock.core.errors import AuthError, Unavailable
from rimlock.web.credentials import Credentials, Identity, Scope

if TYPE_CHECKING:
    from rimlock.core.principal import Principal
    from rimlock.web.routing import Target

__all__ = ["PASSAGE", "GateJudge", "Passage"]

PASSAGE = "rimlock.passage"
"""Where the outcome is put in the ASGI scope."""

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

    def __init__(self, rules: RuleBook, credentials: Credentials, observe: Observe, clock: Callable[[], float]) -> None:
        """`observe` is told of every request that a required route would have refused."""
        self.rules = rules
        self._credentials = credentials
        self._observe = observe
        self._clock = clock

    def __call__(self, scope: Scope, target: Target | None) -> Verdict | Awaitable[Verdict]:
        """Return None to let the request through, or the error that refuses it; an awaitable when I/O is needed."""
        rules = self.rules
        ruling = rules.fallback if target is None else rules.ruling(target.method, target.path)
        if ruling.stage is Stage.OPEN:
            return None
        identity = self._credentials.identify(scope)
        if isinstance(identity, Identity):
            return self._judge(scope, target, ruling, identity)
        return self._judge_later(scope, target, ruling, identity)

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
        scope[PASSAGE] = Passage(ruling, decision.principal, decision.error)
        if decision.error is None:
            return None
        if decision.refused:
            return decision.error
        self._observe(target, decision.principal, decision.error)
        return None


