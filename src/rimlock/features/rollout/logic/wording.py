"""A report as text that can be read in a terminal and sent by mail.

Threat: a control character in the name of a key that takes over whoever reads the report.
Source: ECMA-48 (control functions); RFC 3676 section 4.1 (lines of plain text).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rimlock.features.rollout.logic.judging import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rimlock.features.rollout.logic.judging import Caller, Report, RouteReport

__all__ = ["as_text"]

WHOLE = 100
_HEADLINES = {
    Verdict.BREAKS: "would break callers if it were required",
    Verdict.UNKNOWN: "cannot be judged",
    Verdict.TOO_YOUNG: "too early to say",
    Verdict.SAFE: "safe to require",
    Verdict.UNUSED: "not called",
    Verdict.DONE: "required",
}


def as_text(report: Report) -> str:
    """Return the report, the routes that would break callers first."""
    order = list(_HEADLINES)
    routes = sorted(report.routes, key=lambda one: (order.index(one.verdict), one.path, one.method))
    blocks = ["\n".join(_opening(report)), *("\n".join(_route(one)) for one in routes)]
    return "\n\n".join(blocks) + "\n"


def _opening(report: Report) -> Iterator[str]:
    window = report.window
    yield f"Change-over report of {_day(window.now)}, last {window.days} days"
    if not window.counting:
        yield "Usage is not counted here: the setting `usage` is off."
    elif window.since is None:
        yield "Nothing was counted yet."
    else:
        yield (
            f"Counted since {_day(window.since)} ({window.counted_days} days); requests came on {window.busy_days} "
            f"of the last {window.days} days."
        )
    if not report.configured:
        yield "Without --app the rules in code are not known: a stage is that of the last request."
    if report.unmatched:
        yield f"{_counted(report.unmatched)} answered by no route."
    if not report.routes:
        by = "" if report.key is None else f' by the key "{_plain(report.key)}"'
        yield f"No route was called{by}."
    counts = {verdict: sum(one.verdict is verdict for one in report.routes) for verdict in _HEADLINES}
    yield ", ".join(f"{count} {_HEADLINES[verdict]}" for verdict, count in counts.items() if count)


def _route(one: RouteReport) -> Iterator[str]:
    share = "" if one.percent == WHOLE else f" for {one.percent} %"
    yield f"{_plain(one.method)} {_plain(one.path)} [{one.stage.value}{share}]: {_HEADLINES[one.verdict]}"
    for sentence in one.why:
        yield f"  {sentence}"
    if one.next_stage is not None:
        to = f"{one.next_stage.value}{' for everybody' if share else ''}"
        yield f"  Next: {to}, {'refuses nobody' if one.next_safe else 'not yet'}."
    if one.quiet_since is not None:
        yield f"  Last called {_day(one.quiet_since)}."
    for caller in one.callers:
        yield f"  - {_caller(caller)}"


def _caller(one: Caller) -> str:
    who = one.credential if not one.key_id else f'key "{_plain(one.label)}" ({_plain(one.key_id)})'
    program = f", {_plain(one.client)}" if one.client else ""
    text = f"{who}{program}: {_counted(one.requests)}, {_day(one.first_seen)} to {_day(one.last_seen)}"
    if not one.refused:
        return text
    last = _day(one.last_refused or one.last_seen)
    return f"{text}; {one.refused} would be refused ({', '.join(one.reasons)}), the last on {last}"


def _counted(requests: int) -> str:
    return "1 request" if requests == 1 else f"{requests} requests"


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
