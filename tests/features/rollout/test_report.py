"""The report: who still uses what, and whether a route may be turned, judged by what was counted and no more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from access.host import KEY, Keys, fitted
from rimlock import Rule, Stage
from rimlock.core.access import RuleBook
from rimlock.core.usage import DAY, Use
from rimlock.features.rollout import RolloutFeature
from rimlock.features.rollout.logic import Verdict, Window, as_text, judged, overview
from rimlock.testing import sign_in

pytestmark = pytest.mark.req("L3")

NOW = 20_700 * DAY
ROUTE = ("GET", "/x")
WINDOW = Window(now=NOW, days=30, since=NOW - 40 * DAY, busy_days=30)
REPORT = "/auth/admin/rollout/report"


def use(**changes) -> Use:
    """Return calls with a good token, of the last days."""
    plain = Use(
        method="GET",
        path="/x",
        credential="token",
        credential_id="",
        stage="observe",
        outcome="allowed",
        client="chrome",
        label="",
        requests=10,
        first_seen=NOW - 20 * DAY,
        last_seen=NOW - DAY,
    )
    return replace(plain, **changes)


OLD_KEY = {"credential": "key", "credential_id": "k1", "label": "old desktop", "client": "lab-desktop"}
STRANGER = {"credential": "none", "outcome": "credential_missing", "client": "curl", "requests": 3}


def judge(uses, *, stage=Stage.OBSERVE, window=WINDOW, percent=100, **more):
    """Judge the one route."""
    rules = [Rule(pattern="/**", stage=Stage.OPEN), Rule(pattern="/x", stage=stage, percent=percent)]
    last = {(one.method, one.path): one.last_seen for one in uses}
    report = judged(overview(RuleBook(code=tuple(rules)), [ROUTE]), uses, window, last, **more)
    return report.routes[0] if report.routes else None


# --- the judgement


def test_a_route_whose_callers_would_all_be_let_through_is_safe():
    """Everybody who called in the whole window had what `required` asks for."""
    found = judge([use(), use(**OLD_KEY)], stage=Stage.OPTIONAL)
    assert (found.verdict, found.next_stage, found.next_safe) == (Verdict.SAFE, Stage.REQUIRED, True)
    assert found.breaking == ()
    assert found.quiet_since == NOW - DAY


def test_who_would_be_refused_breaks_and_is_named_with_reason_and_last_time():
    """A verdict of `breaks` names each caller: credential, key, client, how often, why, and when last."""
    found = judge(
        [
            use(),
            use(**OLD_KEY, outcome="permission_missing", requests=7, last_seen=NOW - 3 * DAY),
            use(**OLD_KEY, requests=5),
            use(**STRANGER),
        ]
    )
    assert (found.verdict, found.next_stage, found.next_safe) == (Verdict.BREAKS, Stage.OPTIONAL, True)
    key, stranger = found.breaking
    assert (key.label, key.key_id, key.client, key.requests, key.refused) == ("old desktop", "k1", "lab-desktop", 12, 7)
    assert (key.reasons, key.last_refused) == (("permission_missing",), NOW - 3 * DAY)
    assert (stranger.credential, stranger.reasons) == ("none", ("credential_missing",))
    assert found.why == ("2 kinds of callers would be refused, with 10 requests in 30 days.",)
    assert not judge([use(**STRANGER)], stage=Stage.OPTIONAL).next_safe


@pytest.mark.parametrize("stage", [Stage.OPEN, Stage.OBSERVE, Stage.OPTIONAL])
def test_too_little_time_is_no_evidence(stage):
    """With fewer days of counts than were asked for, nobody is called safe; who breaks is named all the same."""
    young = replace(WINDOW, since=NOW - 12 * DAY)
    assert judge([use()], stage=stage, window=young).verdict is Verdict.TOO_YOUNG
    assert judge([], stage=stage, window=young).verdict is Verdict.TOO_YOUNG
    assert judge([use(**STRANGER)], stage=stage, window=young).verdict is Verdict.BREAKS
    assert judge([use()], stage=Stage.OPTIONAL, window=young).next_safe is False


@pytest.mark.parametrize(
    "uses, window, told",
    [
        ([use()], replace(WINDOW, counting=False), "Usage is not counted"),
        ([], replace(WINDOW, since=None, busy_days=0), "Nothing was counted yet"),
        ([use(), use(credential="unread", outcome="unread", requests=4)], WINDOW, "4 requests carried a credential"),
        ([use(), use(method="*", path="other", requests=9)], WINDOW, "9 requests were counted without their route"),
    ],
)
def test_what_cannot_be_known_is_said(uses, window, told):
    """Usage switched off, credentials not looked up, counts put together: unknown, never safe."""
    found = judge(uses, stage=Stage.OPTIONAL, window=window)
    assert (found.verdict, found.next_safe) == (Verdict.UNKNOWN, False)
    assert any(told in sentence for sentence in found.why)


def test_a_route_nobody_calls_is_unused_and_says_since_when():
    """Quiet for the whole window, with the last call of before it; or never called at all."""
    old = use(last_seen=NOW - 80 * DAY)
    standing = overview(RuleBook(default=Stage.OPTIONAL), [ROUTE])
    quiet = judged(standing, [], WINDOW, {ROUTE: old.last_seen}).routes[0]
    assert (quiet.verdict, quiet.quiet_since, quiet.next_safe) == (Verdict.UNUSED, old.last_seen, True)
    assert judged(standing, [], WINDOW, {}).routes[0].why == ("It was never called.",)


def test_a_required_route_is_done_unless_it_is_so_for_some_only():
    """For everybody there is nothing left to turn; for 20 of 100 the next step is everybody."""
    assert judge([use(**STRANGER)], stage=Stage.REQUIRED).verdict is Verdict.DONE
    partly = judge([use(**STRANGER)], stage=Stage.REQUIRED, percent=20)
    assert (partly.verdict, partly.next_stage, partly.next_safe) == (Verdict.BREAKS, Stage.REQUIRED, False)
    assert judge([use()], stage=Stage.REQUIRED, percent=20).next_safe


def test_one_key_can_be_looked_at_alone():
    """With a key only its calls and its routes are shown; the verdict is still about everybody."""
    found = judge([use(**STRANGER), use(**OLD_KEY)], key="k1")
    assert [one.key_id for one in found.callers] == ["k1"]
    assert found.verdict is Verdict.BREAKS
    assert judge([use(**STRANGER)], key="k1") is None


OUTCOMES = st.sampled_from(["allowed", "credential_missing", "permission_missing", "credential_retired"])
USES = st.lists(
    st.builds(
        lambda outcome, credential, days, stage: use(
            outcome="unread" if credential == "unread" else outcome,
            credential=credential,
            last_seen=NOW - days * DAY,
            stage=stage,
        ),
        OUTCOMES,
        st.sampled_from(["none", "token", "key", "unread"]),
        st.integers(0, 29),
        st.sampled_from(["open", "observe", "optional", "required"]),
    ),
    max_size=6,
)


@given(USES, st.sampled_from(list(Stage)), st.integers(0, 60), st.booleans(), st.integers(0, 100))
def test_safe_is_only_said_when_nothing_speaks_against_it(uses, stage, age, counting, percent):
    """Whatever was counted: safe means counted long enough, all identified, nobody refused, something left to turn."""
    window = replace(WINDOW, since=NOW - age * DAY, counting=counting)
    found = judge(uses, stage=stage, window=window, percent=percent)
    if found.verdict in {Verdict.SAFE, Verdict.UNUSED}:
        assert counting
        assert age >= 30
        assert {one.outcome for one in uses} <= {"allowed"}
        assert {one.credential for one in uses} <= {"none", "token", "key"}
    if found.next_stage is Stage.REQUIRED and found.next_safe:
        assert found.breaking == ()
    assert sum(one.requests for one in found.callers) == sum(one.requests for one in uses)
    assert as_text(judged([], uses, window, {})).endswith("\n")


def test_the_text_can_be_mailed():
    """Plain lines, the routes that break first, keys by name; what would move a cursor is made visible."""
    rules = RuleBook(code=(Rule(pattern="/x", stage=Stage.OBSERVE), Rule(pattern="/y", stage=Stage.OPTIONAL)))
    uses = [use(**{**OLD_KEY, "label": "old\x1b[2J"}, outcome="permission_missing"), use(path="/y", requests=1)]
    report = judged(overview(rules, [("GET", "/y"), ROUTE]), uses, WINDOW, {ROUTE: NOW - DAY})
    lines = as_text(report).splitlines()
    assert lines[0] == "Change-over report of 2026-09-04, last 30 days"
    assert lines[3] == ""
    assert lines[4] == "GET /x [observe]: would break callers if it were required"
    assert any(
        line == '  - key "old\N{REPLACEMENT CHARACTER}[2J" (k1), lab-desktop: 10 requests, 2026-08-15 to 2026-09-03; '
        "10 would be refused (permission_missing), the last on 2026-09-03"
        for line in lines
    )
    assert "GET /y [optional]: safe to require" in lines
    assert any(": 1 request, " in line for line in lines)
    assert "\x1b" not in as_text(report)


# --- through the API


def test_the_report_over_http_is_for_administrators_and_counts_what_was_just_seen(database_url):
    """Nobody gets 401, a plain account 403; an administrator sees callers, verdicts, and a route by its pattern."""
    app = FastAPI()
    app.get("/x")(lambda: 1)
    app.get("/y")(lambda: 1)
    features = [RolloutFeature(), Keys()]
    auth = fitted(app, database_url, features=features, rules=[Rule(pattern="/x", stage=Stage.OBSERVE)])
    with TestClient(app) as client:
        admin = sign_in(auth, client, roles=["admin"])
        other = sign_in(auth, client, email="b@example.com")
        assert client.get(REPORT).status_code == 401
        assert client.get(REPORT, headers=other.headers).status_code == 403
        client.get("/x", headers={"X-API-Key": KEY, "User-Agent": "lab-desktop/1.4"})
        client.get("/x", headers={"User-Agent": "curl/8"})
        found = client.get(REPORT, headers=admin.headers).json()
        by_route = {one["route"]: one for one in found["items"]}
        assert (found["counting"], found["counted_days"], found["busy_days"]) == (True, 0, 1)
        assert by_route["GET /x"]["verdict"] == "breaks"
        assert by_route["GET /y"]["verdict"] == "too_young"
        callers = {one["client"]: one for one in by_route["GET /x"]["callers"]}
        assert callers["lab-desktop"]["key"] == {"id": "k1", "label": "plotter"}
        assert callers["curl"]["reasons"] == ["credential_missing"]
        one = client.get(REPORT, params={"route": "GET /y", "days": 7}, headers=admin.headers).json()
        assert ([item["route"] for item in one["items"]], one["days"]) == (["GET /y"], 7)
        key = client.get(REPORT, params={"key": "k1"}, headers=admin.headers).json()["items"]
        assert [(item["route"], len(item["callers"])) for item in key] == [("GET /x", 1)]
        wrong = client.get(REPORT, params={"route": "nonsense"}, headers=admin.headers)
        assert wrong.json()["code"] == "route_pattern_invalid"
        assert client.get(REPORT, params={"days": 0}, headers=admin.headers).status_code == 422
