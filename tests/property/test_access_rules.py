"""What holds for every rule book, whatever is in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rimlock import Requirement, Rule, Stage
from rimlock.core.access import RuleBook, decide, share_of
from rimlock.core.errors import CredentialInvalid
from rimlock.core.principal import Principal

SEGMENTS = st.sampled_from(["a", "b", "{id}", "a.b", "ab"])
PATHS = st.lists(SEGMENTS, max_size=3).map(lambda parts: "/" + "/".join(parts))
METHODS = st.sampled_from(["GET", "HEAD", "POST", "WS", "MOUNT"])
PATTERNS = st.builds(
    lambda method, path, deep: f"{method} {path.rstrip('/')}/**" if deep else f"{method} {path}",
    st.sampled_from(["GET", "HEAD", "POST", "WS", "MOUNT", "*"]),
    PATHS,
    st.booleans(),
)
STAGES = st.sampled_from(list(Stage))
ROLES = st.frozensets(st.sampled_from(["admin", "editor", "analyst"]), max_size=2)
KINDS = st.frozensets(st.sampled_from(["token", "key", "external"]), max_size=2)
REQUIREMENTS = st.builds(
    lambda kinds, roles, fresh: Requirement(credentials=kinds, any_role=roles, fresh=fresh),
    KINDS,
    ROLES,
    st.none() | st.integers(1, 100),
)
PERCENTS = st.sampled_from([100, 100, 0, 20, 50, 99])
RULES = st.builds(
    lambda pattern, stage, requirement, percent: Rule(
        pattern=pattern, stage=stage, requirement=requirement, percent=percent
    ),
    PATTERNS,
    st.none() | STAGES,
    st.none() | REQUIREMENTS,
    PERCENTS,
)
BOOKS = st.builds(
    lambda code, file, running, default: RuleBook(
        code=tuple(code), file=tuple(file), running=tuple(running), default=default
    ),
    st.lists(RULES, max_size=4),
    st.lists(RULES, max_size=4),
    st.lists(RULES, max_size=2),
    STAGES,
)
PRINCIPALS = st.builds(
    lambda kind, roles, at: Principal(subject="u", kind=kind, credential_id="c", roles=roles, auth_time=at),
    st.sampled_from(["token", "key", "external"]),
    ROLES,
    st.integers(0, 200),
)


def matches(pattern: str, method: str, path: str) -> bool:
    """A second reading of a pattern, by segments instead of by an expression."""
    wanted, _, template = pattern.partition(" ")
    if wanted not in {"*", method} and not (wanted == "GET" and method == "HEAD"):
        return False
    if not template.endswith("/**"):
        return template == path
    start = [part for part in template.removesuffix("/**").split("/") if part]
    return [part for part in path.split("/") if part][: len(start)] == start


@given(BOOKS, RULES, METHODS, PATHS, st.sampled_from(["code", "file", "running"]), st.integers(0, 4))
def test_a_rule_for_other_routes_never_changes_the_ruling(book, rule, method, path, source, place):
    """Wherever it is put, in whichever source."""
    if matches(rule.pattern, method, path):
        return
    rules = list(getattr(book, source))
    rules.insert(min(place, len(rules)), rule)
    parts = {name: getattr(book, name) for name in ("code", "file", "running")} | {source: tuple(rules)}
    assert RuleBook(**parts, default=book.default).ruling(method, path) == book.ruling(method, path)


@given(RULES, METHODS, PATHS)
def test_a_rule_covers_what_its_pattern_says(rule, method, path):
    """The expression and a reading by segments agree."""
    assert rule.covers(method, path) == matches(rule.pattern, method, path)


@given(BOOKS, st.lists(st.builds(lambda p, s: Rule(pattern=p, stage=s), PATTERNS, STAGES), max_size=4), METHODS, PATHS)
def test_a_run_time_stage_never_loses_a_demand(book, turns, method, path):
    """However routes are turned while running, the requirement is that of the file and the code."""
    still = RuleBook(code=book.code, file=book.file, default=book.default)
    turned = still.with_running(turns)
    assert turned.ruling(method, path).requirement == still.ruling(method, path).requirement


@given(BOOKS, METHODS, PATHS)
def test_asking_twice_gives_the_same_ruling(book, method, path):
    """What is remembered is what would be worked out."""
    fresh = RuleBook(code=book.code, file=book.file, running=book.running, default=book.default)
    fresh.ruling("GET", "/other")
    assert book.ruling(method, path) == book.ruling(method, path) == fresh.ruling(method, path)


@given(STAGES, REQUIREMENTS, st.none() | PRINCIPALS, st.booleans(), st.integers(0, 300))
def test_a_stage_changes_only_whether_a_lack_refuses(stage, requirement, principal, bad, now):
    """All stages find the same lack; only `required` refuses for it, and nothing else refuses."""
    error = CredentialInvalid() if bad else None
    decision = decide(stage, requirement, principal, error, now)
    required = decide(Stage.REQUIRED, requirement, principal, error, now)
    assert type(decision.error) is type(required.error)
    assert decision.refused == (stage is Stage.REQUIRED and required.error is not None)
    assert decision.principal is principal
    assert not bad or decision.error is error


@given(REQUIREMENTS, PRINCIPALS, ROLES, st.integers(0, 300))
def test_more_roles_never_take_a_right_away(requirement, principal, more, now):
    """A principal that is let in stays in when it gains roles."""
    from dataclasses import replace

    richer = replace(principal, roles=principal.roles | more)
    if not decide(Stage.REQUIRED, requirement, principal, None, now).refused:
        assert not decide(Stage.REQUIRED, requirement, richer, None, now).refused


@given(BOOKS, METHODS, PATHS, st.integers(0, 99))
def test_whoever_a_partial_rule_leaves_out_keeps_what_holds_without_it(book, method, path, share):
    """A caller outside of the share is judged as by a book in which the rule sets no stage."""
    ruling = book.ruling(method, path)
    held = ruling.for_share(share)
    assert held.otherwise is None or share < held.percent
    assert held.requirement == ruling.requirement
    if ruling.otherwise is None:
        assert held is ruling
        return
    if share < ruling.percent:
        assert held.stage is ruling.stage
    else:
        assert held == ruling.otherwise.for_share(share)


@given(BOOKS, PATTERNS, STAGES, METHODS, PATHS, st.integers(0, 99), st.integers(0, 100), st.integers(0, 100))
def test_a_growing_percentage_only_adds_callers(book, pattern, stage, method, path, share, one, other):
    """Whoever a stage holds for at a percentage, it holds for at every greater one."""
    few, many = sorted((one, other))

    def held(percent):
        turned = book.with_running([*book.running, Rule(pattern=pattern, stage=stage, percent=percent)])
        return turned.ruling(method, path).for_share(share)

    without = book.with_running(book.running).ruling(method, path).for_share(share)
    if share < few:
        assert held(few) == held(many) or held(few).percent != held(many).percent
        assert held(few).stage is held(many).stage
    elif share >= many:
        assert held(few).stage is held(many).stage is without.stage


@given(st.text(max_size=30), st.binary(min_size=1, max_size=32))
def test_a_share_is_one_of_a_hundred_and_always_the_same(caller, salt):
    """It depends on the caller and the salt, and on nothing else."""
    assert share_of(caller, salt) == share_of(str(caller), bytes(salt))
    assert 0 <= share_of(caller, salt) < 100


def test_shares_are_spread_evenly():
    """Of ten thousand callers each hundredth gets its part, so that 20 per cent are 20 per cent."""
    shares = [share_of(f"user-{number}", b"salt") for number in range(10_000)]
    assert set(shares) == set(range(100))
    assert 1_800 < sum(share < 20 for share in shares) < 2_200
