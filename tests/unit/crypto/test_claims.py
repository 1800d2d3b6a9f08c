"""What a genuine token must say, claim by claim."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rimlock.crypto.jose import Expectation, Reason, TokenRefused, check_claims
from unit.crypto.forge import EXPECTED, NOW, claims

FOREIGN = Expectation(
    issuer="https://id.example",
    audience="https://api.example",
    max_lifetime=timedelta(hours=1),
    require=frozenset(),
    strict_audience=False,
    whole_seconds=False,
)

REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "exp-missing": ({"exp": ...}, Reason.MISSING),
    "iss-missing": ({"iss": ...}, Reason.MISSING),
    "aud-missing": ({"aud": ...}, Reason.MISSING),
    "sub-missing": ({"sub": ...}, Reason.MISSING),
    "iat-missing": ({"iat": ...}, Reason.MISSING),
    "jti-missing": ({"jti": ...}, Reason.MISSING),
    "exp-as-text": ({"exp": str(NOW + 900)}, Reason.CLAIM_TYPE),
    "exp-float": ({"exp": NOW + 900.0}, Reason.CLAIM_TYPE),
    "exp-true": ({"exp": True}, Reason.CLAIM_TYPE),
    "exp-null": ({"exp": None}, Reason.CLAIM_TYPE),
    "exp-list": ({"exp": [NOW + 900]}, Reason.CLAIM_TYPE),
    "exp-zero": ({"exp": 0}, Reason.EXPIRED),
    "exp-negative": ({"exp": -1}, Reason.EXPIRED),
    "exp-year-9999": ({"exp": 253_402_300_799}, Reason.LIFETIME),
    "exp-in-milliseconds": ({"exp": (NOW + 900) * 1000}, Reason.LIFETIME),
    "lifetime-a-second-too-long": ({"exp": NOW + 901}, Reason.LIFETIME),
    "lifetime-too-long-though-most-is-over": ({"iat": NOW - 800, "exp": NOW + 101}, Reason.LIFETIME),
    "ends-as-it-begins": ({"iat": NOW + 5, "exp": NOW + 5}, Reason.LIFETIME),
    "ends-before-it-begins": ({"iat": NOW + 5, "exp": NOW + 4}, Reason.LIFETIME),
    "iat-in-the-future": ({"iat": NOW + 31, "exp": NOW + 600}, Reason.NOT_YET_VALID),
    "iat-as-text": ({"iat": str(NOW)}, Reason.CLAIM_TYPE),
    "iat-float": ({"iat": NOW + 0.5}, Reason.CLAIM_TYPE),
    "nbf-in-the-future": ({"nbf": NOW + 31}, Reason.NOT_YET_VALID),
    "nbf-null": ({"nbf": None}, Reason.CLAIM_TYPE),
    "iss-prefix": ({"iss": "https://id.exampl"}, Reason.ISSUER),
    "iss-suffix": ({"iss": "https://id.example.evil.example"}, Reason.ISSUER),
    "iss-slash": ({"iss": "https://id.example/"}, Reason.ISSUER),
    "iss-case": ({"iss": "https://ID.example"}, Reason.ISSUER),
    "iss-empty": ({"iss": ""}, Reason.ISSUER),
    "iss-list": ({"iss": ["https://id.example"]}, Reason.CLAIM_TYPE),
    "iss-null": ({"iss": None}, Reason.CLAIM_TYPE),
    "aud-other": ({"aud": "https://other.example"}, Reason.AUDIENCE),
    "aud-substring": ({"aud": "https://api.example.evil.example"}, Reason.AUDIENCE),
    "aud-prefix": ({"aud": "https://api"}, Reason.AUDIENCE),
    "aud-empty-list": ({"aud": []}, Reason.AUDIENCE),
    "aud-list-with-others": ({"aud": ["https://api.example", "https://other.example"]}, Reason.AUDIENCE),
    "aud-list-of-ours-twice": ({"aud": ["https://api.example"] * 2}, Reason.AUDIENCE),
    "aud-object": ({"aud": {"https://api.example": 1}}, Reason.CLAIM_TYPE),
    "aud-number-in-list": ({"aud": [1]}, Reason.CLAIM_TYPE),
    "aud-null": ({"aud": None}, Reason.CLAIM_TYPE),
    "sub-number": ({"sub": 1}, Reason.CLAIM_TYPE),
    "sub-null": ({"sub": None}, Reason.CLAIM_TYPE),
    "sub-list": ({"sub": ["u1"]}, Reason.CLAIM_TYPE),
    "sub-empty": ({"sub": ""}, Reason.SUBJECT),
    "sub-long": ({"sub": "u" * 256}, Reason.SUBJECT),
    "sub-newline": ({"sub": "u1\n"}, Reason.SUBJECT),
    "sub-nul": ({"sub": "u1\0"}, Reason.SUBJECT),
    "sub-line-separator": ({"sub": "u1\u2028x"}, Reason.SUBJECT),
    "sub-delete": ({"sub": "u1\x7f"}, Reason.SUBJECT),
}

ACCEPTED: dict[str, dict[str, Any]] = {
    "as-made": {},
    "aud-list-of-one": {"aud": ["https://api.example"]},
    "sub-longest": {"sub": "u" * 255},
    "sub-of-any-script": {"sub": "usuário-用户"},
    "iat-at-the-leeway": {"iat": NOW + 30, "exp": NOW + 600},
    "nbf-at-the-leeway": {"nbf": NOW + 30},
    "last-moment-of-the-leeway": {"iat": NOW - 500, "exp": NOW - 29},
}


@pytest.mark.attack("claim confusion")
@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_claim_out_of_line_refuses_the_token(changes: dict[str, Any], reason: Reason) -> None:
    """One claim at a time is wrong, and the reason names it."""
    with pytest.raises(TokenRefused) as refused:
        check_claims(claims(**changes), EXPECTED, NOW)
    assert refused.value.reason is reason


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_claim_at_its_bound_is_accepted(changes: dict[str, Any]) -> None:
    """The last good value of each rule passes, so that the rule refuses no more than it says."""
    check_claims(claims(**changes), EXPECTED, NOW)


@pytest.mark.parametrize(("now", "reason"), [(NOW + 929.999, None), (NOW + 930, Reason.EXPIRED)])
def test_a_token_ends_with_its_leeway(now: float, reason: Reason | None) -> None:
    """Thirty seconds after `exp`, to the moment, the token is over."""
    if reason is None:
        check_claims(claims(), EXPECTED, now)
    else:
        with pytest.raises(TokenRefused, match=reason):
            check_claims(claims(), EXPECTED, now)


def test_a_clock_set_back_an_hour_refuses_what_it_thinks_is_from_the_future() -> None:
    """A jump of the clock makes tokens unusable, never longer-lived."""
    with pytest.raises(TokenRefused, match="not_yet_valid"):
        check_claims(claims(), EXPECTED, NOW - 3600)


def test_another_issuers_fractions_and_audiences_are_allowed_by_name() -> None:
    """What the own tokens never have, an expectation for a foreign issuer may permit."""
    check_claims(
        claims(exp=NOW + 60.5, iat=..., jti=..., aud=["https://other.example", "https://api.example"]), FOREIGN, NOW
    )


def test_without_iat_the_lifetime_counts_from_now() -> None:
    """Leaving out `iat` buys no longer life."""
    check_claims(claims(iat=..., exp=NOW + 3600), FOREIGN, NOW)
    with pytest.raises(TokenRefused, match="lifetime"):
        check_claims(claims(iat=..., exp=NOW + 3601), FOREIGN, NOW)


def test_a_list_that_does_not_name_us_is_refused_by_the_lenient_too() -> None:
    """Leniency about others in the list is not leniency about us."""
    with pytest.raises(TokenRefused, match="audience"):
        check_claims(claims(aud=["https://api.example.evil"]), FOREIGN, NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": ""},
        {"audience": ""},
        {"leeway": timedelta(seconds=61)},
        {"leeway": timedelta(seconds=-1)},
        {"max_lifetime": timedelta(0)},
    ],
    ids=["issuer", "audience", "leeway-long", "leeway-negative", "lifetime"],
)
def test_an_expectation_that_expects_nothing_is_refused_when_made(wrong: dict[str, Any]) -> None:
    """A verifier without issuer, audience, bounded leeway or lifetime can't be built."""
    settings = {"issuer": "i", "audience": "a", "max_lifetime": timedelta(minutes=1)}
    with pytest.raises(ValueError):
        Expectation(**{**settings, **wrong})


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.text(max_size=9))


@given(st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "iat", "nbf", "jti"]), ANYTHING, min_size=1))
def test_no_claims_raise_anything_but_a_refusal(changes: dict[str, Any]) -> None:
    """Values of every type end in a refusal by name, or in claims that satisfy each rule."""
    found = {**claims(), **changes}
    try:
        check_claims(found, EXPECTED, NOW)
    except TokenRefused:
        return
    assert isinstance(found["sub"], str)
    assert NOW - 30 < found["exp"] <= found["iat"] + 900
    assert found["iss"] == "https://id.example"
