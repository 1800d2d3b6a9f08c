"""The shipped list: its size, its form, and that what it was made of is found."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from rimlock.crypto.passwords.blocklist import DIGEST_BYTES, CommonPasswords, digest
from rimlock.crypto.passwords.policy import PasswordPolicy

ROOT = Path(__file__).parents[4]


def test_the_file_is_a_sorted_set_of_digests_within_its_size():
    """Bisection needs the order; the wheel needs the limit."""
    data = files("rimlock.crypto.passwords").joinpath("blocklist.bin").read_bytes()
    entries = [data[start : start + DIGEST_BYTES] for start in range(0, len(data), DIGEST_BYTES)]
    assert len(data) <= 600_000
    assert len(data) % DIGEST_BYTES == 0
    assert all(before < after for before, after in pairwise(entries))
    assert len(CommonPasswords()) == len(entries) >= 75_000


def test_the_first_and_the_last_entry_are_found():
    """The ends of the file belong to it; what sorts before and after them does not."""
    data = files("rimlock.crypto.passwords").joinpath("blocklist.bin").read_bytes()
    ends = data[:DIGEST_BYTES], data[-DIGEST_BYTES:]
    assert ends[0] > b"\0" * DIGEST_BYTES
    outside = [text for text in map(str, range(300_000)) if not ends[0] < digest(text) < ends[1]]
    assert outside
    assert not any(text in CommonPasswords() for text in outside)


@pytest.mark.req("L10")
@pytest.mark.asvs("6.2.4")
def test_every_phrase_we_wrote_down_is_refused_however_it_is_separated():
    """Run together, with spaces, with capitals and dashes: each phrase of 15 letters or more is refused."""
    lines = (ROOT / "tools/blocklist/phrases.txt").read_text(encoding="utf-8").splitlines()
    phrases = [line for line in lines if not line.startswith("#") and len(line.replace(" ", "")) >= 15]
    assert len(phrases) > 400
    disguises = (str.upper, lambda text: text.title().replace(" ", "-"), lambda text: text.replace(" ", "") + "1!")
    accepted = [
        disguise(phrase)
        for phrase in phrases
        for disguise in disguises
        if not PasswordPolicy().violations(disguise(phrase))
    ]
    assert accepted == []


@pytest.mark.parametrize("text", ["violetgravelumbrella", "kz7vqx!w", "", "PASSWORD", 12345678, None, b"password"])
def test_what_is_not_an_entry_is_not_found(text):
    """The list holds folded texts and answers for those alone."""
    assert text not in CommonPasswords()
