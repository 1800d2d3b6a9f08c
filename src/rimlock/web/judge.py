"""Asks who a request is and whether its route lets them in: the gate's one question.

Threat: a decision taken on something else than the route that will run; a failure that lets a request through.
Source: design section 5; OWASP ASVS 5.0 V8.2.1, V16.5.3.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from rimlock.core.access import ANYONE_KNOWN, METHODS, RuleBook, Ruling, Stage, decide, share_of, shortcoming
from rimlock.core.errors import AuthError, CredentialMissing, Unavailable
from rimlock.core.retirements import Notice
from rimlock.web.credentials import Credentials, Identity, Retired, Scope
from rimlock.web.recall import Recalled
from rimlock.web.telling import Late

if TYPE_CHECKING:
    from rimlock.core.principal import Principal
    from rimlock.web.counting import Counting
    from rimlock.web.routing import Target

__all__ = ["DOOR", "PASSAGE", "GateJudge", "Passage"]

PASSAGE = "rimlock.passage"
"""Where the outcome is put in the ASGI scope."""

DOOR = "rimlock.door"
"""Where the gate puts the door, for the dependencies of routes."""

log = logging.getLogger("rimlock.gate")
MISSING = CredentialMissing()
"""What an open route would say to a request without a credential; never raised."""

_LENIENT = frozenset({Stage.OPEN, Stage.OBSERVE})
"""Stages in which a failure of ours changes nothing for the caller."""

OPEN = Stage.OPEN  # a member of an enumeration costs more to look up than a name

LOOK_SECONDS = 0.25
"""How often a route that asks for nothing looks whether the rules were changed."""

MOST_UNREAD = 32
"""Requests to open routes whose credential is looked up at once; those above are counted as unread."""

Verdict = AuthError | Notice | None


class Later(Protocol):
    """Runs work that nobody waits for."""

    def __call__(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin it."""
        ...


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
        counting: Counting | None,
        caller: Callable[[Scope], str],
        later: Later,
        refused: Callable[[Scope, AuthError, Principal | None, Target | None], None],
        salt: bytes,
        clock: Callable[[], float],
    ) -> None:
        """`prepare` starts what is not started yet; `look` notices changed rules; `door` is for the dependencies.

        `counting` is told of every request, None counts nothing; `caller` names who has no credential, and `salt`
        decides who belongs to a percentage; `later` runs what nobody waits for; `refused` is told of what is refused.
        """
        self.rules = rules
        self.prepared = False
        self._credentials = credentials
        self.door = door
        self._prepare = prepare
        self._look = look
        self._look_at = 0.0
        self.counting = counting
        self._caller = caller
        self._later = later
        self._refused = refused
        self._unread = 0
        self._salt = salt
        self._clock = clock

    def __call__(self, scope: Scope, target: Target | None) -> Verdict | Awaitable[Verdict]:
        """Return None to let the request through, or the error that refuses it; an awaitable when I/O is needed."""
        scope[DOOR] = self.door
        scope.pop(PASSAGE, None)  # an installation around this one may have left its own
        if not self.prepared:
            return self._prepare_and_judge(scope, target)
        rules = self.rules
        ruling = rules.fallback if target is None else rules.ruling(_method(target, scope), target.path)
        if ruling.stage is OPEN and ruling.otherwise is None:
            if monotonic() >= self._look_at and self._changed(rules):
                return self(scope, target)
            counting = self.counting
            if counting is None and not self._credentials.retiring:
                return None
            return None if counting is not None and counting.again(scope, target) else self._pass(scope, target, ruling)
        identity = self._credentials.identify(scope)
        if rules is not self.rules:
            return self(scope, target)
        if type(identity) is Recalled and (passage := identity.passages.get(id(ruling))) is not None:
            scope[PASSAGE] = passage
            if self.counting is not None:
                self.counting.judged(scope, target, ruling.stage, passage.principal, None)
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
        return verdict if verdict is None or isinstance(verdict, AuthError | Notice) else await verdict

    def _pass(self, scope: Scope, target: Target | None, ruling: Ruling) -> Verdict:
        """Let a request to an open route through, and take note of who it is without making it wait for that."""
        try:
            identity = self._asked(scope)
            if isinstance(identity, Identity):
                return self._passed(scope, target, ruling, identity)
            if identity is not None:
                waiting = identity
                return self._looked_up(lambda late: self._pass_later(scope, target, ruling, waiting, late))
        except Exception as error:  # noqa: BLE001 - an open route answers as it did before us
            log.error("a caller of an open route could not be read: %s", type(error).__name__)  # noqa: TRY400 - values
        if self.counting is not None:
            self.counting.unread(scope, target)
        return None

    def _asked(self, scope: Scope) -> Identity | Awaitable[Identity] | None:
        """Say who a request is that does not wait for it. None: too many are being looked up already."""
        if self._unread < MOST_UNREAD:
            return self._credentials.identify(scope)
        return self._credentials.known(scope)

    def overhear(self, scope: Scope) -> Notice | None:
        """Return what to tell whoever calls a route of ours with a credential that is on its way out."""
        if not self._credentials.retiring:
            return None
        try:
            identity = self._asked(scope)
        except Exception as error:  # noqa: BLE001 - the route asks again, and answers by itself
            log.error("a caller of a route of ours could not be read: %s", type(error).__name__)  # noqa: TRY400 - values
            return None
        if identity is None or isinstance(identity, Identity):
            return None if identity is None else identity.notice
        return self._looked_up(lambda late: self._settled(late, identity))

    def _looked_up(self, work: Callable[[Late | None], Coroutine[Any, Any, None]]) -> Notice | None:
        """Begin a look-up that the request does not wait for; the answer carries what is known when it begins."""
        late = Late() if self._credentials.retiring else None
        self._unread += 1
        self._later(work(late))
        return None if late is None else Notice(later=late.headers)

    async def _settled(self, late: Late | None, waiting: Awaitable[Identity]) -> None:
        notice: Notice | None = None
        try:
            notice = (await waiting).notice
        except AuthError:
            pass  # whoever answers the request says so
        finally:
            self._unread -= 1
            if late is not None:
                late.settle(notice)

    def _passed(self, scope: Scope, target: Target | None, ruling: Ruling, identity: Identity) -> Notice | None:
        counting = self.counting
        if counting is not None:
            principal = _whose(identity)
            error = identity.bad
            if error is None and principal is None:
                error = MISSING
            elif error is None and ruling.requirement is not ANYONE_KNOWN:
                error = shortcoming(ruling.requirement, principal, self._clock())
            counting.passed(scope, target, principal, error, keep=identity.notice is None)
        return identity.notice

    async def _pass_later(
        self, scope: Scope, target: Target | None, ruling: Ruling, waiting: Awaitable[Identity], late: Late | None
    ) -> None:
        notice: Notice | None = None
        try:
            identity = await waiting
            notice = self._passed(scope, target, ruling, identity)
        except BaseException as error:
            if self.counting is not None:
                self.counting.unread(scope, target)
            if not isinstance(error, AuthError):
                raise
        finally:
            self._unread -= 1
            if late is not None:
                late.settle(notice)

    async def _judge_later(
        self, scope: Scope, target: Target | None, ruling: Ruling, waiting: Awaitable[Identity]
    ) -> Verdict:
        try:
            identity = await waiting
        except Unavailable as error:
            ruling, identity = _lenient(ruling), Identity(None, error)
            if ruling.stage not in _LENIENT:
                return error
        return self._judge(scope, target, ruling, identity)

    def _judge(self, scope: Scope, target: Target | None, ruling: Ruling, identity: Identity) -> Verdict:
        held = ruling if ruling.otherwise is None else ruling.for_share(self._share(scope, identity))
        decision = decide(held.stage, held.requirement, identity.principal, identity.bad, self._clock())
        scope[PASSAGE] = passage = Passage(held, decision.principal, decision.error)
        if self.counting is not None:
            self.counting.judged(scope, target, held.stage, _whose(identity), decision.error)
        if decision.error is None and type(identity) is Recalled and held is ruling and held.requirement.fresh is None:
            identity.keep(ruling, passage)
        if decision.refused and decision.error is not None:
            self._refused(scope, decision.error, _whose(identity), target)
            return _with_notice(decision.error, identity.notice)
        return identity.notice

    def _share(self, scope: Scope, identity: Identity) -> int:
        """Where the caller stands among a hundred: a principal by who it is, everybody else by where they come from."""
        principal = _whose(identity)
        return share_of(principal.subject if principal else self._caller(scope), self._salt)


def _whose(identity: Identity) -> Principal | None:
    """Whose request it is, a credential that is refused while it is being retired included."""
    return identity.whose if isinstance(identity, Retired) else identity.principal


def _lenient(ruling: Ruling) -> Ruling:
    """Return what holds when nobody can say who the caller is: the first stage that asks for nobody, if there is one.

    A route that is open to some is protected from none: who belongs to them by name cannot be known now.
    """
    part: Ruling | None = ruling
    while part is not None:
        if part.stage in _LENIENT:
            return part
        part = part.otherwise
    return ruling


def _with_notice(error: AuthError, notice: Notice | None) -> AuthError:
    if notice is not None:
        error.headers = notice.headers
    return error


def _method(target: Target, scope: Scope) -> str:
    """A route that takes every method is judged by the method that was sent."""
    if target.method != "ANY":
        return target.method
    sent: str = scope.get("method", "WS")
    return sent if sent in METHODS else "ANY"
