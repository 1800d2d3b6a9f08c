"""Sends strangers to every route, in this process, and compares what the gate does with what is claimed.

Threat: a claim on paper: a route whose rule says required, and which lets a stranger in all the same.
Source: design section 5; OWASP WSTG-ATHZ-02 (bypassing authorization schema); RFC 9110 section 9.2.1 (safe methods).

A request that the gate lets through is stopped right behind it: no function of the host's runs. Only when asked for,
and for methods that are safe by definition, requests go through the whole application.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rimlock.core.access import Stage
from rimlock.retrofit.audit.judging import Remark
from rimlock.retrofit.audit.samples import scope_for
from rimlock.retrofit.audit.standin import MARK, Visit, stand_in
from rimlock.retrofit.audit.strangers import FORBIDDEN, UNKNOWN, Stranger, expected, strangers
from rimlock.web.problems import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.types import ASGIApp, Message, Scope

    from rimlock import Rimlock
    from rimlock.retrofit.audit.inventory import AuditedRoute, Inventory

__all__ = ["Answer", "ProbeReport", "probe"]

SAFE = {"GET", "HEAD", "OPTIONS", "FRONTEND"}
PATIENCE = 5.0
"""Seconds a function of the host's has for its answer, when it is asked at all."""

REFUSED = {UNKNOWN, FORBIDDEN}
_CLOSED = 4000
"""Websockets are closed with this and the status."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. `status`: None where none was sent. `reached`: the gate let it through."""

    route: str
    stranger: str
    status: int | None
    reached: bool
    failed: str = ""

    @property
    def refused(self) -> bool:
        """Whether it was refused before any function of the host's ran."""
        return not self.reached and self.status in REFUSED


@dataclass(slots=True)
class ProbeReport:
    """Everything that was sent, what contradicts a claim, and the routes that were not asked."""

    answers: list[Answer] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)


async def probe(auth: Rimlock, inventory: Inventory, *, through: ASGIApp | None = None) -> ProbeReport:
    """Ask every route as each stranger. The installation has to be started.

    `through`: the host's whole application, to send requests with safe methods through its middleware and functions
    as well; None stops every request behind the gate. Nothing is written to our tables either way.
    """
    report = ProbeReport()
    with stand_in(auth):
        cast = strangers(auth)
        for route in inventory.routes:
            await _ask(auth, route, cast, report, through)
    return report


async def _ask(
    auth: Rimlock, route: AuditedRoute, cast: Sequence[Stranger], report: ProbeReport, through: ASGIApp | None
) -> None:
    scope = None if route.shadowed_by else _scope(auth, route)
    asked = list(_asked(route, cast)) if scope is not None else []
    if scope is None or not asked:
        report.unasked.append(route.name)
    for stranger in asked:
        answer = await _sent(auth, route, stranger, dict(scope or {}), None)
        report.answers.append(answer)
        report.remarks.extend(_judged(route, stranger, answer))
        if through is not None and not route.ours and route.method in SAFE:
            whole = await _sent(auth, route, stranger, dict(scope or {}), through)
            report.answers.append(whole)
            report.remarks.extend(_judged_whole(route, stranger, whole))


def _asked(route: AuditedRoute, cast: Sequence[Stranger]) -> Iterator[Stranger]:
    """Yield the strangers who may be sent. Behind our own routes no stub stands: only who has to be refused goes."""
    for stranger in cast:
        if not route.ours or None not in expected(route.ruling, stranger):
            yield stranger


def _scope(auth: Rimlock, route: AuditedRoute) -> Scope | None:
    """Return a request that really is for this route; None when the router would answer it by another."""
    for declared in (route.declared, None):
        scope = scope_for(route.target, declared)
        if route.ours:
            return scope
        found = auth.gate.table.resolve(scope)
        if found is not None and found.key == route.target.key:
            return scope
    return None


async def _sent(
    auth: Rimlock, route: AuditedRoute, stranger: Stranger, scope: Scope, through: ASGIApp | None
) -> Answer:
    visit = Visit(through=through is not None)
    scope = {**scope, MARK: visit, "headers": [*scope["headers"], *stranger.headers], "state": {}}
    status, failed = await _answered(through or auth.gate, scope)
    return Answer(route.name, stranger.name, status, visit.reached, failed)


async def _answered(app: Any, scope: Scope) -> tuple[int | None, str]:
    """Serve one request; return its status, and the kind of failure where there was one."""
    seen: list[Message] = []
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        if scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        seen.append(
            {"type": message["type"], **{name: message[name] for name in ("status", "code") if name in message}}
        )

    try:
        async with asyncio.timeout(PATIENCE):
            await app(scope, receive, send)
    except Refusal as refusal:
        return refusal.error.status, ""
    except TimeoutError:
        return _status(seen), "" if seen else f"no answer within {PATIENCE:.0f} s"
    except Exception as failure:  # noqa: BLE001 - whatever the host's function raises is its answer
        return _status(seen), type(failure).__name__
    return _status(seen), ""


def _status(seen: list[Message]) -> int | None:
    """Return the status of an HTTP answer, of a denied websocket, or behind the code of a closed one."""
    for message in seen:
        if "status" in message:
            return int(message["status"])
        if message["type"] == "websocket.close":
            return int(message.get("code", 1000)) - _CLOSED
    return None


def _judged(route: AuditedRoute, stranger: Stranger, answer: Answer) -> Iterator[Remark]:
    """Compare what the gate did with the claim."""
    claimed = expected(route.ruling, stranger)
    if answer.reached:
        if None not in claimed:
            yield _remark(route, f"{stranger.name} is let through, and the claim is {_said(claimed)}")
    elif answer.status is None and not answer.failed and route.ours:
        return
    elif answer.status not in claimed:
        found = answer.failed or f"answered {answer.status}"
        yield _remark(route, f"{stranger.name} is {found}, and the claim is {_said(claimed)}")


def _judged_whole(route: AuditedRoute, stranger: Stranger, answer: Answer) -> Iterator[Remark]:
    """Compare what the whole application answered: refusals have to arrive, and functions keep what they demand."""
    claimed = expected(route.ruling, stranger)
    found = answer.failed or f"answered {answer.status}"
    if None not in claimed and (answer.reached or answer.status not in REFUSED):
        yield _remark(route, f"through the whole application {stranger.name} is {found}, not {_said(claimed)}")
    elif answer.reached and not stranger.known and route.inside.requirements and answer.status not in REFUSED:
        demanded = ", ".join(route.inside.demands)
        yield _remark(route, f"{stranger.name} is {found} by a function that demands: {demanded}")
    elif not answer.reached and route.ruling.stage is not Stage.REQUIRED and answer.status in REFUSED:
        yield _remark(
            route,
            f"something in front of the gate answers {answer.status} to {stranger.name}",
            mend=_IN_FRONT,
            fails=False,
        )


_MEND = "look at the rule and at what stands around the gate; do not serve the application until they agree"
_IN_FRONT = (
    "middleware that checks credentials itself refuses callers before the gate; let it pass tokens, or remove it"
)


def _remark(route: AuditedRoute, what: str, *, mend: str = _MEND, fails: bool = True) -> Remark:
    return Remark(
        route=route.name,
        kind="probe",
        fails=fails,
        what=what,
        why="who can reach a route is decided by what happens, not by what is configured",
        mend=mend,
    )


def _said(claimed: set[int | None]) -> str:
    """Return a claim in words."""
    return " or ".join("let through" if one is None else str(one) for one in sorted(claimed, key=lambda one: one or 0))
