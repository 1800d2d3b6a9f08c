"""Which rules are in force, for how many callers and until when, and which are overdue.

Threat: a permissive rule that was meant for a month and is still there after a year.
Source: design section 5; requirement L3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rimlock.core.access import Stage, end_of, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rimlock.core.access import Rule, RuleBook

__all__ = ["RuleStanding", "rules_standing"]

WHOLE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStanding:
    """A rule that says how far routes are turned. `until` in seconds since the epoch."""

    pattern: str
    stage: Stage
    percent: int
    until: int | None
    source: str
    overdue: bool


def rules_standing(book: RuleBook, now: float) -> list[RuleStanding]:
    """Return the rules that set a stage, without those another stands over wholly: run time, then file, then code."""
    found: list[RuleStanding] = []
    covered: set[tuple[str, str]] = set()
    for source in (book.running, book.file, book.code):
        found += reversed([_standing(rule, rule.stage, now) for rule in _uncovered(source, covered) if rule.stage])
    return found


def _uncovered(rules: Sequence[Rule], covered: set[tuple[str, str]]) -> Iterator[Rule]:
    """Yield the rules that count, the newest first: of equal patterns the last one does."""
    for rule in reversed(rules):
        method, _, template = parse_pattern(rule.pattern)
        if rule.stage is None or (method, template) in covered:
            continue
        if rule.percent == WHOLE:
            covered.add((method, template))
        yield rule


def _standing(rule: Rule, stage: Stage, now: float) -> RuleStanding:
    until = None if rule.until is None else rule.until if isinstance(rule.until, int) else end_of(rule.until)
    permissive = stage is not Stage.REQUIRED or rule.percent < WHOLE
    return RuleStanding(
        pattern=rule.pattern,
        stage=stage,
        percent=rule.percent,
        until=until,
        source=rule.source,
        overdue=permissive and until is not None and until < now,
    )
