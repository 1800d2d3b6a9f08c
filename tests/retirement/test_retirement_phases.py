"""How far a credential is at a moment, when a brownout ends, and what may be said at all."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimlock.core.errors import ConfigurationError
from rimlock.core.principal import Principal
from rimlock.core.retirements import Phase, Retirement, Retirements, checked_target, standing
from rimlock.core.rulefile import parse_rules
from rimlock.core.windows import EVERY, Window, ends_at, merged

pytestmark = pytest.mark.req("L1", "L12")
ZERO = 1_800_000_000
DAY = datetime(2026, 12, 1, tzinfo=UTC)
KEY = Principal(subject="key:k1", kind="key", credential_id="k1")


@st.composite
def windows(draw):
    """Windows of minutes within a few days, once or again."""
    start = ZERO + 60 * draw(st.integers(0, 3000))
    every = draw(st.sampled_from([None, None, "day", "week"]))
    longest = 1200 if every is None else EVERY[every] // 60 - 1
    return Window(start=start, end=start + 60 * draw(st.integers(1, min(longest, 1400))), every=every)


def holds(window, at):
    """By looking at every occurrence there can be."""
    starts = [window.start] if window.every is None else range(window.start, at + 1, EVERY[window.every])
    return any(start <= at < start + window.end - window.start for start in starts)


@given(st.lists(windows(), max_size=5), st.integers(-100, 5000))
def test_a_brownout_holds_in_its_windows_and_ends_where_none_holds(some, minute):
    """Held against every occurrence one by one; the foreseen end is the first moment at which none holds."""
    now = ZERO + 60 * minute + 7
    held, end = ends_at(some, now)
    assert held is any(holds(one, now) for one in some)
    if end is not None:
        assert held
        assert not any(holds(one, end) for one in some)
        assert all(any(holds(one, at) for one in some) for at in range(now, end, 60))


@given(st.lists(windows(), max_size=6), st.integers(-100, 5000))
def test_joined_windows_hold_when_the_single_ones_do(some, minute):
    """Joining loses no moment and adds none, and no two of one date touch any more."""
    now, joined = ZERO + 60 * minute, merged(some)
    assert ends_at(some, now)[0] is ends_at(joined, now)[0]
    dated = [one for one in joined if one.every is None]
    assert all(before.end < after.start for before, after in pairwise(dated))


@given(
    st.sampled_from(list(Phase)),
    st.one_of(st.none(), st.integers(0, 4000)),
    st.booleans(),
    st.lists(windows(), min_size=1, max_size=4),
    st.integers(-100, 5000),
)
def test_the_phase_follows_from_what_was_said_and_the_time(phase, sunset, final, some, minute):
    """Refused only when said so or after a sunset that is meant; a clock set back is answered all the same."""
    at = None if sunset is None else ZERO + 60 * sunset
    entry = Retirement(
        target="key:k1",
        phase=phase,
        deprecated_at=ZERO - 9,
        sunset_at=at,
        windows=tuple(some),
        refuse_after_sunset=final and at is not None,
    )
    now = ZERO + 60 * minute
    found = standing(entry, now)
    over = entry.refuse_after_sunset and at is not None and now >= at
    if phase in {Phase.ACCEPT, Phase.REFUSED}:
        expected = phase
    elif over:
        expected = Phase.REFUSED
    elif phase is Phase.BROWNOUT and any(holds(one, now) for one in some):
        expected = Phase.BROWNOUT
    else:
        expected = Phase.DEPRECATED
    assert found is expected
    known = Retirements()
    known.use([entry])
    notice = known.judge(KEY, now)
    assert (notice is None) is (found is Phase.ACCEPT)
    assert (notice is not None and notice.error is not None) is (found in {Phase.BROWNOUT, Phase.REFUSED})


def test_windows_over_midnight_and_over_the_end_of_summer_time_keep_their_length():
    """A daily window from 23:55 to 00:05 UTC is ten minutes every day, also on the night when clocks are put back."""
    start = int(datetime(2026, 10, 20, 23, 55, tzinfo=UTC).timestamp())
    nightly = Window(start=start, end=start + 600, every="day")
    night = int(datetime(2026, 10, 24, 23, 55, tzinfo=UTC).timestamp())
    assert [ends_at([nightly], night + at) for at in (-1, 0, 599)] == [
        (False, None),
        (True, night + 600),
        (True, night + 600),
    ]
    assert ends_at([nightly], night + 600) == (False, None)
    assert nightly.next(night) == night + 86_400


def test_windows_without_a_gap_have_no_foreseen_end():
    """Two half days that come again every day leave no moment; nobody is told when to try again."""
    halves = [Window(start=0, end=50_000, every="day"), Window(start=40_000, end=86_401, every="day")]
    assert ends_at(halves, ZERO) == (True, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"deprecated_at": None},
        {"sunset_at": ZERO - 1},
        {"phase": Phase.BROWNOUT},
        {"percent": 101},
        {"refuse_after_sunset": True},
        {"deprecated_at": 253_402_300_800},
        {"deprecated_at": -1},
        {"link": "http://lab.example"},
        {"link": "https://"},
        {"link": "https://[half"},
        {"link": 'https://lab.example/">; rel="x'},
        {"link": "https://lab.example/\r\nSet-Cookie: a=b"},
        {"link": "https://lab.example/ü"},
        {"link": "https://lab.example/" + "x" * 2000},
        {"link": "javascript:alert(1)"},
    ],
)
def test_what_contradicts_itself_or_could_write_a_header_is_refused(wrong):
    """Nothing of it is kept, so nothing of it can reach an answer."""
    with pytest.raises(ConfigurationError):
        Retirement(**{"target": "key:k1", "phase": Phase.DEPRECATED, "deprecated_at": ZERO, **wrong})


@pytest.mark.parametrize(
    ("start", "end", "every"), [(5, 5, None), (6, 5, None), (-1, 5, None), (0, 86_400, "day"), (0, 9, "month")]
)
def test_a_window_that_is_empty_runs_backwards_or_meets_itself_is_refused(start, end, every):
    """A typing error never becomes a brownout without an end."""
    with pytest.raises(ConfigurationError):
        Window(start=start, end=end, every=every)


@pytest.mark.parametrize("target", ["k1", "key:", "key:a b", "kind:password", "name:plotter", "key:" + "a" * 65])
def test_a_target_is_a_key_by_id_or_a_kind(target):
    """What names neither retires nothing, and says so."""
    with pytest.raises(ConfigurationError):
        checked_target(target)


def test_a_key_counts_before_its_kind():
    """Accepting a key exempts it; as long as nothing is being retired, nothing is kept."""
    known = Retirements()
    known.use([Retirement(target="key:k1", phase=Phase.ACCEPT)])
    assert not known.active
    everybody = Retirement(target="kind:key", phase=Phase.REFUSED, deprecated_at=0)
    known.use([Retirement(target="key:k1", phase=Phase.ACCEPT), everybody])
    other = Principal(subject="key:k2", kind="key", credential_id="k2")
    token = Principal(subject="ann", kind="token", credential_id="k2")
    assert known.judge(KEY, ZERO) is None
    assert known.judge(token, ZERO) is None
    notice = known.judge(other, ZERO)
    assert notice is not None
    assert notice.error is not None


def test_a_share_of_the_callers_is_browned_out_and_always_the_same():
    """Of a hundred shares those below the percentage are refused, the rest are told."""
    shares = {"place": 0}
    known = Retirements(lambda _principal, request: shares[request])
    window = (Window(start=0, end=2 * ZERO),)
    known.use([Retirement(target="key:k1", phase=Phase.BROWNOUT, deprecated_at=0, windows=window, percent=30)])
    refused = 0
    for share in range(100):
        shares["place"] = share
        notice = known.judge(KEY, ZERO, "place")
        assert notice is not None
        refused += notice.error is not None
    assert refused == 30


def test_warnings_name_what_has_no_effect():
    """Windows that are over, a sunset that passed unheeded, a brownout of nobody."""
    past = Window(start=1, end=2)
    entry = Retirement(target="key:k1", phase=Phase.BROWNOUT, deprecated_at=0, windows=(past,), sunset_at=9, percent=0)
    assert len(entry.warnings(ZERO)) == 3
    assert entry.overdue(ZERO)
    ahead = Retirement(target="key:k1", phase=Phase.DEPRECATED, deprecated_at=0, sunset_at=ZERO + 9)
    assert ahead.warnings(ZERO) == []


def test_the_rule_file_says_it_with_dates():
    """A bare date begins in the morning and ends at night, UTC; windows make a brownout."""
    (by_name, by_kind) = parse_rules(
        {
            "retire": [
                {
                    "key": "plotter",
                    "deprecated": datetime(2026, 12, 1, tzinfo=UTC).date(),
                    "sunset": datetime(2027, 3, 31, tzinfo=UTC).date(),
                    "link": "https://lab.example",
                },
                {
                    "kind": "key",
                    "deprecated": datetime(2026, 12, 1, 9),  # noqa: DTZ001 - as TOML has it
                    "windows": [
                        {
                            "start": datetime(2027, 3, 1, 9, tzinfo=UTC),
                            "end": datetime(2027, 3, 1, 9, 10, tzinfo=UTC),
                            "every": "week",
                        }
                    ],
                },
            ]
        }
    ).retirements
    assert (by_name.target, by_name.phase) == ("name:plotter", Phase.DEPRECATED)
    assert by_name.sunset_at == int(datetime(2027, 3, 31, 23, 59, 59, tzinfo=UTC).timestamp())
    assert (by_kind.target, by_kind.phase, by_kind.windows[0].every) == ("kind:key", Phase.BROWNOUT, "week")
    assert by_kind.deprecated_at == int(datetime(2026, 12, 1, 9, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"key": "a", "kind": "key"},
        {"kind": "password"},
        {"key": 3},
        {"key": "a", "sunset": "2027-03-31"},
        {"key": "a", "phase": "gone"},
        {"key": "a", "windows": [{"start": 1}]},
        {"key": "a", "windows": [{"start": DAY, "end": DAY, "every": ["day"]}]},
        {"key": "a", "windows": [{"start": DAY}]},
        {"key": "a", "percent": True},
        {"key": "a", "misspelt": 1},
        {"key": "a", "deprecated": None},
    ],
)
def test_a_table_that_says_it_wrong_names_its_place(wrong):
    """The process does not start on a retirement that means something else than its author."""
    with pytest.raises(ConfigurationError, match=r"rimlock.toml, retire 1"):
        parse_rules({"retire": [{"deprecated": DAY, **wrong}]})
