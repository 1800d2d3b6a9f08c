"""The report of the day is read: it says what was sent, to the last request, and what would break."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from story.callers import Caller
from story.stage import chapter, check

if TYPE_CHECKING:
    from story.stage import Place

APP = ("--app", "story.clocked:app")
KEY = "shared laboratory key"
SAFE = {"GET /api/v1/analyses", "POST /api/v1/analyses", "GET /explorer/summary"}
BREAKING = {"GET /analyses", "GET /reports/activity", "GET /health"}


def read(place: Place) -> None:
    """Compare every number of the report with what the callers sent."""
    chapter("the report: who called what with which credential, and what would break")
    sent = Caller.sent + Counter({("GET /health", "none", "python-urllib"): place.knocks})
    report = place.asked("rollout", "report", *APP)
    check(_counted(report) == sent, f"all {sent.total()} requests are counted, each where it belongs", _counted(report))
    _keys_named(place, report)
    _verdicts(place, report)
    _would_be_refused(place, sent)
    place.serve("story.clocked:app")


def _counted(report: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    found: Counter[tuple[str, str, str]] = Counter()
    for item in report["items"]:
        for one in item["callers"]:
            found[item["route"], one["credential"], one["client"]] += one["requests"]
    return found


def _keys_named(place: Place, report: dict[str, Any]) -> None:
    callers = [(item["route"], one) for item in report["items"] for one in item["callers"]]
    named = {(one["key"] or {}).get("label") for _, one in callers if one["credential"] == "key"}
    check(named == {KEY}, "the key is named, and never shown", named)
    sent = {route: n for (route, kind, _), n in Caller.sent.items() if kind == "key"}
    letter = place.rimlock("key", "report", KEY)
    missing = [route for route, n in sent.items() if f"{route} by labdesk: {n}," not in letter]
    check(not missing, "the letter about the key says where it is used, and how often", missing, letter)


def _verdicts(place: Place, report: dict[str, Any]) -> None:
    """By a month's measure two days are too few; by the measure of two days there is an answer."""
    found = {item["route"]: item["verdict"] for item in report["items"]}
    check(_with(found, "breaks") == BREAKING, "what programs without a credential call would break", found)
    check(not _with(found, "safe"), "of nothing else is it said yet that it is safe", found)
    found = {item["route"]: item["verdict"] for item in place.asked("rollout", "report", "--days", "2", *APP)["items"]}
    check(_with(found, "safe") == SAFE, "after two days: the desktop's routes and Ann's are safe to turn", found)
    stages = {row["route"]: row["stage"] for row in place.asked("rollout", "status", *APP)["items"]}
    check(stages.keys() == found.keys(), f"status names the same {len(stages)} routes")


def _with(found: dict[str, str], verdict: str) -> set[str]:
    return {route for route, said in found.items() if said == verdict}


def _would_be_refused(place: Place, sent: Counter[tuple[str, str, str]]) -> None:
    wanted = {route: n for (route, kind, _), n in sent.items() if kind == "none" and route != "GET /health"}
    rows = place.asked("rollout", "observed")["items"]
    found = {row["route"]: row["requests"] for row in rows if row["outcome"] == "credential_missing"}
    check(found == wanted and len(rows) == len(wanted), "who would have been refused is told by number", rows)
