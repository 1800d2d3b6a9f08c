"""Hashes of other systems. The strings were made by the systems they are named after; the password is one of ours."""

from __future__ import annotations

import sys
from base64 import b64encode
from hashlib import pbkdf2_hmac, scrypt, sha256
from unicodedata import normalize

import bcrypt
import pytest
from argon2 import low_level

from rimlock.crypto.passwords import (
    CHEAPEST_FOR_TESTS,
    HashUnreadable,
    PasswordHashes,
    PasswordMismatch,
    PasswordTooLong,
    PasswordUnencodable,
    Verified,
    VerifierMissing,
)

HASHES = PasswordHashes(CHEAPEST_FOR_TESTS)
PASSWORD = "Grüße, Fuß & naïve 𝔘nicorn"
STORED = {
    "django-pbkdf2-sha256": "pbkdf2_sha256$1200$TNu25tZeXWl4iM9cB31Sc6$DUAuMXt1Z6wELez6Yfziio7dabxiJzj9DEubXLUlS5A=",
    "django-pbkdf2-sha1": "pbkdf2_sha1$1200$iDvwqNkZGbePkbqBlgVZjD$CQsm4H+VENVABKbUn3Jz7xvhegA=",
    "django-argon2": (
        "argon2$argon2id$v=19$m=102400,t=2,p=8$UGczSjU5UlQyTXFhWXhjblJ6c25XTg$/ALu5HOU5WRSC5lyqqnqj/u1EQs"
        "BGwTLZgZdJA6JaBQ"
    ),
    "django-bcrypt-sha256": "bcrypt_sha256$$2b$04$MOI4/WnJrkD.Z7nvbpR8jO1dFKwHhZfocGUKVicySZyh3qVvxyn6O",
    "django-bcrypt": "bcrypt$$2b$04$TrelUaSFrfMIgVuHi8jSHOkEjKsRoHUoZE1HiRN7DVBUB0YtvfzFq",
    "django-scrypt": (
        "scrypt$1024$Qx1pN2mKd8sVbR4tYw6z$8$5$HAKkUjb+EShE/Rdf+jb5WWvW97TwKsxV2ReuHj0Lf3+XvSLp96s+Dr+D8Fq"
        "bdblFUExjT7GC7YFkr3ELIxRDKA=="
    ),
    "werkzeug-scrypt": (
        "scrypt:1024:8:1$Nzoq4NdGqkqygj4U$da67879231164070b0db4995281ca3ec9a0e82f74805bfbb83d3b5d8d75392d"
        "0665ef9cc061f081ba432710653fe5fd6ec98b50eeec8e36f704c9c58e15c0c8b"
    ),
    "werkzeug-pbkdf2": (
        "pbkdf2:sha256:1200$shlwfsknaGMZefdg$3560502da4a3e9266ab08b62902cba702295ae2cc0c29461103105e7c92fd1ee"
    ),
    "werkzeug-pbkdf2-sha1": "pbkdf2:sha1:1200$RPlJyPShK4sGAWDX$0e2567bea1a7835f794a52a2ac93a766dd67d408",
    "werkzeug-pbkdf2-sha512": (
        "pbkdf2:sha512:1200$BHppKoQA69YM5pMB$0e2cced0ef437562052604d4f2e093f7e39247f751b9ba66e1d1af8ac270"
        "84d0f214a905bb07c5d280045cb59bf5241bb8e6bc6fcbcc19a21520fe802fa8357f"
    ),
    "passlib-pbkdf2-sha256": "$pbkdf2-sha256$1200$8H7PeQ/BGGOMEUJIaa21Fg$PMb.44P/MvCvdLs.MQ6ihbWhJIdvRF22EU8V.IxNY00",
    "passlib-pbkdf2-sha512": (
        "$pbkdf2-sha512$1200$0Tpn7N07J2TsHaN07v3/Pw$kkJikNAQRmSwJgeN/yvuz1D7srKKs4Su.dU9uUA3zfHfteWhQ.goI"
        "iSnJhpffDreJ82b/2NPo13tWJQRkphZmg"
    ),
    "passlib-pbkdf2-sha1": "$pbkdf2$1200$wvifE4IQQiiFUOqdM0YoBQ$U9YUveAon5.yfht.sK2fL12sdtM",
    "passlib-scrypt": "$scrypt$ln=10,r=8,p=1$ee89J8T4f0/JOWcMgRDC+A$ijwdv8yqYK0Q3J9kJw4WH8MdWzVBWWTbYxpesnRIwBo",
    "phpass-P": "$P$6wjJwWMvTdWLPaWKksOIbX74ZoqElO0",
    "phpass-H": "$H$6zgCFaDcNoCJnTHBB9FzYpSXsrSilE0",
    "phpass-P13": "$P$BddAAOUxObGgW44b6ENdEfEh2X0VNO0",
    "bcrypt-2b": "$2b$04$.XtDByDA6ofgLC/lfP5sgegkZX6k739uDInrzNh.MC0RdA/dvshye",
    "bcrypt-2a": "$2a$04$vbnZ4FwERs/jLmdj3ofA3euwlTNn6cAYsxY.HWCwvQ405zBnUp42.",
    "bcrypt-2y": "$2y$04$s/FMt3Dv0ZD6kEPNSc0sX.58kie9B8wgg6thrrzisr0tJWVhqmDx2",
    "argon2i": "$argon2i$v=19$m=64,t=1,p=1$feIyJ9PydXZaEIMkELGqXg$oz5zUYpBFouqnNon6qpIdXhIHtD+U1s5CVkLd6gmJ9s",
    "argon2d": "$argon2d$v=19$m=64,t=1,p=1$aDF/dZ5grwOOWmpUnv4dFw$qFkRMAALn709Af7AWaiRBtr1fenSvSc1LX2aH4+HRc4",
    "argon2id": ("$argon2id$v=19$m=1024,t=2,p=2$CZ1bhqEaKH3rH5R5ZKJjAw$1IY6lkKkT7jMSjIyIBrzgLBmxEQMVcrkcaWgG4eLF3g"),
    "better-auth": (
        "1cb6f6f16a5f090d305411e3d5d14866:95862bd3838f14db6f953d13143f8a89af05d6e51c6b97f77c3341666b7edb4"
        "d8175af46a352cb45678c196d378139d48b3e1d84fdf78a95064a4000a606f0df"
    ),
}
FIREBASE = (
    "$firebase-scrypt$v=1$n=14,r=8,ss=Bw==,"
    "sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$"
    "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ=="
)
STRAIGHT = {name: stored for name, stored in STORED.items() if name != "django-argon2"}


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_the_right_password_is_accepted_and_the_hash_wants_to_be_replaced(stored):
    """Every foreign hash verifies, and asks to be stored anew."""
    assert HASHES.verify(stored, PASSWORD) == Verified(upgrade=True)


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_a_wrong_password_is_refused(stored):
    """A letter more is another password."""
    with pytest.raises(PasswordMismatch):
        HASHES.verify(stored, PASSWORD + "s")


@pytest.mark.parametrize("stored", STRAIGHT.values(), ids=STRAIGHT)
@pytest.mark.parametrize("password, error", [("x" * 1_025, PasswordTooLong), ("x\0y", PasswordUnencodable)])
def test_the_limits_on_a_password_hold_for_every_form(stored, password, error):
    """Length and content are judged before any foreign hash is computed."""
    with pytest.raises(error):
        HASHES.verify(stored, password)


@pytest.mark.parametrize("stored", STRAIGHT.values(), ids=STRAIGHT)
@pytest.mark.parametrize(
    "spoil", [lambda s: s[:-4], lambda s: s + "\n", lambda s: " " + s, lambda s: s + "$", lambda s: s * 9]
)
def test_a_cut_or_lengthened_string_never_verifies(stored, spoil):
    """The whole string has the form and the digest its full length, or the password is not believed."""
    with pytest.raises((HashUnreadable, PasswordMismatch)):
        HASHES.verify(spoil(stored), PASSWORD)


def test_the_published_firebase_vector():
    """The example of the published description: its password, salt, separator and signer key."""
    assert HASHES.verify(FIREBASE, "user1password") == Verified(upgrade=True)
    with pytest.raises(PasswordMismatch):
        HASHES.verify(FIREBASE, "user1passwore")


def test_firebase_values_may_be_url_safe():
    """Exports in either alphabet of base64, padded or not, are one hash."""
    head, _, values = FIREBASE.partition("n=14")
    assert HASHES.verify(
        f"{head}n=14{values.translate(str.maketrans('+/', '-_'))}".rstrip("="), "user1password"
    ).upgrade


@pytest.mark.parametrize("typed", ["ﬁne Ⅷ wide Ａ passphrase", "fine VIII wide A passphrase"])
def test_better_auth_gets_the_normal_form_it_hashed(typed):
    """Its password was hashed in NFKC, so compatibility spellings are one password until the hash is replaced."""
    stored = (
        "cf96a14e411d891f1ee1181e3b9f26c5:e2ba08ea2fefe62bafd4882303f457a92f4cce256876b2d7a50430342ef1c2dc"
        "831e4b376146de2f38d7c98fbc3b8598e40a8d013c2e49ccec1ba0e02c31feab"
    )
    assert HASHES.verify(stored, typed) == Verified(upgrade=True)


def made_by_bcrypt_sha256(password):
    """Make what Django's default bcrypt hasher stores."""
    return "bcrypt_sha256$" + bcrypt.hashpw(sha256(password).hexdigest().encode(), bcrypt.gensalt(4)).decode()


def made_by_pbkdf2(password):
    """Make what Django's default hasher stores, with few rounds."""
    return "pbkdf2_sha256$10$salt$" + b64encode(pbkdf2_hmac("sha256", password, b"salt", 10)).decode()


def made_by_scrypt(password):
    """Make what Werkzeug's default hasher stores, with a small cost."""
    return "scrypt:16:1:1$salt$" + scrypt(password, salt=b"salt", n=16, r=1, p=1, dklen=64).hex()


def made_by_argon2(password):
    """Make what the argon2 binding stores."""
    return low_level.hash_secret(password, b"somesalt", 1, 8, 1, 32, low_level.Type.ID).decode()


def made_by_bcrypt(password):
    """Make what most bcrypt libraries store."""
    return bcrypt.hashpw(password[:72], bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize(
    "make", [made_by_bcrypt, made_by_bcrypt_sha256, made_by_pbkdf2, made_by_scrypt, made_by_argon2]
)
def test_other_origins_get_what_was_typed(make):
    """A hash of decomposed letters, made by a system that normalises nothing, is matched by those letters."""
    typed = normalize("NFD", "café résumé naïve")
    assert HASHES.verify(make(typed.encode()), typed) == Verified(upgrade=True)


def test_a_string_longer_than_1024_characters_is_not_read():
    """Not even when every part of it is right."""
    salt = "s" * 1_000
    stored = f"pbkdf2_sha256$10${salt}$" + b64encode(pbkdf2_hmac("sha256", b"p", salt.encode(), 10)).decode()
    with pytest.raises(HashUnreadable):
        HASHES.verify(stored, "p")


@pytest.mark.parametrize("length", [72, 73, 128, 1_024])
@pytest.mark.parametrize("make", [made_by_bcrypt_sha256, made_by_pbkdf2, made_by_scrypt, made_by_argon2])
def test_the_last_byte_counts_where_the_origin_counted_it(make, length):
    """Long passwords are compared whole in every scheme that hashed them whole."""
    stored = make(b"p" * length)
    assert HASHES.verify(stored, "p" * length) == Verified(upgrade=True)
    with pytest.raises(PasswordMismatch):
        HASHES.verify(stored, "p" * (length - 1) + "q")


@pytest.mark.parametrize("length", [72, 73, 128, 1_024])
def test_bcrypt_compares_72_bytes_and_the_upgrade_ends_that(length):
    """An owner whose long password bcrypt cut still comes in; after the upgrade, every byte counts."""
    stored, password = bcrypt.hashpw(b"p" * 72, bcrypt.gensalt(4)).decode(), "p" * length
    assert HASHES.verify(stored, password) == Verified(upgrade=True)
    with pytest.raises(PasswordMismatch):
        HASHES.verify(stored, "p" * 71 + "q" * (length - 71))
    upgraded = HASHES.hash(password)
    with pytest.raises(PasswordMismatch):
        HASHES.verify(upgraded, password[:-1] + "q")


def test_bcrypt_cuts_bytes_and_not_letters():
    """The 72nd byte may be the first half of a letter; the origin cut there, and so do we."""
    password = "p" * 71 + "é" + "tail"
    stored = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    assert HASHES.verify(stored, password) == Verified(upgrade=True)


@pytest.mark.attack("hostile stored hash")
@pytest.mark.parametrize(
    "stored",
    [
        "$2b$31$6fDW8rfBqctyGyu1DuQZ3.I214bbSthMwp5eFEdBAyEAS2R2n/bP6",
        "$2b$16$6fDW8rfBqctyGyu1DuQZ3.I214bbSthMwp5eFEdBAyEAS2R2n/bP6",
        "$2b$03$6fDW8rfBqctyGyu1DuQZ3.I214bbSthMwp5eFEdBAyEAS2R2n/bP6",
        "bcrypt_sha256$$2b$31$4DixLt8xll1jro6MtAbq9.V/a.bUn9fkJGdSNgnh9QktDVzGpF1ie",
        "pbkdf2_sha256$5000001$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$9999999999$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$99999999999999999999$salt$" + "A" * 43 + "=",
        "pbkdf2:sha256:4294967295$salt$" + "0" * 64,
        "$pbkdf2-sha256$4294967295$c2FsdA$" + "A" * 43,
        "scrypt:1073741824:8:1$salt$" + "0" * 128,
        "scrypt:262144:8:1$salt$" + "0" * 128,
        "scrypt:16384:8:999999$salt$" + "0" * 128,
        "scrypt:16384:999999999:1$salt$" + "0" * 128,
        "scrypt:1000:8:1$salt$" + "0" * 128,
        "scrypt:1:8:1$salt$" + "0" * 128,
        "scrypt$1073741824$salt$8$1$" + "A" * 86 + "==",
        "$scrypt$ln=30,r=8,p=1$c2FsdA$" + "A" * 43,
        "$scrypt$ln=99,r=8,p=1$c2FsdA$" + "A" * 43,
        FIREBASE.replace("n=14", "n=30"),
        FIREBASE.replace("r=8", "r=99"),
        "$P$SRcLbjrRyIoWHOkauIr87UshkbWgxL/",
        "$P$FRcLbjrRyIoWHOkauIr87UshkbWgxL/",
        "scrypt:16384:8:17$salt$" + "0" * 128,
        "$P$zRcLbjrRyIoWHOkauIr87UshkbWgxL/",
        "$P$4RcLbjrRyIoWHOkauIr87UshkbWgxL/",
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "$argon2id$v=19$m=8,t=4294967295,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
        "argon2$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHRzb21l$" + "A" * 43,
    ],
)
def test_a_cost_above_the_limits_is_not_computed(stored):
    """A stored string can't make the process spend gigabytes or minutes."""
    with pytest.raises(HashUnreadable):
        HASHES.verify(stored, PASSWORD)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "!kq3Jx8f4XmP2sLwVb7Rz1TnYcU9hGd5eQaM0oWiE",
        "plaintext",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
        "$2x$04$6fDW8rfBqctyGyu1DuQZ3.I214bbSthMwp5eFEdBAyEAS2R2n/bP6",
        "$2b$04$hzgBaQZbF0qlVWmG/gQM6z2vBrqaMpCz5cJ.QiR.zMz.2qd0BBW..",
        "pbkdf2_sha256$10$salt$",
        "pbkdf2_sha256$10$salt$QQ==",
        "pbkdf2_sha256$0$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$-1$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$١٠$salt$" + "A" * 43 + "=",
        "pbkdf2_md5$10$salt$" + "A" * 22,
        "pbkdf2:sha256:10$salt$41",
        "pbkdf2:sha256:10$salt$" + "0" * 63,
        "pbkdf2:md5:10$salt$" + "0" * 32,
        "scrypt:16:1:1$salt$41",
        "$scrypt$ln=4,r=1,p=1$c2FsdA$QQ",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21l$QQ",
        "0" * 32 + ":" + "0" * 126,
        "a" * 1_025,
        FIREBASE.rpartition("$")[0] + "$QQ==",
        FIREBASE.replace("v=1", "v=2"),
    ],
)
def test_what_is_of_no_known_form_is_unreadable(stored):
    """Unusable marks, unsalted digests, other schemes, short digests, foreign numerals: refused, not guessed at."""
    with pytest.raises(HashUnreadable):
        HASHES.verify(stored, PASSWORD)


def test_without_the_bcrypt_package_the_error_says_what_to_install(monkeypatch):
    """A deployment mistake is loud, and lets nobody in."""
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(VerifierMissing, match=r"rimlock\[import\]"):
        HASHES.verify(STORED["bcrypt-2b"], PASSWORD)
