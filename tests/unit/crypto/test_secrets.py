"""The root secret, sealing, refresh tokens, API keys and challenges."""

from __future__ import annotations

import hmac
import pickle
import re
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.opaque import (
    API_KEY_PATTERN,
    OpaqueRefused,
    RefreshClaim,
    digest,
    hint,
    looks_issued,
    mint_refresh,
    new_api_key,
    new_challenge,
    new_secret,
    read_refresh,
    split_challenge,
)
from rimlock.crypto.sealing import SealBroken, seal, unseal
from rimlock.crypto.secret import RootSecret

OLD, NEW = "Zl0mYq3vR8tJ5wKc1bXh7NdPf2sGuA9e", "q7Hc2Vn9LxT4yBz6WmKd0RjFs8EpGu3a"
ROOT = RootSecret([NEW])
SESSION = "0192f3c4d5e6f708192a3b4c5d6e7f80"

WEAK: dict[str, Any] = {
    "no-list": NEW,
    "empty-list": [],
    "empty": [""],
    "short": ["k" + NEW[:30]],
    "one-character": ["a" * 64],
    "two-characters": ["ab" * 32],
    "few-characters": ["abcabdacbaabcacbbacbabcacbabcabc"],
    "repeated-word": ["hunter2!x" * 5],
    "repeated-with-rest": ["aB3dE6gH9" * 4 + "aB3"],
    "changeme": ["changeme-changeme-but-it-is-longer-0"],
    "change-me-spelt-apart": ["please CHANGE_ME before you deploy it"],
    "secret": ["my-very-secret-value-that-is-in-git!"],
    "your-256-bit-secret": ["your-256-bit-secret-for-the-jwt-io-page"],
    "password": ["Password1Password2Password3Password4"],
    "from-a-tutorial": ["09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"],
    "second-one-weak": [NEW, "short"],
}


@pytest.mark.parametrize("values", WEAK.values(), ids=WEAK.keys())
def test_a_guessable_root_secret_is_refused_with_the_mend(values: Any) -> None:
    """The sentence says how to make a good one, and never repeats the bad one."""
    with pytest.raises(ValueError, match="token_urlsafe") as refused:
        RootSecret(values)
    for value in filter(None, values):
        assert len(value) < 8 or value not in str(refused.value)


@given(st.binary(min_size=32, max_size=64).filter(lambda value: len(set(value)) > 20))
def test_a_random_root_secret_is_accepted(value: bytes) -> None:
    """As bytes, as hexadecimal and as base64url."""
    for form in (value, value.hex(), encode(value)):
        assert len(RootSecret([form]).derive("tokens")) == 32


def test_a_telling_word_in_a_long_random_secret_is_no_fault() -> None:
    """The sample words count only where little else is left."""
    assert RootSecret([f"app-secret:{NEW}"]).derive("tokens")


def test_keys_are_derived_as_documented() -> None:
    """HKDF-SHA256 without salt, the purpose under our name as its info: another program can do the same."""
    expected = HKDF(algorithm=SHA256(), length=48, salt=None, info=b"rimlock/tokens").derive(NEW.encode())
    assert RootSecret([NEW]).derive("tokens", 48) == expected
    assert RootSecret([NEW.encode()]).derive("tokens", 48) == expected


def test_purposes_and_secrets_have_keys_of_their_own() -> None:
    """No two purposes and no two secrets share a key; the order is that of the list."""
    root = RootSecret([NEW, OLD])
    assert len({*root.derive_all("refresh"), *root.derive_all("tokens")}) == 4
    assert root.derive_all("refresh") == (RootSecret([NEW]).derive("refresh"), RootSecret([OLD]).derive("refresh"))
    assert root.derive("refresh") == root.derive_all("refresh")[0]


def test_the_root_secret_shows_and_gives_away_nothing() -> None:
    """Neither printing nor pickling brings it out."""
    assert repr(ROOT) == str(ROOT) == "<RootSecret of 1>"
    with pytest.raises(TypeError, match="not written"):
        pickle.dumps(ROOT)


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_what_is_sealed_is_unsealed_in_its_place(data: bytes, context: bytes) -> None:
    """Sealing and unsealing are inverses, and two seals of one value differ."""
    first, second = (seal(ROOT, "keys", data, context=context) for _ in range(2))
    assert unseal(ROOT, "keys", first, context=context) == unseal(ROOT, "keys", second, context=context) == data
    assert first != second


def test_any_flipped_bit_breaks_the_seal() -> None:
    """Version, nonce, ciphertext and tag: each bit counts."""
    sealed = seal(ROOT, "keys", b"private", context=b"row 1")
    for place in range(len(sealed) * 8):
        broken = bytearray(sealed)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(SealBroken):
            unseal(ROOT, "keys", bytes(broken), context=b"row 1")


@pytest.mark.parametrize("length", range(36))
def test_a_shortened_seal_is_broken(length: int) -> None:
    """No prefix of a sealed value opens."""
    with pytest.raises(SealBroken):
        unseal(ROOT, "keys", seal(ROOT, "keys", b"private", context=b"")[:length], context=b"")


def test_a_seal_opens_only_in_its_place_and_for_its_purpose() -> None:
    """Moved to another row, read for another purpose or under another secret, it stays shut."""
    sealed = seal(ROOT, "keys", b"private", context=b"row 1")
    for root, purpose, context in (
        (ROOT, "keys", b"row 2"),
        (ROOT, "totp", b"row 1"),
        (RootSecret([OLD]), "keys", b"row 1"),
    ):
        with pytest.raises(SealBroken):
            unseal(root, purpose, sealed, context=context)


def test_rotation_of_the_root_secret_loses_nothing_and_ends_when_it_should() -> None:
    """Put in front, a new secret signs; kept behind, the old one still opens; taken out, it opens nothing."""
    before, during, after = RootSecret([OLD]), RootSecret([NEW, OLD]), RootSecret([NEW])
    sealed, token = seal(before, "keys", b"x", context=b""), mint_refresh(before, SESSION, 3)
    assert unseal(during, "keys", sealed, context=b"") == b"x"
    assert read_refresh(during, token) == RefreshClaim(SESSION, 3)
    assert mint_refresh(during, SESSION, 3) == mint_refresh(after, SESSION, 3)
    with pytest.raises(SealBroken):
        unseal(after, "keys", sealed, context=b"")
    with pytest.raises(OpaqueRefused, match="mac"):
        read_refresh(after, token)


@pytest.mark.req("L6")
@given(st.integers(0, 10**15 - 1))
def test_a_refresh_token_is_the_same_each_time_it_is_made(generation: int) -> None:
    """The successor of a generation can be computed again, by any process, and reads back as what it was made of."""
    token = mint_refresh(RootSecret([NEW]), SESSION, generation)
    assert token == mint_refresh(RootSecret([NEW, OLD]), SESSION, generation)
    assert read_refresh(ROOT, token) == RefreshClaim(SESSION, generation)


def test_a_refresh_token_has_the_documented_form() -> None:
    """Version, session, generation, and the whole HMAC-SHA256 over what stands before it."""
    token = mint_refresh(ROOT, SESSION, 12)
    mac = hmac.digest(ROOT.derive("refresh"), f"rr1.{SESSION}.12".encode(), "sha256")
    assert token == f"rr1.{SESSION}.12.{encode(mac)}"


TOKEN = mint_refresh(ROOT, SESSION, 12)
MAC = TOKEN.rpartition(".")[2]
LAST = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
OUT_OF_FORM = {
    "empty": "",
    "another-version": TOKEN.replace("rr1", "rr2"),
    "upper-case-session": TOKEN.replace(SESSION, SESSION.upper()),
    "short-session": TOKEN.replace(SESSION, SESSION[1:]),
    "leading-zero": TOKEN.replace(".12.", ".012."),
    "plus": TOKEN.replace(".12.", ".+12."),
    "minus": TOKEN.replace(".12.", ".-12."),
    "underscore": TOKEN.replace(".12.", ".1_2."),
    "other-digits": TOKEN.replace(".12.", ".١٢."),
    "no-generation": TOKEN.replace(".12.", ".."),
    "giant-generation": TOKEN.replace(".12.", f".{10**15}."),
    "padding": TOKEN + "=",
    "newline": TOKEN + "\n",
    "space": " " + TOKEN,
    "cut": TOKEN[:-1],
    "no-mac": TOKEN[: -len(MAC)],
    "another-segment": TOKEN + ".x",
    "non-ascii": TOKEN[:-1] + "é",
}


@pytest.mark.parametrize("token", OUT_OF_FORM.values(), ids=OUT_OF_FORM.keys())
def test_a_refresh_token_out_of_form_is_malformed(token: str) -> None:
    """There is one spelling of each token."""
    with pytest.raises(OpaqueRefused) as refused:
        read_refresh(ROOT, token)
    assert refused.value.reason == "malformed"


FORGED = {
    "next-generation": TOKEN.replace(".12.", ".13."),
    "another-session": TOKEN.replace(SESSION, "f" * 32),
    "other-bits": TOKEN[:-1] + LAST[(LAST.index(TOKEN[-1]) + 1) % 64],
    "zero-mac": TOKEN.replace(MAC, "A" * 43),
    "unkeyed": TOKEN.replace(MAC, encode(sha256(f"rr1.{SESSION}.12".encode()).digest())),
    "undivided-key": TOKEN.replace(MAC, encode(hmac.digest(NEW.encode(), f"rr1.{SESSION}.12".encode(), "sha256"))),
}


@pytest.mark.attack("forged refresh token")
@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_a_forged_refresh_token_fails_its_mac(token: str) -> None:
    """Another session, another generation, another key or left-over bits: the MAC doesn't fit."""
    with pytest.raises(OpaqueRefused) as refused:
        read_refresh(ROOT, token)
    assert refused.value.reason == "mac"


def test_a_long_refresh_token_is_not_looked_at() -> None:
    """161 characters are too many; nothing of them is in the error."""
    with pytest.raises(OpaqueRefused) as refused:
        read_refresh(ROOT, TOKEN.ljust(161, "A"))
    assert refused.value.reason == str(refused.value) == "too_large"


@given(st.text(max_size=170))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    """Arbitrary text is refused by name, as a refresh token and as a challenge."""
    with pytest.raises(OpaqueRefused):
        read_refresh(ROOT, text)
    with pytest.raises(OpaqueRefused):
        split_challenge(text)


@pytest.mark.parametrize(("session", "generation"), [("x", 1), (SESSION.upper(), 1), (SESSION, -1), (SESSION, 10**15)])
def test_what_could_not_be_read_is_not_minted(session: str, generation: int) -> None:
    """A malformed id or generation is the caller's mistake, found where it is made."""
    with pytest.raises(ValueError, match="32 hexadecimal"):
        mint_refresh(ROOT, session, generation)


@pytest.mark.req("L12")
@pytest.mark.parametrize("prefix", ["rl", "lab", "acme2"])
def test_an_api_key_has_the_documented_form(prefix: str) -> None:
    """Prefix, 43 and 6 characters of base62; its checksum is right, and no two are alike."""
    keys = {new_api_key(prefix) for _ in range(200)}
    assert len(keys) == 200
    for key in keys:
        assert re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{43}}_[0-9A-Za-z]{{6}}", key)
        assert looks_issued(key, prefix)


def test_the_published_pattern_finds_a_key_in_a_text() -> None:
    """A secret scanner that knows the pattern finds the key in a file and nothing in plain prose."""
    key = new_api_key()
    assert re.findall(API_KEY_PATTERN, f'API_KEY = "{key}"  # rl_nothing') == [key]
    assert not re.findall(API_KEY_PATTERN, f"x{key} and {key}x")


def test_a_key_with_a_slip_does_not_look_issued() -> None:
    """Every changed character, another prefix and any surplus are seen before a database is asked."""
    key = new_api_key()
    for place, letter in enumerate(key):
        slip = key[:place] + ("a" if letter != "a" else "b") + key[place + 1 :]
        assert not looks_issued(slip)
    for other in (key + "a", key + "\n", " " + key, "", "rl", "rl__", key.replace("rl_", "lab_")):
        assert not looks_issued(other)
    assert not looks_issued(key, "lab")


@pytest.mark.parametrize("prefix", ["", "r", "RL", "1a", "r-l", "r_l", "a" * 17])
def test_a_prefix_is_short_and_plain(prefix: str) -> None:
    """What would be ambiguous in the key or the pattern is refused."""
    with pytest.raises(ValueError, match="prefix"):
        new_api_key(prefix)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("rl_0123456789abcdefghij_ABwxyz", "rl_…wxyz"),
        ("0123456789abcdefghij", "…ghij"),
        ("Sk_0123456789abcdefghij", "…ghij"),
        ("short-secret-15", "…"),
        ("", "…"),
    ],
)
def test_a_hint_shows_little(key: str, shown: str) -> None:
    """Enough to tell two keys apart, nothing that helps to guess one; nothing at all of a short one."""
    assert hint(key) == shown


def test_secrets_are_long_and_different() -> None:
    """As many random bytes as asked for, never fewer than 16."""
    assert len({new_secret() for _ in range(200)}) == 200
    assert (len(decode(new_secret())), len(decode(new_secret(16)))) == (32, 16)
    with pytest.raises(ValueError, match="16 bytes"):
        new_secret(15)


def test_a_digest_is_sha_256_in_hexadecimal() -> None:
    """Of a text as of its UTF-8 bytes: the value of FIPS 180-4 for `abc`."""
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest("abc") == digest(b"abc") == expected


def test_a_challenge_splits_into_what_rests() -> None:
    """The row's id and the digest of the secret come back from the token; the secret itself rests nowhere."""
    token, challenge_id, rests = new_challenge()
    assert split_challenge(token) == (challenge_id, rests)
    assert rests == digest(token.partition(".")[2])
    assert token.partition(".")[2] not in rests


@pytest.mark.parametrize(
    "change", [lambda t: t + "\n", lambda t: t[:-1], lambda t: t.upper(), lambda t: t + "=", lambda t: "." + t]
)
def test_a_challenge_out_of_form_is_refused(change: Any) -> None:
    """One spelling, as for refresh tokens."""
    with pytest.raises(OpaqueRefused, match="malformed"):
        split_challenge(change("0a" * 16 + "." + "x" * 43))


@given(st.binary(max_size=90))
def test_base64url_has_one_spelling(data: bytes) -> None:
    """Encoding and decoding are inverses, and no other text decodes to the same bytes by its last character."""
    text = encode(data)
    assert decode(text) == decode(text.encode()) == data
    for other in LAST if text else "":
        if other != text[-1]:
            try:
                assert decode(text[:-1] + other) != data
            except ValueError:
                continue


@pytest.mark.parametrize("text", ["A", "AB", "AAAAA", "AA==", "AA+A", "AA/A", "A A", "AAA\n", "ÄAAA", "AA\ud800A"])
def test_text_that_is_not_canonical_base64url_is_refused(text: str) -> None:
    """Padding, the other alphabet, blanks, left-over bits and impossible lengths."""
    with pytest.raises(ValueError, match="base64url"):
        decode(text)
