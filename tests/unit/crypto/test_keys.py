"""Keys: what may become one, what may be published, and what another issuer's set may hold."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from math import prod
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose import (
    Algorithm,
    KeyRefused,
    KeyUnsupported,
    from_jwk,
    generate,
    key_set,
    load_private,
    private_bytes,
    shared_key,
    to_jwk,
)
from unit.crypto.forge import signer

ASYMMETRIC = (Algorithm.ED25519, Algorithm.ES256, Algorithm.RS256)
SPKI, PKCS8 = PublicFormat.SubjectPublicKeyInfo, PrivateFormat.PKCS8
GOOD_SECRET = bytes(range(100, 150))


def material(algorithm: Algorithm) -> Any:
    return signer(algorithm).material  # type: ignore[attr-defined]


def jwk(algorithm: Algorithm = Algorithm.ED25519, **changes: Any) -> dict[str, Any]:
    """Our own published key, with changes; a member changed to `...` is left out."""
    members = {**to_jwk(signer(algorithm).public), **changes}
    return {name: value for name, value in members.items() if value is not ...}


@cache
def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    draft = x509.CertificateBuilder(name, name, material(Algorithm.ES256).public_key(), 1, now, now + timedelta(days=1))
    return draft.sign(material(Algorithm.ES256), SHA256())


def spki(algorithm: Algorithm, encoding: Encoding = Encoding.DER) -> bytes:
    return bytes(material(algorithm).public_key().public_bytes(encoding, SPKI))


def body(pem: bytes) -> bytes:
    return b"\n".join(line for line in pem.splitlines() if not line.startswith(b"---"))


PER_ALGORITHM: dict[str, Callable[[Algorithm], bytes]] = {
    "pem": lambda a: spki(a, Encoding.PEM),
    "pem-crlf": lambda a: spki(a, Encoding.PEM).replace(b"\n", b"\r\n"),
    "pem-indented": lambda a: b"\n  " + spki(a, Encoding.PEM),
    "pem-on-one-line": lambda a: spki(a, Encoding.PEM).replace(b"\n", b"\\n"),
    "pem-body": lambda a: body(spki(a, Encoding.PEM)),
    "der": spki,
    "der-hex": lambda a: spki(a).hex().encode(),
    "der-base64": lambda a: base64.b64encode(spki(a)),
    "der-base64url": lambda a: encode(spki(a)).encode(),
    "ssh": lambda a: material(a).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "ssh-blob-base64": lambda a: (
        material(a).public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")[1]
    ),
    "jwk": lambda a: json.dumps(to_jwk(signer(a).public)).encode(),
    "jwk-indented": lambda a: json.dumps(to_jwk(signer(a).public), indent=2).encode(),
    "jwk-base64": lambda a: base64.b64encode(json.dumps(to_jwk(signer(a).public)).encode()),
    "jwks": lambda a: json.dumps({"keys": [to_jwk(signer(a).public)]}).encode(),
    "private-pem": lambda a: material(a).private_bytes(Encoding.PEM, PKCS8, NoEncryption()),
    "private-der": lambda a: material(a).private_bytes(Encoding.DER, PKCS8, NoEncryption()),
    "private-der-encrypted": lambda a: material(a).private_bytes(Encoding.DER, PKCS8, BestAvailableEncryption(b"x")),
}
PER_KIND: dict[str, Callable[[], bytes]] = {
    "x962-uncompressed": lambda: (
        material(Algorithm.ES256).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    ),
    "x962-compressed": lambda: (
        material(Algorithm.ES256).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    ),
    "x962-base64": lambda: base64.b64encode(
        material(Algorithm.ES256).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    ),
    "pkcs1-der": lambda: material(Algorithm.RS256).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1),
    "pkcs1-pem": lambda: material(Algorithm.RS256).public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1),
    "certificate-der": lambda: certificate().public_bytes(Encoding.DER),
    "certificate-pem": lambda: certificate().public_bytes(Encoding.PEM),
}


@pytest.mark.attack("HS/RS confusion")
@pytest.mark.parametrize("algorithm", ASYMMETRIC)
@pytest.mark.parametrize("form", PER_ALGORITHM)
def test_a_key_in_any_encoding_is_no_shared_secret(algorithm: Algorithm, form: str) -> None:
    """What somebody may have published can't be made into an HS256 key."""
    with pytest.raises(KeyRefused, match="another algorithm"):
        shared_key("k", PER_ALGORITHM[form](algorithm))


@pytest.mark.attack("HS/RS confusion")
@pytest.mark.parametrize("form", PER_KIND)
def test_a_key_in_a_form_of_its_kind_is_no_shared_secret(form: str) -> None:
    """Points of curves, PKCS#1 and certificates are recognised as well."""
    with pytest.raises(KeyRefused, match="another algorithm"):
        shared_key("k", PER_KIND[form]())


@pytest.mark.parametrize(
    "secret",
    [
        GOOD_SECRET,
        b"\x04" + GOOD_SECRET + bytes(range(14)),
        bytes(range(200, 232)).hex(),
        base64.b64encode(GOOD_SECRET).decode(),
        "correct horse battery staple and a few more",
        '{"not": "a key", "but": "json with 32 bytes"}',
    ],
    ids=["bytes", "65-bytes-no-point", "hex", "base64", "passphrase", "other-json"],
)
def test_a_secret_that_is_no_key_is_accepted(secret: bytes | str) -> None:
    """Recognition of keys refuses keys, and nothing else."""
    key = shared_key("k", secret)
    key.public.verify(key.sign(b"text"), b"text")


@pytest.mark.attack("weak HMAC secret")
@pytest.mark.parametrize("secret", ["", "secret", "x" * 64, "a" * 31, "your-256-bit-secret-changeme-0123456789"])
def test_a_weak_shared_secret_is_refused(secret: str) -> None:
    """Short, repetitive and sample secrets can't sign."""
    with pytest.raises(ValueError, match="secret"):
        shared_key("k", secret)


def test_a_shared_secret_is_never_published() -> None:
    """There is no JWK, no thumbprint and no place in a key set for it."""
    with pytest.raises(KeyRefused, match="no public form"):
        to_jwk(shared_key("k", GOOD_SECRET).public)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_shows_nothing_of_itself(algorithm: Algorithm) -> None:
    """The representation names the key id and no key material."""
    key = generate(algorithm, "k7") if algorithm is not Algorithm.RS256 else signer(algorithm, "k7")
    for each in (key, key.public):
        assert repr(each) == f"{type(each).__name__}(kid='k7')"


@pytest.mark.parametrize("kid", ["", "k" * 129, "a b", "k\n", "k\0", "'", "ключ", "a;b"])
def test_a_key_id_is_made_of_safe_characters(kid: str) -> None:
    """What could mean something to a log or a query is no key id."""
    with pytest.raises(KeyRefused, match="key id"):
        generate(Algorithm.ED25519, kid)


@pytest.mark.parametrize("stored", ASYMMETRIC)
@pytest.mark.parametrize("loaded", ASYMMETRIC)
def test_a_stored_key_is_loaded_as_what_it_is(stored: Algorithm, loaded: Algorithm) -> None:
    """A key stored for one algorithm can't be loaded for another."""
    data = private_bytes(signer(stored))
    if stored is loaded:
        assert load_private(loaded, "k", data).algorithm is loaded
    else:
        with pytest.raises(KeyRefused, match="is not a"):
            load_private(loaded, "k", data)


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("data", [b"", b"x" * 40])
def test_a_broken_stored_key_is_refused(algorithm: Algorithm, data: bytes) -> None:
    """Whatever is wrong with the bytes, the answer is one type of error without them."""
    with pytest.raises(KeyRefused):
        load_private(algorithm, "k", data)


def test_an_own_rsa_key_is_long() -> None:
    """2048 bits, enough for another issuer's key, are not enough for ours."""
    short = rsa.generate_private_key(65537, 2048)
    with pytest.raises(KeyRefused, match="3072"):
        load_private(Algorithm.RS256, "k", short.private_bytes(Encoding.DER, PKCS8, NoEncryption()))
    numbers = short.public_key().public_numbers()
    foreign = {"kty": "RSA", "n": encode(numbers.n.to_bytes(256)), "e": "AQAB"}
    assert from_jwk(foreign).algorithm is Algorithm.RS256
    assert signer(Algorithm.RS256).material.key_size == 3072  # type: ignore[attr-defined]


def test_a_p384_key_is_no_es256_key() -> None:
    """The curve belongs to the algorithm."""
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(KeyRefused, match="P-256"):
        load_private(Algorithm.ES256, "k", other.private_bytes(Encoding.DER, PKCS8, NoEncryption()))


def rsa_jwk(modulus: int, exponent: int = 65537) -> dict[str, Any]:
    numbers = {"n": modulus, "e": exponent}
    return {"kty": "RSA", **{k: encode(v.to_bytes((v.bit_length() + 7) // 8)) for k, v in numbers.items()}}


def roca_modulus() -> int:
    """A number of 2048 bits with the structure the weak generator gave its moduli."""
    primes = [n for n in range(2, 354) if all(n % d for d in range(2, n))]
    product = prod(primes)
    return product * (2**2047 // product + 12345) + pow(65537, 4711, product)


def close_modulus() -> int:
    """The product of two odd numbers without small factors that lie next to each other."""
    small = [n for n in range(2, 168) if all(n % d for d in range(2, n))]
    near = (n for n in range(2**1023 + 2**1022 + 1, 2**1024, 2) if all(n % d for d in small))
    return next(near) * next(near)


GOOD_N = int.from_bytes(decode(jwk(Algorithm.RS256)["n"]))
POINT = jwk(Algorithm.ES256)
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]


def ed(x: str) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": encode(bytes.fromhex(x))}


REFUSED: dict[str, tuple[Any, str]] = {
    "no-object": ([], "object"),
    "private-ed25519": (jwk(d="AAAA"), "private"),
    "private-ec": (jwk(Algorithm.ES256, d="AAAA"), "private"),
    "private-rsa-by-a-prime": (jwk(Algorithm.RS256, p="AAAA"), "private"),
    "symmetric": ({"kty": "oct", "k": encode(GOOD_SECRET), "kid": "s"}, "symmetric"),
    "symmetric-without-k": ({"kty": "oct", "kid": "s"}, "symmetric"),
    "kid-number": (jwk(kid=1), "key id"),
    "kid-empty": (jwk(kid=""), "key id"),
    "kid-unsafe": (jwk(kid="a\nb"), "key id"),
    "alg-number": (jwk(alg=1), "text"),
    "alg-list": (jwk(alg=["EdDSA"]), "text"),
    "key-ops-text": (jwk(key_ops="verify"), "list"),
    "key-ops-repeated": (jwk(key_ops=["verify", "verify"]), "repetition"),
    "x-missing": (jwk(x=...), "missing"),
    "x-number": (jwk(x=5), "missing"),
    "x-padded": (jwk(x=jwk()["x"] + "="), "canonical"),
    "x-not-canonical": (jwk(x=jwk()["x"][:-1] + "B"), "canonical"),
    "x-short": (jwk(x=encode(bytes(31))), "32 bytes"),
    "x-non-ascii": (jwk(x="é" * 43), "canonical"),
    "ed25519-not-reduced": (ed("f0" + "ff" * 30 + "7f"), "canonical"),
    "ed25519-negative-zero": (ed("01" + "00" * 30 + "80"), "canonical"),
    "ed25519-no-point": (ed("02" + "00" * 31), "not a point"),
    "ec-off-curve": ({**POINT, "y": POINT["x"]}, "not a point"),
    "ec-zero": ({**POINT, "x": encode(bytes(32)), "y": encode(bytes(32))}, "not a point"),
    "ec-beyond-the-field": ({**POINT, "x": encode(b"\xff" * 32)}, "not a point"),
    "ec-long-coordinate": ({**POINT, "x": encode(b"\0" + decode(POINT["x"]))}, "32 bytes"),
    "rsa-1024": (rsa_jwk(GOOD_N >> 2048 | 1), "1024"),
    "rsa-2047": (rsa_jwk(GOOD_N >> 1025 | 1), "2047"),
    "rsa-giant": (rsa_jwk(2**16384 + 1), "16385"),
    "rsa-e-1": (rsa_jwk(GOOD_N, 1), "exponent"),
    "rsa-e-3": (rsa_jwk(GOOD_N, 3), "exponent"),
    "rsa-e-even": (rsa_jwk(GOOD_N, 65538), "exponent"),
    "rsa-e-giant": (rsa_jwk(GOOD_N, 2**64 + 1), "exponent"),
    "rsa-n-even": (rsa_jwk(GOOD_N * 2), "factor"),
    "rsa-n-with-small-factor": (rsa_jwk(3 * (2**2048 + 1)), "factor"),
    "rsa-n-zero-padded": (jwk(Algorithm.RS256, n=encode(b"\0" + GOOD_N.to_bytes(384))), "leading zero"),
    "rsa-n-empty": (jwk(Algorithm.RS256, n=""), "leading zero"),
    "rsa-roca": (rsa_jwk(roca_modulus()), "ROCA"),
    "rsa-close-primes": (rsa_jwk(close_modulus()), "close"),
    **{f"ed25519-small-order-{n}": (ed(x), "order|canonical") for n, x in enumerate(SMALL_ORDER)},
}
UNSUPPORTED: dict[str, dict[str, Any]] = {
    "other-kty": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "x"},
    "no-kty": jwk(kty=...),
    "kty-list": jwk(kty=["OKP"]),
    "for-encryption": jwk(use="enc"),
    "ops-without-verify": jwk(key_ops=["encrypt"]),
    "ops-empty": jwk(key_ops=[]),
    "ed448": jwk(crv="Ed448"),
    "x25519": jwk(crv="X25519"),
    "p-384": jwk(Algorithm.ES256, crv="P-384", alg=...),
    "secp256k1": jwk(Algorithm.ES256, crv="secp256k1", alg=...),
    "alg-of-another-type": jwk(alg="ES256"),
    "ps256": jwk(Algorithm.RS256, alg="PS256"),
    "rsa-oaep": jwk(Algorithm.RS256, alg="RSA-OAEP-256"),
    "hs256": jwk(Algorithm.RS256, alg="HS256"),
    "none": jwk(alg="none"),
}


@pytest.mark.attack("weak or foreign key in a key set")
@pytest.mark.parametrize(("entry", "sentence"), REFUSED.values(), ids=REFUSED.keys())
def test_an_unsound_key_refuses_the_whole_set(entry: Any, sentence: str) -> None:
    """Alone, and beside a good key: an issuer that publishes this is not to be relied on."""
    with pytest.raises(KeyRefused, match=sentence):
        from_jwk(entry)
    with pytest.raises(KeyRefused):
        key_set({"keys": [jwk(kid="good"), entry]})


@pytest.mark.parametrize("entry", UNSUPPORTED.values(), ids=UNSUPPORTED.keys())
def test_an_unsupported_key_is_passed_over(entry: dict[str, Any]) -> None:
    """Sets of real issuers hold keys for other uses; they are left out, and a set of nothing else is refused."""
    with pytest.raises(KeyUnsupported):
        from_jwk(entry)
    assert list(key_set({"keys": [entry, jwk(kid="good")]})) == ["good"]
    with pytest.raises(KeyRefused, match="no key"):
        key_set({"keys": [entry]})


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alg": ...},
        {"use": ...},
        {"use": ..., "key_ops": ["verify"]},
        {"x5c": ["AAAA"], "x5t": "AAAA", "issuer": "x"},
    ],
    ids=["as-published", "no-alg", "no-use", "key-ops", "other-members"],
)
def test_a_sound_key_is_taken_and_bound_to_one_algorithm(algorithm: Algorithm, changes: dict[str, Any]) -> None:
    """With or without hints, the key serves the one algorithm of its type."""
    key = from_jwk(jwk(algorithm, **changes))
    assert (key.algorithm, key.kid) == (algorithm, "k1")
    key.verify(signer(algorithm).sign(b"text"), b"text")


@pytest.mark.parametrize(
    "jwks",
    [
        {},
        [],
        None,
        {"keys": {}},
        {"keys": []},
        {"keys": [None]},
        {"keys": [jwk(), jwk(Algorithm.ES256)]},
        {"keys": [jwk(), jwk(use="enc")]},
        {"keys": [jwk(kid=...), jwk(kid=...)]},
        {"keys": [jwk(kid=f"k{n}") for n in range(65)]},
    ],
    ids=["empty", "list", "null", "object", "no-keys", "null-key", "kid-twice", "kid-twice-unused", "key-twice", "65"],
)
def test_a_set_that_is_not_one_is_refused(jwks: Any) -> None:
    """A set names each of a bounded number of keys once."""
    with pytest.raises(KeyRefused):
        key_set(jwks)


def test_a_published_key_has_public_members_only() -> None:
    """What goes out is the list of members the standard requires, and three hints."""
    assert {algorithm: sorted(jwk(algorithm)) for algorithm in ASYMMETRIC} == {
        Algorithm.ED25519: ["alg", "crv", "kid", "kty", "use", "x"],
        Algorithm.ES256: ["alg", "crv", "kid", "kty", "use", "x", "y"],
        Algorithm.RS256: ["alg", "e", "kid", "kty", "n", "use"],
    }


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_signing_key_is_not_pickled(algorithm: Algorithm) -> None:
    """A private key doesn't slip into a cache or a queue."""
    with pytest.raises(TypeError):
        pickle.dumps(signer(algorithm))
