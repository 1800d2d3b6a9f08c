"""Gathers what a report is judged by, in one consistent view.

Threat: a report that leaves out what this process saw a moment ago.
Source: design section 5; requirement L3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rimlock.core import usage
from rimlock.core.access import Rule, Stage
from rimlock.features.rollout.logic.changing import RouteStanding, canonical, overview
from rimlock.features.rollout.logic.judging import Report, Window, judged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rimlock.core.database import Transaction
    from rimlock.core.usage import Use
    from rimlock.core.usage_rows import Kept
    from rimlock.feature import Context

__all__ = ["report"]

Key = tuple[str, str]


async def report(context: Context, pattern: str | None, *, days: int, key: str | None = None) -> Report:
    """Judge the routes a pattern names, all of them without one, by the last `days`. Raises RoutePatternInvalid."""
    wanted = None if pattern is None else Rule(pattern=canonical(pattern))
    await context.flush()
    now = context.now()
    since = now // usage.DAY - days + 1
    uses, kept, last_calls = await context.database.read(lambda tx: _gathered(tx, since))
    window = Window(now=now, days=days, since=kept.since, busy_days=kept.days, counting=context.settings.usage)
    routes = _routes(context, uses, last_calls)
    chosen = [one for one in routes if wanted is None or wanted.covers(one.method, one.path)]
    return judged(chosen, uses, window, last_calls, key=key, configured=context.routes() is not None)


def _gathered(tx: Transaction, since: int) -> tuple[list[Use], Kept, dict[Key, int]]:
    return usage.used(tx, since=since), usage.kept(tx, since=since), usage.last_calls(tx)


def _routes(context: Context, uses: Sequence[Use], last_calls: Iterable[Key]) -> list[RouteStanding]:
    """Return the routes of the application; where it is not at hand, those that were called."""
    table = context.routes()
    if table is not None:
        return overview(context.rules(), [target.key for target in table.targets()])
    called = sorted(route for route in last_calls if route[0] != "*")
    return [_last_stage(one, uses) for one in overview(context.rules(), called)]


def _last_stage(standing: RouteStanding, uses: Sequence[Use]) -> RouteStanding:
    """Where the rules of the code are not known, the stage of the last request says what they are."""
    if standing.ruling.stated:
        return standing
    of_route = [use for use in uses if (use.method, use.path) == (standing.method, standing.path)]
    if not of_route:
        return standing
    stage = Stage(max(of_route, key=lambda use: use.last_seen).stage)
    return replace(standing, ruling=replace(standing.ruling, stage=stage, stage_source="last request"))
