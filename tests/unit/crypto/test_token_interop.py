"""Tokens and keys against what others wrote: two other implementations, and the examples of the standards."""

from __future__ import annotations

import json
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk as other_jwk
from joserfc import jwt as other_jwt

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose import (
    Algorithm,
    Reason,
    TokenRefused,
    from_jwk,
    key_set,
    load_private,
    private_bytes,
    read,
    shared_key,
    sign,
    thumbprint,
    to_jwk,
)
from unit.crypto.forge import ACCESS, claims, ring, signer

# The name the whole world of key sets still uses for Ed25519, and joserfc warns about.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

ALGORITHMS = pytest.mark.parametrize("algorithm", list(Algorithm))
HEAD = {"kid": "k1", "typ": "at+jwt"}


def material(key: Any) -> Any:
    """The key as the other libraries take it: an object of `cryptography`, or bytes."""
    return key.secret if hasattr(key, "secret") else key.material


def foreign(key: Any) -> Any:
    """The private key as a joserfc key."""
    if hasattr(key, "secret"):
        return other_jwk.OctKey.import_key(key.secret)
    kind = {"EdDSA": other_jwk.OKPKey, "ES256": other_jwk.ECKey, "RS256": other_jwk.RSAKey}[key.algorithm]
    return kind.import_key(key.material.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@ALGORITHMS
def test_pyjwt_reads_what_we_sign(algorithm: Algorithm) -> None:
    """Our signatures and encodings are those of the standard."""
    key = signer(algorithm)
    found = pyjwt.decode(
        sign(key, claims()),
        material(key.public),
        algorithms=[algorithm.value],
        audience="https://api.example",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert found == claims()


@ALGORITHMS
def test_we_read_what_pyjwt_signs(algorithm: Algorithm) -> None:
    """Theirs pass through our envelope."""
    key = signer(algorithm)
    token = pyjwt.encode(claims(), material(key), algorithm=algorithm.value, headers=HEAD)
    assert read(token.encode(), ring(key), typ=ACCESS) == claims()


@ALGORITHMS
def test_joserfc_reads_what_we_sign(algorithm: Algorithm) -> None:
    """A second reader, so that no single other library is the standard."""
    key = signer(algorithm)
    found = other_jwt.decode(sign(key, claims()), foreign(key), algorithms=[algorithm.value])
    assert (found.claims, found.header) == (claims(), {"alg": algorithm.value, **HEAD})


@ALGORITHMS
def test_we_read_what_joserfc_signs(algorithm: Algorithm) -> None:
    """And a second signer."""
    key = signer(algorithm)
    token = other_jwt.encode({"alg": algorithm.value, **HEAD}, claims(), foreign(key), algorithms=[algorithm.value])
    assert read(token.encode(), ring(key), typ=ACCESS) == claims()


def test_we_read_the_fully_specified_name() -> None:
    """A token that joserfc signs as `Ed25519` (RFC 9864) is read by the key published as `EdDSA`."""
    token = other_jwt.encode({"alg": "Ed25519", **HEAD}, claims(), foreign(signer()), algorithms=["Ed25519"])
    assert read(token.encode(), ring(signer()), typ=ACCESS) == claims()


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ES256, Algorithm.RS256])
def test_keys_travel_as_jwk_in_both_directions(algorithm: Algorithm) -> None:
    """joserfc takes our published key, agrees on its thumbprint, and we take the one it publishes."""
    key = signer(algorithm)
    theirs = other_jwk.import_key(to_jwk(key.public))
    assert theirs.thumbprint() == thumbprint(key.public)
    token = sign(key, claims())
    assert other_jwt.decode(token, theirs, algorithms=[algorithm.value]).claims == claims()
    ours = from_jwk({**theirs.as_dict(private=False), "kid": "k1"})
    assert read(token.encode(), {"k1": ours}, typ=ACCESS) == claims()


def test_pyjwt_takes_our_key_set() -> None:
    """What we publish is what an ordinary client of a JWKS endpoint reads."""
    keys = [signer(algorithm, algorithm.value) for algorithm in (Algorithm.ED25519, Algorithm.ES256, Algorithm.RS256)]
    published = {"keys": [to_jwk(key.public) for key in keys]}
    theirs = pyjwt.PyJWKSet.from_dict(published)
    assert [each.key_id for each in theirs.keys] == [key.kid for key in keys]
    assert list(key_set(json.loads(json.dumps(published)))) == [key.kid for key in keys]


@ALGORITHMS
@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", codec="utf-8")), st.integers(-(10**17) + 1, 10**18 - 1)
    )
)
def test_what_is_signed_is_read(algorithm: Algorithm, extra: dict[str, int]) -> None:
    """Signing and reading are inverses, whatever the claims are called."""
    key = signer(algorithm)
    assert read(sign(key, claims(**extra)).encode(), ring(key), typ=ACCESS) == claims(**extra)


@pytest.mark.parametrize(
    "wrong",
    [{"a": float("nan")}, {"a": float("inf")}, {"a": "\0"}, {"a": "\ud800"}, {"a": 10**18}, {"a": "x" * 20_000}],
    ids=["nan", "infinity", "nul", "surrogate", "huge-number", "huge-text"],
)
def test_what_would_not_be_read_is_not_signed(wrong: dict[str, Any]) -> None:
    """A token that every reader of ours would refuse is never made."""
    with pytest.raises(ValueError):
        sign(signer(), claims(**wrong))


@ALGORITHMS
def test_a_private_key_survives_storage(algorithm: Algorithm) -> None:
    """The stored bytes give back a key whose signatures the first one's public key accepts."""
    key = signer(algorithm)
    again = load_private(algorithm, "k1", private_bytes(key))
    key.public.verify(again.sign(b"text"), b"text")
    assert private_bytes(again) == private_bytes(key)


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ES256, Algorithm.RS256])
def test_signatures_are_deterministic(algorithm: Algorithm) -> None:
    """Signing twice gives one signature: no random number of a bad hour can give the key away."""
    assert signer(algorithm).sign(b"text") == signer(algorithm).sign(b"text")


HMAC_KEY = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
EXAMPLE_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
EXAMPLE_CLAIMS = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
RSA_MODULUS = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC"
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6"
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
    "yuXpoQ"
)
RSA_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
    "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12j"
    "zDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQ"
    "Ge77Rw"
)
EC_POINT = {
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
EC_SIGNATURE = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

STANDARD = {
    "rfc7515-a1": (
        shared_key("k", decode(HMAC_KEY)).public,
        f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{EXAMPLE_PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    "rfc7515-a2": (
        from_jwk({"kty": "RSA", "n": RSA_MODULUS, "e": "AQAB"}),
        f"eyJhbGciOiJSUzI1NiJ9.{EXAMPLE_PAYLOAD}.{RSA_SIGNATURE}",
    ),
    "rfc7515-a3": (
        from_jwk({"kty": "EC", "crv": "P-256", **EC_POINT}),
        f"eyJhbGciOiJFUzI1NiJ9.{EXAMPLE_PAYLOAD}.{EC_SIGNATURE}",
    ),
}


@pytest.mark.parametrize(("key", "token"), STANDARD.values(), ids=STANDARD.keys())
def test_the_examples_of_the_standard_are_read(key: Any, token: str) -> None:
    """RFC 7515 appendix A, of which A.1 is also RFC 7519 section 3.1."""
    found = read(token.encode(), {key.kid: key}, typ={"", "jwt"}, kid_optional=True)
    assert found == EXAMPLE_CLAIMS


@pytest.mark.attack("alg=none")
def test_the_unsecured_example_of_the_standard_is_refused() -> None:
    """RFC 7515 A.5 and RFC 7519 section 6.1: with and without something in place of the signature."""
    key = shared_key("k", decode(HMAC_KEY)).public
    for seal, reason in (("", Reason.MALFORMED), ("AAAA", Reason.ALGORITHM)):
        token = f"eyJhbGciOiJub25lIn0.{EXAMPLE_PAYLOAD}.{seal}".encode()
        with pytest.raises(TokenRefused, match=reason):
            read(token, {"k": key}, typ={""}, kid_optional=True)


ED25519 = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
ED25519_SEED = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
ED25519_SIGNED = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
ED25519_SIGNATURE = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"


def test_the_ed25519_example_of_the_standard_is_reproduced() -> None:
    """RFC 8037 A.1 to A.5: the key, its thumbprint, the very signature, and the check of it."""
    pkcs8 = bytes.fromhex("302e020100300506032b657004220420") + decode(ED25519_SEED)
    key = load_private(Algorithm.ED25519, "k", pkcs8)
    assert to_jwk(key.public)["x"] == ED25519["x"]
    assert thumbprint(from_jwk(ED25519)) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert encode(key.sign(ED25519_SIGNED)) == ED25519_SIGNATURE
    from_jwk(ED25519).verify(decode(ED25519_SIGNATURE), ED25519_SIGNED)


THUMBPRINT_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
    "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
    "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
    "nqDKgw"
)


def test_the_thumbprint_example_of_the_standard_is_reproduced() -> None:
    """RFC 7638 section 3.1; a key without kid is known by its thumbprint."""
    key = from_jwk({"kty": "RSA", "n": THUMBPRINT_MODULUS, "e": "AQAB", "alg": "RS256"})
    assert key.kid == thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
