"""Which stage each route is in, changing it, and judging by what was counted whether it may go further.

Threat: see the modules.
Source: design section 5.
"""

from __future__ import annotations

from rimlock.features.rollout.logic.changing import (
    RouteStanding,
    canonical,
    change,
    forget,
    history,
    observed,
    overview,
    take_back,
)
from rimlock.features.rollout.logic.judging import Caller, Report, RouteReport, Verdict, Window, judged
from rimlock.features.rollout.logic.reporting import report
from rimlock.features.rollout.logic.standing import RuleStanding, rules_standing
from rimlock.features.rollout.logic.wording import as_text

__all__ = [
    "Caller",
    "Report",
    "RouteReport",
    "RouteStanding",
    "RuleStanding",
    "Verdict",
    "Window",
    "as_text",
    "canonical",
    "change",
    "forget",
    "history",
    "judged",
    "observed",
    "overview",
    "report",
    "rules_standing",
    "take_back",
]
