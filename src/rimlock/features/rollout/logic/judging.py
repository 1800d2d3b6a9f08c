"""Whether a route may be turned further, by what was counted: a pure judgement over rows.

Threat: a route turned on the word of a count that is too young, too coarse or not there, and callers who find out.
Source: design section 5; requirement L3.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from rimlock.core.access import Stage
from rimlock.core.usage import ALLOWED, DAY, OTHER, UNREAD

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from rimlock.core.access import Ruling
    from rimlock.core.usage import Use
    from rimlock.features.rollout.logic.changing import RouteStanding

__all__ = ["Caller", "Report", "RouteReport", "Verdict", "Window", "judged"]

Key = tuple[str, str]


class Verdict(StrEnum):
    """What is known about turning a route to `required` for everybody.

    done: it is. safe: everybody who called would be let through. unused: nobody called. breaks: somebody would be
    refused. too_young: nobody was refused so far, in less time than was asked for. unknown: it cannot be said.
    """

    DONE = "done"
    SAFE = "safe"
    UNUSED = "unused"
    BREAKS = "breaks"
    TOO_YOUNG = "too_young"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was counted at all. `days` were asked for; the first count is of `since`. Times in seconds.

    `counting`: whether usage is switched on. `busy_days`: on how many of the days there were any requests.
    """

    now: int
    days: int
    since: int | None
    busy_days: int
    counting: bool = True

    @property
    def counted_days(self) -> int:
        """For how many whole days there have been counts."""
        return 0 if self.since is None else (self.now - self.since) // DAY

    @property
    def young(self) -> bool:
        """Whether there is less to judge by than was asked for."""
        return self.counted_days < self.days


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who called a route: one kind of credential, one key where it was a key, one family of clients.

    `refused`: how many of the requests `required` refuses or would refuse, for these `reasons`, the last of them at
    `last_refused`.
    """

    credential: str
    key_id: str
    label: str
    client: str
    requests: int
    refused: int
    reasons: tuple[str, ...]
    first_seen: int
    last_seen: int
    last_refused: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteReport:
    """One route, who calls it, and what is known about turning it further.

    `next_stage`: the stage after this one, None behind `required`. `next_safe`: whether going there refuses nobody.
    `why`: the verdict in sentences. `quiet_since`: when it was last called, however long ago; None for never.
    """

    method: str
    path: str
    stage: Stage
    percent: int
    next_stage: Stage | None
    next_safe: bool
    verdict: Verdict
    why: tuple[str, ...]
    callers: tuple[Caller, ...]
    quiet_since: int | None

    @property
    def breaking(self) -> tuple[Caller, ...]:
        """The callers some of whose requests would be refused."""
        return tuple(caller for caller in self.callers if caller.refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is known about all routes that were asked for.

    `key`: whose calls alone are shown. `unmatched`: requests that no route answered. `folded`: requests whose route was
    not kept, because there were too many different counts. `configured`: whether the rules of the application's code
    are among those judged by.
    """

    window: Window
    routes: tuple[RouteReport, ...]
    unmatched: int
    folded: int
    configured: bool = True
    key: str | None = None


def judged(
    routes: Iterable[RouteStanding],
    uses: Sequence[Use],
    window: Window,
    last_calls: Mapping[Key, int],
    *,
    key: str | None = None,
    configured: bool = True,
) -> Report:
    """Judge every route by the counts. `key`: show only what keys of this id or name called."""
    by_route: defaultdict[Key, list[Use]] = defaultdict(list)
    for use in uses:
        by_route[use.method, use.path].append(use)
    folded = sum(use.requests for use in by_route["*", OTHER])
    reports = [
        _route(one, by_route[one.method, one.path], window, last_calls.get((one.method, one.path)), folded)
        for one in routes
    ]
    if key is not None:
        reports = [narrowed for one in reports if (narrowed := _of_key(one, key)).callers]
    return Report(
        window=window,
        routes=tuple(reports),
        unmatched=sum(use.requests for use in by_route["*", "unmatched"]),
        folded=folded,
        configured=configured,
        key=key,
    )


def _route(
    standing: RouteStanding, uses: Sequence[Use], window: Window, last_call: int | None, folded: int
) -> RouteReport:
    ruling = standing.ruling
    callers = _callers(uses)
    verdict, why = _verdict(ruling, callers, window, last_call, folded)
    following = _next(ruling)
    return RouteReport(
        method=standing.method,
        path=standing.path,
        stage=ruling.stage,
        percent=ruling.percent,
        next_stage=following,
        next_safe=following not in {None, Stage.REQUIRED} or verdict in {Verdict.SAFE, Verdict.UNUSED},
        verdict=verdict,
        why=why,
        callers=callers,
        quiet_since=last_call,
    )


def _verdict(
    ruling: Ruling, callers: Collection[Caller], window: Window, last_call: int | None, folded: int
) -> tuple[Verdict, tuple[str, ...]]:
    if not ruling.permissive:
        return Verdict.DONE, ("It is required for everybody.",)
    refused = sum(caller.refused for caller in callers)
    doubts = _doubts(callers, window, folded)
    if refused:
        broken = sum(1 for caller in callers if caller.refused)
        who = "1 kind of caller" if broken == 1 else f"{broken} kinds of callers"
        return Verdict.BREAKS, (f"{who} would be refused, with {refused} requests in {window.days} days.", *doubts)
    if doubts:
        return Verdict.UNKNOWN, doubts
    if window.young:
        counted = f"There are counts of {window.counted_days} days; {window.days} were asked for."
        return Verdict.TOO_YOUNG, ("Nobody would have been refused so far.", counted)
    if not callers:
        ever = "It was never called." if last_call is None else f"Nobody called it in {window.days} days."
        return Verdict.UNUSED, (ever,)
    return Verdict.SAFE, (f"Everybody who called it in {window.days} days would be let through.",)


def _doubts(callers: Collection[Caller], window: Window, folded: int) -> tuple[str, ...]:
    """Say why the counts do not tell all."""
    found = []
    if not window.counting:
        found.append("Usage is not counted: the setting `usage` is off.")
    elif window.since is None:
        found.append("Nothing was counted yet.")
    unread = sum(caller.requests for caller in callers if caller.credential == UNREAD)
    if unread:
        found.append(f"{unread} requests carried a credential that could not be looked up in time.")
    if folded:
        found.append(f"{folded} requests were counted without their route: there were too many different counts.")
    return tuple(found)


def _callers(uses: Iterable[Use]) -> tuple[Caller, ...]:
    """Put together what one caller did at different stages and with different outcomes; who breaks comes first."""
    grouped: defaultdict[tuple[str, str, str], list[Use]] = defaultdict(list)
    for use in uses:
        grouped[use.credential, use.credential_id, use.client].append(use)
    found = [_caller(*who, parts) for who, parts in grouped.items()]
    order = sorted(found, key=lambda one: (one.credential, one.key_id, one.client))
    return tuple(sorted(order, key=lambda one: (one.refused, one.requests), reverse=True))


def _caller(credential: str, key_id: str, client: str, parts: Sequence[Use]) -> Caller:
    refused = [part for part in parts if part.outcome not in {ALLOWED, UNREAD}]
    return Caller(
        credential=credential,
        key_id=key_id,
        label=max(parts, key=lambda part: part.last_seen).label,
        client=client,
        requests=sum(part.requests for part in parts),
        refused=sum(part.requests for part in refused),
        reasons=tuple(sorted({part.outcome for part in refused})),
        first_seen=min(part.first_seen for part in parts),
        last_seen=max(part.last_seen for part in parts),
        last_refused=max((part.last_seen for part in refused), default=None),
    )


def _of_key(one: RouteReport, key: str) -> RouteReport:
    named = (caller for caller in one.callers if caller.key_id and key in {caller.key_id, caller.label})
    return replace(one, callers=tuple(named))


def _next(ruling: Ruling) -> Stage | None:
    """Return the stage to turn to next; of a stage that holds for some, itself for everybody."""
    if ruling.otherwise is not None:
        return ruling.stage
    order = list(Stage)
    place = order.index(ruling.stage) + 1
    return order[place] if place < len(order) else None
