"""Which stage each route is in, and changing it: one transaction, with a check that the change touches something.

Threat: a pattern that fits no route, and an operator who believes it does; an observation lost in a process's memory.
Source: design section 5 (stages); OWASP ASVS 5.0 V8.1.1 (rules are documented and readable).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core import rollout, usage
from rimlock.core.access import Rule, Stage, end_of, parse_pattern
from rimlock.core.errors import ConfigurationError, NotFound
from rimlock.features.rollout.errors import ExtentInvalid, NothingToTakeBack, RoutePatternInvalid, RouteUnknown
from rimlock.features.rollout.events import UsageForgotten

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from rimlock.core.access import RuleBook, Ruling
    from rimlock.core.database import Transaction
    from rimlock.core.rollout import Change
    from rimlock.core.usage import Observation
    from rimlock.feature import Context

__all__ = ["RouteStanding", "canonical", "change", "forget", "history", "observed", "overview", "take_back"]

WHOLE = 100
Key = tuple[str, str]
"""Method and full template of a route, as the gate sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStanding:
    """One route and what is in force for it."""

    method: str
    path: str
    ruling: Ruling

    @property
    def pattern(self) -> str:
        """The pattern that names this route and no other."""
        return self.path if self.method == "ANY" else f"{self.method} {self.path}"


def overview(rules: RuleBook, keys: Iterable[Key]) -> list[RouteStanding]:
    """Return every route once, in match order, with its ruling."""
    return [
        RouteStanding(method=method, path=path, ruling=rules.ruling(method, path))
        for method, path in dict.fromkeys(keys)
    ]


async def change(
    context: Context,
    pattern: str,
    stage: Stage | None,
    *,
    keys: Iterable[Key] | None,
    actor: str,
    percent: int = WHOLE,
    until: date | None = None,
) -> Change:
    """Set the stage of what `pattern` names; None leaves it to the configuration again.

    `keys`: the routes one of which it has to fit, None to take it unseen. `percent`: for how many callers of a
    hundred; the others keep what held before. `until`: the day by whose end a permissive stage is to be over.
    Raises RoutePatternInvalid, RouteUnknown, ExtentInvalid.
    """
    known = canonical(pattern)
    if keys is not None and not _fits(known, keys):
        raise RouteUnknown
    now = context.now()
    ends = _end(stage, percent, until, now)
    return await context.database.write(
        lambda tx: rollout.set_stage(tx, known, stage, actor=actor, now=now, percent=percent, until=ends)
    )


async def take_back(context: Context, pattern: str | None, *, actor: str) -> Change:
    """Undo the newest change (of one target). Raises NothingToTakeBack, RoutePatternInvalid."""
    known = None if pattern is None else canonical(pattern)
    try:
        return await context.database.write(lambda tx: rollout.back(tx, actor=actor, now=context.now(), pattern=known))
    except NotFound:
        raise NothingToTakeBack from None


async def history(context: Context, *, before: int | None, limit: int) -> list[Change]:
    """Return changes, newest first."""
    return await context.database.read(lambda tx: rollout.history(tx, before=before, limit=limit))


async def observed(context: Context, pattern: str | None, *, limit: int = 200) -> list[Observation]:
    """Return who would have been refused, what this process saw a moment ago included. Raises RoutePatternInvalid."""
    await context.flush()
    if pattern is None:
        return await context.database.read(lambda tx: usage.observed(tx, limit=limit))
    rule = Rule(pattern=canonical(pattern))
    path = None if pattern.endswith("**") else parse_pattern(rule.pattern)[2]
    found = await context.database.read(lambda tx: usage.observed(tx, path=path, limit=_MOST_ROWS))
    return [one for one in found if rule.covers(one.method, one.path)][:limit]


async def forget(context: Context) -> int:
    """Delete every observation, those that wait in this process too; return how many rows there were."""
    await context.flush()
    now = context.now()

    def work(tx: Transaction) -> int:
        rows = usage.forget(tx)
        tx.emit(UsageForgotten(at=now, rows=rows))
        return rows

    return await context.database.write(work)


def canonical(pattern: str) -> str:
    """Return the pattern in its one spelling, so that a change and its undoing name the same. Raises."""
    try:
        method, _, template = parse_pattern(pattern)
    except ConfigurationError as error:
        raise RoutePatternInvalid(str(error)) from None
    if len(template) > _LONGEST or "\0" in template:
        raise RoutePatternInvalid
    return f"{method} {template}"


def _end(stage: Stage | None, percent: int, until: date | None, now: int) -> int | None:
    """Return the end of the day `until`. Raises ExtentInvalid where percent or until mean nothing."""
    if not 0 <= percent <= WHOLE:
        raise ExtentInvalid("percent lies between 0 and 100.")
    if stage is None and (percent != WHOLE or until is not None):
        raise ExtentInvalid("percent and until are said of a stage, not of going by the configuration.")
    if until is None:
        return None
    if stage is Stage.REQUIRED and percent == WHOLE:
        raise ExtentInvalid("A route that is required for everybody lets nobody through; leave until out.")
    if end_of(until) < now:
        raise ExtentInvalid("until lies in the past.")
    return end_of(until)


def _fits(pattern: str, keys: Iterable[Key]) -> bool:
    rule = Rule(pattern=pattern)
    return any(rule.covers(method, path) for method, path in keys)


_LONGEST = 500
_MOST_ROWS = 10_000
"""Rows looked through for a pattern; what is kept in memory between two writes is bounded below that."""
