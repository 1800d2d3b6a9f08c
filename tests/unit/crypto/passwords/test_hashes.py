"""Our own hashes: one form, one normalisation, a cost that follows the setting."""

from __future__ import annotations

import subprocess
import sys
from unicodedata import normalize

import argon2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rimlock.crypto.passwords import (
    ASVS_46_MIB,
    CHEAPEST_FOR_TESTS,
    DEFAULT,
    RFC_9106_LOW_MEMORY,
    Argon2Cost,
    HashUnreadable,
    PasswordError,
    PasswordHasher,
    PasswordHashes,
    PasswordMismatch,
    PasswordTooLong,
    PasswordUnencodable,
    Verified,
)

CHEAP = PasswordHashes(CHEAPEST_FOR_TESTS)


def test_the_default_is_the_floor_of_asvs_and_the_string_says_what_was_done():
    """The tag names the normalisation; the rest is the usual string with t=2, m=19456, p=1."""
    stored = PasswordHashes().hash("violet gravel umbrella")
    assert stored.startswith("nfc1$argon2id$v=19$m=19456,t=2,p=1$")
    assert PasswordHashes().verify(stored, "violet gravel umbrella") == Verified(upgrade=False)


def test_without_the_tag_any_argon2_library_verifies_what_we_stored():
    """Nobody is locked in: the tag is taken off, and the reference binding accepts the string."""
    stored = CHEAP.hash("Grüße aus Köln, immer")
    assert argon2.PasswordHasher().verify(stored.removeprefix("nfc1"), "Grüße aus Köln, immer")


def test_a_wrong_password_raises():
    """Verify has no False to overlook."""
    with pytest.raises(PasswordMismatch):
        CHEAP.verify(CHEAP.hash("violet gravel umbrella"), "violet gravel umbrellA")


def test_equal_passwords_have_different_strings():
    """Every hash has its own salt."""
    assert CHEAP.hash("violet gravel umbrella") != CHEAP.hash("violet gravel umbrella")


@pytest.mark.parametrize("length", [1, 72, 73, 128, 1_024])
def test_the_last_byte_counts(length):
    """Nothing is cut off: a password that differs in its last byte alone is refused, up to the limit."""
    password = "p" * length
    stored = CHEAP.hash(password)
    assert CHEAP.verify(stored, password) == Verified(upgrade=False)
    with pytest.raises(PasswordMismatch):
        CHEAP.verify(stored, password[:-1] + "q")
    with pytest.raises(PasswordMismatch):
        CHEAP.verify(stored, password[:-1])


@pytest.mark.req("L10")
@pytest.mark.parametrize("spelling", ["NFC", "NFD"])
@pytest.mark.parametrize("password", ["café résumé naïve œuvre", "한국어 비밀번호 문장", "Ởn ào ΐ ᾂ ends"])
def test_two_keyboards_that_spell_alike_log_in_alike(spelling, password):
    """A password set in composed form is verified in decomposed form, and the other way round."""
    stored = CHEAP.hash(normalize(spelling, password))
    for typed in ("NFC", "NFD"):
        assert CHEAP.verify(stored, normalize(typed, password)) == Verified(upgrade=False)


def test_letters_that_only_look_alike_stay_different():
    """Normalisation joins canonical equals and nothing else: a ligature is not two letters."""
    with pytest.raises(PasswordMismatch):
        CHEAP.verify(CHEAP.hash("ﬁne weather in august"), "fine weather in august")


@given(password=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=256))
@settings(max_examples=100)
def test_every_text_is_hashed_and_verified(password):
    """Any script, any symbol, spaces at either end, control characters: what was set is what logs in."""
    assert CHEAP.verify(CHEAP.hash(password), password) == Verified(upgrade=False)


@pytest.mark.attack("long password")
@pytest.mark.parametrize(
    "password",
    ["x" * 1_025, "é" * 513, "🔑" * 257, "x" * 20_000_000, "e\u0301" * 1_025, "a" + "\u0315\u0300" * 1_200],
    ids=["1025 bytes", "1026 bytes of é", "1028 bytes of keys", "20 MB", "decomposed", "piled marks"],
)
def test_more_than_1024_bytes_are_refused_before_hashing(password):
    """The same refusal when a password is set and when it is tried."""
    stored = CHEAP.hash("violet gravel umbrella")
    with pytest.raises(PasswordTooLong):
        CHEAP.hash(password)
    with pytest.raises(PasswordTooLong):
        CHEAP.verify(stored, password)


@pytest.mark.parametrize("password", ["x" * 1_024, "é" * 512, "🔑" * 256, "e\u0301" * 512, "\u03b9\u0308\u0301" * 512])
def test_1024_bytes_after_normalisation_are_accepted(password):
    """The limit is on the normalised form, so that no spelling of an accepted password is too long."""
    assert CHEAP.verify(CHEAP.hash(password), password) == Verified(upgrade=False)


@pytest.mark.parametrize("password", ["nul\0inside and more", "\0", "lone \ud800 surrogate", "tail \udfff"])
def test_what_cannot_be_stored_whole_is_refused(password):
    """A NUL would end the password early in some scheme; a lone surrogate is not text."""
    with pytest.raises(PasswordUnencodable):
        CHEAP.hash(password)
    with pytest.raises(PasswordUnencodable):
        CHEAP.verify(CHEAP.dummy(), password)


@pytest.mark.asvs("11.2.2")
@pytest.mark.parametrize("cost", [Argon2Cost(2, 8), Argon2Cost(1, 16), Argon2Cost(1, 16, 2)])
def test_a_change_of_cost_asks_for_a_new_hash(cost):
    """What was stored at another cost still verifies, and says that it wants to be replaced."""
    stored = CHEAP.hash("violet gravel umbrella")
    assert PasswordHashes(cost).verify(stored, "violet gravel umbrella") == Verified(upgrade=True)
    assert CHEAP.verify(PasswordHashes(cost).hash("violet gravel umbrella"), "violet gravel umbrella").upgrade


def test_the_dummy_has_todays_cost_and_matches_nothing():
    """An unknown account is checked against the same numbers as a new hash, with a fresh salt."""
    dummy, real = PasswordHashes().dummy(), PasswordHashes().hash("violet gravel umbrella")
    assert dummy.rpartition("$")[0].rpartition("$")[0] == real.rpartition("$")[0].rpartition("$")[0]
    assert (len(dummy), dummy) != (len(real), PasswordHashes().dummy())
    assert len(dummy) == len(real)
    with pytest.raises(PasswordMismatch):
        PasswordHashes().verify(dummy, "")


@pytest.mark.parametrize(
    "stored",
    [
        "nfc1",
        "nfc1$",
        "nfc2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=18$m=8,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=8,t=17,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=1024,t=1,p=17$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=8,t=0,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21l$AA",
        "nfc1$argon2id$v=19$m=8,t=1,p=1$c29t$" + "A" * 43,
        "nfc1$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 45,
        "nfc1$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43 + "\n",
        "nfc1$argon2id$v=19$m=٨,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "nfc1$2b$04$6fDW8rfBqctyGyu1DuQZ3.I214bbSthMwp5eFEdBAyEAS2R2n/bP6",
    ],
)
def test_a_damaged_or_hostile_string_of_ours_is_unreadable(stored):
    """Nothing is computed for a cost above the limits, and part of a digest proves nothing."""
    with pytest.raises(HashUnreadable):
        CHEAP.verify(stored, "violet gravel umbrella")


@pytest.mark.parametrize(
    "numbers", [(0, 8, 1), (17, 8, 1), (1, 7, 1), (1, 15, 2), (1, 262_145, 1), (1, 1_024, 17), (1, 8, 0)]
)
def test_a_cost_that_could_not_be_read_back_cannot_be_set(numbers):
    """The limits for stored strings are the limits for the setting."""
    with pytest.raises(ValueError, match="argon2 takes"):
        Argon2Cost(*numbers)


@pytest.mark.asvs("11.4.2")
def test_the_named_costs_say_whether_they_are_adequate():
    """Every named cost meets the published floor, except the one for tests."""
    assert all(cost.adequate for cost in (DEFAULT, ASVS_46_MIB, RFC_9106_LOW_MEMORY, Argon2Cost(3, 12_288)))
    weak = (CHEAPEST_FOR_TESTS, Argon2Cost(1, 47_103), Argon2Cost(2, 19_455), Argon2Cost(16, 12_287))
    assert not any(cost.adequate for cost in weak)


@pytest.mark.asvs("16.2.5")
def test_no_error_repeats_the_password_or_the_hash():
    """What is raised has a fixed sentence, no argument that was submitted, and no cause that has one."""
    stored = CHEAP.hash("violet gravel umbrella")
    for kept, password in ((stored, "canary"), ("canary", "canary"), (stored, "canary\0"), (stored, "canary" * 300)):
        with pytest.raises(PasswordError) as raised:
            CHEAP.verify(kept, password)
        assert "canary" not in f"{raised.value!r}{raised.value}{raised.value.__cause__!r}"
        assert stored not in f"{raised.value!r}{raised.value}"


@pytest.mark.req("L19")
def test_the_hasher_is_one_of_a_kind_that_a_host_can_write():
    """`PasswordHashes` is used through the three methods of the protocol and no other."""
    hasher: PasswordHasher = CHEAP
    assert hasher.verify(hasher.hash("violet gravel umbrella"), "violet gravel umbrella") == Verified(upgrade=False)


def test_importing_costs_nothing_heavy():
    """The library that hashes is loaded when something is hashed, not when the package is imported."""
    program = "import sys, rimlock.crypto.passwords.policy, rimlock.core.hashing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert "argon2" not in loaded
