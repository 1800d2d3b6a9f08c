"""What a new password must be, at every boundary, and what it may be: anything else."""

from __future__ import annotations

from itertools import pairwise
from unicodedata import normalize

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rimlock.crypto.passwords.blocklist import CommonPasswords
from rimlock.crypto.passwords.policy import PasswordPolicy, PasswordRefused
from rimlock.crypto.passwords.readings import readings

IRREGULAR = "Ωq7ßk🔑zф3x한yрж5m𝔘"


def codes(password, policy=None, words=()):
    """Return the codes of what stands against the password."""
    return [violation.code for violation in (policy or PasswordPolicy()).violations(password, words=words)]


@pytest.mark.req("L10")
@pytest.mark.asvs("6.2.1")
@pytest.mark.parametrize("minimum", [8, 12, 15])
@pytest.mark.parametrize(
    "alphabet", ["kzvqxwjmbyrgdhp", "🔑🦊🧭🪁🧵🧶🪡🎐🪆🛶🥁🪐🦉🍄🧿", "éàîüõñčşžḱőďŷẃǵ", "ख़रगोशबगीचानदीपुल"]
)
def test_the_minimum_counts_code_points(minimum, alphabet):
    """One below is refused, exactly the minimum accepted, for plain, astral, accented and combining letters."""
    policy = PasswordPolicy(minimum=minimum)
    password = normalize("NFC", alphabet)[:minimum]
    assert len(password) == minimum
    assert codes(password, policy) == []
    assert codes(password[:-1], policy) == ["too_short"]


def test_the_spelling_of_accents_does_not_change_the_count():
    """Decomposed letters count as the letters they make, so that both keyboards meet the same minimum."""
    password = "éàîüõñčşžḱőďŷẃǵ"
    assert codes(normalize("NFD", password)) == []
    assert codes(normalize("NFD", password[:-1])) == ["too_short"]


@pytest.mark.asvs("6.2.9")
@pytest.mark.parametrize("maximum", [64, 128, 1_024])
def test_the_maximum_counts_bytes(maximum):
    """Exactly the maximum is accepted, one byte more refused, with one reason and no more work."""
    policy = PasswordPolicy(maximum_bytes=maximum)
    password = "".join(chr(0x3400 + 7 * index) for index in range(maximum // 3)) + "xyz"[: maximum % 3]
    assert len(password.encode()) == maximum
    assert codes(password, policy) == []
    assert codes(password + "!", policy) == ["too_long"]


def test_twenty_megabytes_are_refused_with_one_reason():
    """Nothing is normalised or looked up for a text of that size."""
    assert codes("violet gravel " * 1_500_000) == ["too_long"]


@pytest.mark.parametrize("password", ["violet gravel\0umbrella", "violet gravel \ud800 umbrella"])
def test_what_cannot_be_stored_is_named(password):
    """A NUL and a lone surrogate have a reason of their own."""
    assert codes(password) == ["unencodable"]


@pytest.mark.req("L10")
@pytest.mark.asvs("6.2.5")
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=15, max_size=200))
@example(" " * 7 + "q7k z" + " " * 7 + "x")
@example("UPPER ONLY WITHOUT A DIGIT")
@example("violetgravelumbrella")
def test_any_text_that_no_guesser_expects_is_accepted(password):
    """Any script, spaces, emoji, one class only: length and surprise are enough."""
    assume(len(normalize("NFC", password)) >= 15)
    assume(surprising(password))
    assert codes(password) == []


def surprising(password):
    """Whether characters mostly neither repeat nor follow their neighbour, judged apart from the code under test."""
    folded = normalize("NFKC", password.casefold())
    jumps = [abs(ord(after) - ord(before)) > 1 for before, after in pairwise(folded)]
    halves = folded[: len(folded) // 2], folded[len(folded) // 2 :]
    return len(set(folded)) > 6 and sum(jumps) > len(folded) / 2 and halves[0] != halves[1] and not listed(password)


def listed(password):
    """Whether a reading of the password is in the shipped list."""
    return any(reading in CommonPasswords() for reading in readings(password))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_a_phrase_is_not_refused_for_what_it_contains(part):
    """Whole passwords are compared: a common part beside an irregular one is no reason."""
    assume(not (set(normalize("NFKC", part.casefold())) & set("wj")))
    assert codes(f"{IRREGULAR}{part}password{IRREGULAR[::-1]}") == []


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple gun",
        "my password hides a wren",
        "sunshine over 3 chimneys",
        "password7391847263519",
    ],
)
def test_common_words_inside_a_phrase_are_no_reason(password):
    """The rule looks at the whole."""
    assert codes(password) == []


@pytest.mark.req("L10")
@pytest.mark.asvs("6.2.4")
@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "PasswordPassword",
        "password password",
        "password-password-password",
        "P@ssw0rdP@ssw0rd",
        "Password1234567!",
        "1234567Password!",
        "sunshine1234567890",
        "!!!!sunshinesunshine2024",
        "iloveyouiloveyou",
        "ILoveYouJennifer",
        "correct horse battery staple",
        "CorrectHorseBatteryStaple1!",
        "To be, or not to be!",
        "may_the_force_be_with_you",
        "thisismypassword",
        "supercalifragilisticexpialidocious",
        "1qaz2wsx3edc4rfv",
        "zaq12wsxcde34rfv",
        "112233445566778899",
        "3141592653589793",
        "telecommunications",
        "ｐａｓｓｗｏｒｄ　ｐａｓｓｗｏｒｄ",
        "contrasenacontrasena1",
        "МойПарольМойПароль",
    ],
)
def test_common_passwords_are_refused_in_every_disguise(password):
    """Case, width, separators, look-alikes, repetition and a few characters around it change nothing."""
    assert codes(password) in (["common"], ["predictable"])


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Password1",
        "12345678",
        "qwertyuiop",
        "sunshine",
        "football",
        "letmein!",
        "trustno1",
        "iloveyou",
        "princess1",
    ],
)
def test_with_the_smaller_minimum_the_short_common_ones_are_refused(password):
    """Eight characters beside a second factor are still not `password`."""
    assert codes(password, PasswordPolicy(minimum=8)) in (["common"], ["predictable"])


@pytest.mark.parametrize(
    "password",
    [
        "aaaaaaaaaaaaaaaa",
        "abababababababab",
        "abc!abc!abc!abc!",
        "🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑",
        "abcdefghijklmnop",
        "ponmlkjihgfedcba",
        "aBcDeFgHiJkLmNoP",
        "абвгдежзийклмноп",
        "йцукенгшщзхъфыва",
        "qwertyuiopasdfghjk",
        "asdfghjklqwertyuiop",
        "poiuytrewqlkjhgfdsa",
        "qwerty123456asdfgh",
        "aaaabbbbccccdddd",
        "9876543210987654",
        "1234567890123456",
    ],
)
def test_what_a_hand_types_without_a_thought_is_refused(password):
    """Repetitions and rows of letters, numbers or keys, in any script."""
    assert codes(password) in (["predictable"], ["common"])


def test_a_repetition_of_something_good_is_good():
    """A unit of eight or more that nobody expects may be doubled."""
    assert codes("kz7vQx!wkz7vQx!w") == []
    assert codes("kz7vQx!kz7vQx!kz") == []
    assert codes("kz7vQx!kz7vQx!") == ["too_short", "predictable"]


@pytest.mark.asvs("6.2.11")
@pytest.mark.parametrize(
    "password",
    [
        "margarethe.oelbaum",
        "MargaretheOelbaum",
        "margarethe.oelbaum2024!",
        "123margaretheoelbaum",
        "Marg@reth3.0elb@um",
        "margarethe.oelbaum@quarrywood.example",
        "quarrywoodquarrywood",
        "quarrywood12345678",
        "starfinch-starfinch",
        "Acmewidgets123456789",
        "acmewidgets acmewidgets",
    ],
)
def test_the_words_of_the_account_and_the_product_are_refused(password):
    """Local part, domain, user name and product, decorated, doubled or disguised."""
    policy = PasswordPolicy(context_words=("Acme Widgets",))
    words = ["Margarethe.Oelbaum@quarrywood.example", "starfinch"]
    assert codes(password, policy, words) == ["context_word"]
    assert codes(password) != ["context_word"]


@pytest.mark.parametrize("words", [["a"], ["al"], ["", "@", "@@", "x@", "@y"], ["starfinch"]])
def test_short_words_and_parts_of_a_phrase_are_no_reason(words):
    """A phrase may contain the user's name; a name of one or two letters forbids nothing."""
    assert codes("al saw a starfinch in the yard", words=words) == []
    assert codes("al1234567890123", words=words) == ["predictable"]


@pytest.mark.req("L10")
@pytest.mark.parametrize(
    "composition, password, missing",
    [
        ({"upper"}, "violet gravel umbrella", ["missing_upper"]),
        ({"lower"}, "VIOLET GRAVEL UMBRELLA", ["missing_lower"]),
        ({"digit"}, "Violet gravel umbrella", ["missing_digit"]),
        ({"symbol"}, "VioletGravelUmbrella7", ["missing_symbol"]),
        (
            {"upper", "lower", "digit", "symbol"},
            "한국어비밀번호문장을길게적는다",
            ["upper", "lower", "digit", "symbol"],
        ),
        ({"upper", "lower", "digit"}, "Violet7gravelumbrella", []),
        ({"symbol"}, "violet gravel umbrella", []),
        ({"upper", "lower"}, "Ñandú del río ancho", []),
    ],
)
def test_documented_composition_rules_can_be_switched_on(composition, password, missing):
    """Off by default; each class asked for and absent has its own code, in a fixed order."""
    expected = [code if code.startswith("missing") else f"missing_{code}" for code in missing]
    assert codes(password, PasswordPolicy(composition=frozenset(composition))) == expected
    assert codes(password) == []


def test_every_reason_is_given_at_once():
    """A person mends a password in one go."""
    policy = PasswordPolicy(composition=frozenset({"upper", "digit"}))
    assert codes("sunshine", policy) == ["too_short", "common", "missing_upper", "missing_digit"]


@pytest.mark.asvs("16.2.5")
def test_check_raises_with_the_reasons_and_without_the_password():
    """The exception and its sentences can be shown and logged."""
    with pytest.raises(PasswordRefused) as refused:
        PasswordPolicy().check("canary 7 kzq")
    assert [violation.code for violation in refused.value.violations] == ["too_short"]
    assert "canary" not in f"{refused.value!r} {refused.value} {refused.value.violations!r}"
    assert PasswordPolicy().check("violet gravel umbrella") is None


def test_a_host_may_bring_its_own_list():
    """Anything that holds folded texts will do, a set among them."""
    policy = PasswordPolicy(blocklist={"violetgravelumbrella"})
    assert codes("Violet Gravel Umbrella", policy) == ["common"]
    assert codes("passwordpassword", policy) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"minimum": 7},
        {"minimum": 65},
        {"maximum_bytes": 63},
        {"maximum_bytes": 1_025},
        {"composition": frozenset({"upper", "emoji"})},
    ],
)
def test_settings_that_accept_too_little_or_refuse_too_much_are_refused(settings):
    """Fewer than 8 characters, a maximum below 64, an unknown class: mistakes at construction."""
    with pytest.raises(ValueError, match=r"minimum is from 8|composition knows"):
        PasswordPolicy(**settings)
