"""Permissive rules: those that were to be over by now, and those that were never to be.

Threat: a migration that stops half-way and stays there: a permissive rule without an end.
Source: design section 5; the known fate of permissive modes (Istio, SELinux).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rimlock.core.access import Stage
from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.checks.finding import Finding

if TYPE_CHECKING:
    from rimlock import Rimlock
    from rimlock.core.access import Rule, RuleBook, Ruling

__all__ = ["overdue_rules"]

MOST_SHOWN = 5
_WHY = "a permissive rule without an end stays for ever, and with it everybody the rule lets through"


def overdue_rules(auth: Rimlock, book: RuleBook) -> Iterator[Finding]:
    """Look at every route of the application, without one at the rules themselves. `book`: what is in force."""
    now = auth.context.now()
    named = _by_route(auth, book)
    if named is None:
        rules = [*book.running, *book.file, *book.code]
        late = [f"{one.pattern} ({_day(one.until)})" for one in rules if _permissive(one) and _late(one.until, now)]
        endless = [one.pattern for one in rules if _permissive(one) and one.until is None]
    else:
        late = [f"{name} ({_day(ruling.until)})" for name, ruling in named if ruling.overdue(now)]
        endless = [name for name, ruling in named if ruling.permissive and ruling.until is None]
    yield from _told(late, endless, "routes" if named is not None else "rules")


def _by_route(auth: Rimlock, book: RuleBook) -> list[tuple[str, Ruling]] | None:
    try:
        keys = dict.fromkeys(target.key for target in auth.gate.table.targets())
    except ConfigurationError:
        return None
    return [(f"{method} {path}", book.ruling(method, path)) for method, path in keys]


def _told(late: list[str], endless: list[str], what: str) -> Iterator[Finding]:
    if late:
        mend = "turn them to required with `rimlock rollout set`, or give their rules a new `until` on purpose"
        text = f"{len(late)} permissive {what} past their date: {_shown(late)}"
        yield Finding("overdue rules", "fail", text, why=_WHY, mend=mend)
    if endless:
        mend = "give each rule an `until`, a date by which it is to be required; `/**` with one covers the rest"
        text = f"{len(endless)} permissive {what} without a date: {_shown(endless)}"
        yield Finding("endless rules", "warn", text, why=_WHY, mend=mend)
    if not late and not endless:
        rest = "" if what == "routes" else "; --app looks at routes that no rule names too"
        yield Finding("permissive rules", "ok", f"none without a date, and none past it{rest}")


def _permissive(rule: Rule) -> bool:
    return rule.stage is not None and (rule.stage is not Stage.REQUIRED or rule.percent < 100)  # noqa: PLR2004 - of a hundred


def _late(until: object, now: int) -> bool:
    return isinstance(until, int) and until < now


def _day(until: object) -> str:
    return datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d") if isinstance(until, int) else "no date"


def _shown(names: list[str]) -> str:
    return ", ".join(names[:MOST_SHOWN]) + (" …" if len(names) > MOST_SHOWN else "")
