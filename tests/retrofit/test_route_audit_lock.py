"""The lock file: what it says comes back as it went in, and every weakening is called one."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimlock import Stage
from rimlock.core.access import end_of
from rimlock.core.errors import ConfigurationError
from rimlock.retrofit.audit import read_lock, write_lock
from rimlock.retrofit.audit.claims import Claim, changes

pytestmark = pytest.mark.req("L8")

STAGES = [stage.value for stage in Stage]
words = st.frozensets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), max_size=3)
shares = st.one_of(
    st.sampled_from(STAGES).map(lambda stage: {stage: 100}),
    st.tuples(st.permutations(STAGES), st.integers(1, 99)).map(lambda t: {t[0][0]: t[1], t[0][1]: 100 - t[1]}),
)
claims = st.builds(
    Claim,
    shares=shares,
    stated=st.booleans(),
    credentials=words,
    roles=words,
    permissions=words,
    scopes=words,
    fresh=st.none() | st.integers(1, 10_000),
    until=st.none() | st.integers(0, 4_000_000_000),
    inside=words,
    checks=words,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), claims, max_size=4))
@pytest.mark.attack("a route name that rewrites the lock file")
def test_what_is_written_is_read_again(tmp_path_factory, held):
    """Whatever names and words there are, markup, newlines and escapes too: the file says the same, line for line."""
    file = tmp_path_factory.mktemp("lock") / "routes.lock"
    text = write_lock(held)
    file.write_text(text, encoding="utf-8")
    assert read_lock(file) == held
    lines = text[text.index("[routes]\n") + 9 :].splitlines()
    assert len(lines) == len(held)
    assert all(sign.isprintable() for line in lines for sign in line)


def test_the_file_is_sorted_and_says_only_what_asks_for_something():
    """Two runs differ in the lines that changed; a date is written as a date."""
    held = {
        "POST /b": Claim(shares={"required": 100}, roles=frozenset({"z", "a"}), fresh=300),
        "POST /c": Claim(shares={"open": 100}, checks=frozenset({"main.who", "main.admin"})),
        "GET /b": Claim(shares={"observe": 100}, until=end_of(date(2027, 3, 1))),
        "GET /a": Claim(shares={"open": 90, "required": 10}, stated=False, inside=frozenset({"role admin"})),
    }
    written = write_lock(held)
    assert written.endswith(
        '"GET /a" = { share = { open = 90, required = 10 }, stated = false, function = ["role admin"] }\n'
        '"GET /b" = { stage = "observe", until = 2027-03-01 }\n'
        '"POST /b" = { stage = "required", roles = ["a", "z"], fresh = 300 }\n'
        '"POST /c" = { stage = "open", checks = ["main.admin", "main.who"] }\n'
    )
    assert tomllib.loads(written)["version"] == 2


BASE = Claim(
    shares={"required": 100},
    credentials=frozenset({"token"}),
    roles=frozenset({"admin"}),
    permissions=frozenset({"p:r"}),
    scopes=frozenset({"s"}),
    fresh=300,
    inside=frozenset({"role admin"}),
    checks=frozenset({"main.old_check"}),
)


def but(**changed) -> Claim:
    """The base, changed."""
    return Claim(**{**{name: getattr(BASE, name) for name in Claim.__dataclass_fields__}, **changed})


@pytest.mark.parametrize(
    "after, told",
    [
        (but(shares={"optional": 100}), "stage required -> optional"),
        (but(shares={"required": 40, "open": 60}), "required for 40 %"),
        (but(credentials=frozenset({"token", "key"})), "credential key added"),
        (but(credentials=frozenset()), "credential token no longer asked for"),
        (but(roles=frozenset({"admin", "guest"})), "role guest added"),
        (but(roles=frozenset()), "role admin no longer asked for"),
        (but(permissions=frozenset()), "permission p:r no longer"),
        (but(scopes=frozenset()), "scope s no longer"),
        (but(fresh=None), "at most 300 s old -> of any age"),
        (but(fresh=600), "at most 300 s old -> at most 600 s old"),
        (but(inside=frozenset()), "demand of the function: role admin no longer"),
        (but(stated=False), "the rule that named it is gone"),
    ],
)
def test_every_weakening_is_called_one_and_its_reverse_is_not(after, told):
    """Each part by itself: from the base it is weaker, back to the base it is not."""
    (change,) = changes(BASE, after)
    assert change.kind == "weakened"
    assert told in change.what
    assert not any(change.kind == "weakened" for change in changes(after, BASE))


UNGUARDED = [
    {"shares": {"open": 100}},
    {"shares": {"observe": 100}},
    {"shares": {"optional": 100}},
    {"shares": {"required": 99, "open": 1}},
]


@pytest.mark.attack("a check of the application's own dropped in a change that nobody reads")
@pytest.mark.parametrize("state", UNGUARDED)
def test_a_check_of_the_applications_own_that_is_gone_is_a_weakening_where_nothing_else_asks(state):
    """Where not every caller has to be known, it was all there was; put there again it is no weakening."""
    before, after = but(**state, inside=frozenset()), but(**state, inside=frozenset(), checks=frozenset())
    (change,) = changes(before, after)
    assert (change.kind, change.what) == ("weakened", "the application's own check main.old_check is gone")
    (change,) = changes(after, before)
    assert (change.kind, change.what) == ("strengthened", "the application's own check main.old_check asked for")


@pytest.mark.parametrize("state", [{}, {"shares": {"open": 100}}])
def test_a_check_of_the_applications_own_may_go_where_every_caller_has_to_be_known(state):
    """That is how a change-over ends: by the rule, or by a demand of the function."""
    before, after = but(**state), but(**state, checks=frozenset())
    assert [change.kind for change in changes(before, after)] == ["replaced"]
    assert not changes(but(**state, checks=None), after)


def test_a_stricter_part_does_not_make_up_for_a_weaker_one():
    """A stage raised and a role dropped is a weakening, and a percentage moved both ways is one too."""
    before, after = but(shares={"optional": 100}), but(roles=frozenset())
    assert [change.kind for change in changes(before, after)] == ["strengthened", "weakened"]
    both = changes(but(shares={"observe": 100}), but(shares={"required": 10, "open": 90}))
    assert [change.kind for change in both] == ["weakened"]


@given(claims, claims)
def test_no_difference_of_strength_goes_unnoticed(one, other):
    """Equal claims have no changes; unequal ones have some, but for the date."""
    assert changes(one, one) == []
    same = {name: getattr(other, name) for name in Claim.__dataclass_fields__ if name != "until"}
    if {name: getattr(one, name) for name in same} != same and one.stated == other.stated:
        assert changes(one, other)


@pytest.mark.parametrize(
    "content, told",
    [
        ("version = 3\n[routes]\n", "another version"),
        ("not toml", "routes.lock: "),
        ('version = 1\n[routes]\n"GET /" = { stage = "shut" }\n', "GET /: the stage"),
        ('version = 1\n[routes]\n"GET /" = { share = { open = 4 } }\n', "GET /: the stage"),
        ('version = 1\n[routes]\n"GET /" = { share = { open = "4" } }\n', "GET /: the stage"),
        ('version = 1\n[routes]\n"GET /" = { stage = ["open"] }\n', "GET /: the stage"),
        ('version = 1\n[routes]\n"GET /" = { stag = "open" }\n', "is not understood"),
        ('version = 1\n[routes]\n"GET /" = 7\n', "is not understood"),
        ('version = 1\n[routes]\n"GET /" = { stage = "open", roles = "admin" }\n', "GET /: roles is not understood"),
        (
            'version = 1\n[routes]\n"GET /" = { stage = "open", roles = ["admin", 7] }\n',
            "GET /: roles is not understood",
        ),
        ('version = 1\n[routes]\n"GET /" = { stage = "open", fresh = "300" }\n', "GET /: fresh is not understood"),
        ('version = 1\n[routes]\n"GET /" = { stage = "open", fresh = true }\n', "GET /: fresh is not understood"),
        (
            'version = 1\n[routes]\n"GET /" = { stage = "open", until = "2027-01-01" }\n',
            "GET /: until is not understood",
        ),
        ('version = 1\n[routes]\n"GET /" = { stage = "open", stated = "no" }\n', "GET /: stated is not understood"),
        ('version = 1\n[routes]\n"GET /" = { stage = "open", function = {} }\n', "GET /: function is not understood"),
        ('version = 2\n[routes]\n"GET /" = { stage = "open", checks = "a" }\n', "GET /: checks is not understood"),
        ("version = true\n[routes]\n", "another version"),
        ('version = 1\n[routes]\n"GET /" = { share = { open = -10, required = 110 } }\n', "GET /: the stage"),
    ],
)
def test_a_file_that_is_not_understood_is_refused_with_its_place(tmp_path, content, told):
    """A line nobody understands is no claim that holds."""
    file = tmp_path / "routes.lock"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"routes\.lock") as refused:
        read_lock(file)
    assert told in str(refused.value)
