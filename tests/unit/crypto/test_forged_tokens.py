"""The catalogue of forgeries: each is refused, for the reason it should be."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from rimlock.crypto.encoding import decode, encode
from rimlock.crypto.jose import Algorithm, Reason, TokenRefused, check_claims, read, shared_key, sign, to_jwk
from unit.crypto.forge import ACCESS, EXPECTED, NOW, claims, header, press, ring, signer

KEY = signer()
TOKEN = sign(KEY, claims()).encode()
HEAD, BODY, SEAL = TOKEN.split(b".")


def judged(token: bytes, **options: Any) -> dict[str, Any]:
    """Read and judge as the house does."""
    found = read(token, ring(KEY), typ=ACCESS, **options)
    check_claims(found, EXPECTED, NOW)
    return found


def unpadded(data: bytes) -> bytes:
    return encode(data).encode()


def with_header(**changes: Any) -> bytes:
    return press(header(**changes), claims())


def with_payload(body: bytes) -> bytes:
    return press(header(), body)


def text(**changes: Any) -> str:
    return json.dumps(claims(**changes))


OUTSIDE = {
    "nothing": (b"", Reason.MALFORMED),
    "dots-alone": (b"..", Reason.MALFORMED),
    "two-segments": (HEAD + b"." + BODY, Reason.MALFORMED),
    "unsigned": (HEAD + b"." + BODY + b".", Reason.MALFORMED),
    "jwe-of-five-segments": (TOKEN + b".AAAA.AAAA", Reason.MALFORMED),
    "json-serialisation": (b'{"payload":"' + BODY + b'"}', Reason.MALFORMED),
    "json-and-compact-at-once": (b'{"a":"' + TOKEN + b'"}', Reason.MALFORMED),
    "leading-space": (b" " + TOKEN, Reason.MALFORMED),
    "trailing-newline": (TOKEN + b"\n", Reason.MALFORMED),
    "newline-inside": (TOKEN[:30] + b"\n" + TOKEN[30:], Reason.MALFORMED),
    "padding": (TOKEN + b"=", Reason.MALFORMED),
    "padded-header": (HEAD + b"=." + BODY + b"." + SEAL, Reason.MALFORMED),
    "standard-base64-alphabet": (HEAD + b"." + BODY + b"." + SEAL[:-1] + b"+", Reason.MALFORMED),
    "question-mark": (TOKEN[:-2] + b"?" + TOKEN[-1:], Reason.MALFORMED),
    "nul-byte": (TOKEN + b"\0", Reason.MALFORMED),
    "non-ascii-byte": (TOKEN + b"\xc3\xa9", Reason.MALFORMED),
    "non-canonical-signature-bits": (TOKEN[:-1] + bytes([TOKEN[-1] + 1]), Reason.ENCODING),
    "impossible-length": (HEAD + b"." + BODY + b"." + SEAL[:-1], Reason.ENCODING),
    "impossible-header-length": (b"A." + BODY + b"." + SEAL, Reason.ENCODING),
    "seventeen-kibibytes": (TOKEN + b"A" * 17_408, Reason.TOO_LARGE),
    "two-megabytes": (with_payload(text(pad="x" * 2_000_000).encode()), Reason.TOO_LARGE),
}

HEADERS = {
    "none": (with_header(alg="none"), Reason.ALGORITHM),
    "None": (with_header(alg="None"), Reason.ALGORITHM),
    "NONE": (with_header(alg="NONE"), Reason.ALGORITHM),
    "noNE": (with_header(alg="noNE"), Reason.ALGORITHM),
    "none-in-look-alikes": (with_header(alg="nοne"), Reason.ALGORITHM),
    "alg-missing": (with_header(alg=...), Reason.ALGORITHM),
    "alg-null": (with_header(alg=None), Reason.ALGORITHM),
    "alg-list": (with_header(alg=["EdDSA"]), Reason.ALGORITHM),
    "alg-empty": (with_header(alg=""), Reason.ALGORITHM),
    "alg-wrong-case": (with_header(alg="eddsa"), Reason.ALGORITHM),
    "alg-hs256-lower-case": (with_header(alg="hs256"), Reason.ALGORITHM),
    "alg-Es256": (with_header(alg="Es256"), Reason.ALGORITHM),
    "alg-with-nul": (with_header(alg="EdDSA\0"), Reason.TEXT),
    "alg-with-space": (with_header(alg="EdDSA "), Reason.ALGORITHM),
    "alg-of-another-curve": (with_header(alg="Ed448"), Reason.ALGORITHM),
    "alg-not-of-this-key": (with_header(alg="ES256"), Reason.ALGORITHM),
    "alg-symmetric-for-public-key": (with_header(alg="HS256"), Reason.ALGORITHM),
    "alg-duplicate": (
        press(b'{"alg":"none","alg":"EdDSA","kid":"k1","typ":"at+jwt"}', claims()),
        Reason.DUPLICATE_MEMBER,
    ),
    "alg-duplicate-escaped": (
        press(b'{"alg":"EdDSA","\\u0061lg":"EdDSA","kid":"k1","typ":"at+jwt"}', claims()),
        Reason.DUPLICATE_MEMBER,
    ),
    "crit-unknown": (with_header(crit=["x"], x=1), Reason.CRITICAL),
    "crit-empty": (with_header(crit=[]), Reason.CRITICAL),
    "crit-null": (with_header(crit=None), Reason.CRITICAL),
    "b64-false": (with_header(b64=False), Reason.CRITICAL),
    "b64-false-critical": (with_header(b64=False, crit=["b64"]), Reason.CRITICAL),
    "jwk-embedded": (with_header(jwk=to_jwk(KEY.public)), Reason.EMBEDDED_KEY),
    "jku": (with_header(jku="https://evil.example/jwks"), Reason.EMBEDDED_KEY),
    "jku-file": (with_header(jku="file:///etc/passwd"), Reason.EMBEDDED_KEY),
    "x5u": (with_header(x5u="https://evil.example/cert"), Reason.EMBEDDED_KEY),
    "x5c": (with_header(x5c=["AAAA"]), Reason.EMBEDDED_KEY),
    "zip": (with_header(zip="DEF"), Reason.ENCRYPTED),
    "enc": (with_header(enc="A256GCM"), Reason.ENCRYPTED),
    "p2c": (with_header(p2c=2**31), Reason.ENCRYPTED),
    "kid-missing": (with_header(kid=...), Reason.KEY_UNKNOWN),
    "kid-unknown": (with_header(kid="k2"), Reason.KEY_UNKNOWN),
    "kid-number": (with_header(kid=1), Reason.HEADER_TYPE),
    "kid-null": (with_header(kid=None), Reason.HEADER_TYPE),
    "kid-object": (with_header(kid={"k1": 1}), Reason.HEADER_TYPE),
    "kid-empty": (with_header(kid=""), Reason.HEADER_TYPE),
    "kid-long": (with_header(kid="k" * 129), Reason.HEADER_TYPE),
    "kid-path": (with_header(kid="../../../../dev/null"), Reason.KEY_UNKNOWN),
    "kid-sql": (with_header(kid="x' UNION SELECT 'k1"), Reason.HEADER_TYPE),
    "kid-command": (with_header(kid="k1; sleep 9"), Reason.HEADER_TYPE),
    "kid-newline": (with_header(kid="k1\n"), Reason.HEADER_TYPE),
    "kid-log-injection": (with_header(kid="k1\r\nINFO all is well"), Reason.HEADER_TYPE),
    "kid-nul": (with_header(kid="k1\0"), Reason.TEXT),
    "kid-template": (with_header(kid="{{7*7}}"), Reason.HEADER_TYPE),
    "typ-missing": (with_header(typ=...), Reason.TYPE),
    "typ-jwt": (with_header(typ="JWT"), Reason.TYPE),
    "typ-reset": (with_header(typ="reset+jwt"), Reason.TYPE),
    "typ-substring": (with_header(typ="at+jwt2"), Reason.TYPE),
    "typ-twice-application": (with_header(typ="application/application/at+jwt"), Reason.TYPE),
    "typ-other-tree": (with_header(typ="text/at+jwt"), Reason.TYPE),
    "typ-list": (with_header(typ=["at+jwt"]), Reason.HEADER_TYPE),
    "typ-null": (with_header(typ=None), Reason.HEADER_TYPE),
    "typ-look-alike": (with_header(typ="аt+jwt"), Reason.HEADER_TYPE),
    "header-list": (press(b"[]", claims()), Reason.HEADER),
    "header-null": (press(b"null", claims()), Reason.HEADER),
    "header-text": (press(b'"EdDSA"', claims()), Reason.HEADER),
    "header-broken": (press(b'{"alg":"EdDSA"', claims()), Reason.HEADER),
    "header-with-rest": (press(json.dumps(header()).encode() + b"{}", claims()), Reason.HEADER),
    "header-python-literal": (press(b"{'alg':'EdDSA'}", claims()), Reason.HEADER),
    "header-utf16": (press(json.dumps(header()).encode("utf-16"), claims()), Reason.ENCODING),
    "header-bom": (press(b"\xef\xbb\xbf" + json.dumps(header()).encode(), claims()), Reason.HEADER),
    "header-nested-5000": (press(b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", claims()), Reason.DEPTH),
    "header-nested-unclosed": (press(b'{"a":' * 2_000, claims()), Reason.DEPTH),
    "header-nan": (press(b'{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x":NaN}', claims()), Reason.NUMBER),
    "header-digits": (press(b'{"alg":"EdDSA","x":' + b"9" * 5_000 + b"}", claims()), Reason.NUMBER),
}

PAYLOADS = {
    "duplicate-sub": (text().replace('"sub"', '"sub":"admin","sub"').encode(), Reason.DUPLICATE_MEMBER),
    "duplicate-exp": (text().replace('"exp"', '"exp":1,"exp"').encode(), Reason.DUPLICATE_MEMBER),
    "duplicate-in-depth": (text()[:-1].encode() + b',"a":[{"b":1,"b":2}]}', Reason.DUPLICATE_MEMBER),
    "exp-nan": (text(exp=float("nan")).encode(), Reason.NUMBER),
    "exp-infinity": (text(exp=float("inf")).encode(), Reason.NUMBER),
    "exp-minus-infinity": (text(exp=float("-inf")).encode(), Reason.NUMBER),
    "exp-1e400": (text(exp="X").replace('"X"', "1e400").encode(), Reason.NUMBER),
    "exp-of-4000-digits": (text(exp="X").replace('"X"', "1" + "0" * 4_000).encode(), Reason.NUMBER),
    "bom": (b"\xef\xbb\xbf" + text().encode(), Reason.PAYLOAD),
    "utf-16": (text().encode("utf-16"), Reason.ENCODING),
    "utf-16-without-bom": (text().encode("utf-16-le"), Reason.PAYLOAD),
    "utf-32-without-bom": (text().encode("utf-32-be"), Reason.PAYLOAD),
    "latin-1": (json.dumps(claims(sub="é"), ensure_ascii=False).encode("latin-1"), Reason.ENCODING),
    "overlong-utf-8": (text(sub="X").encode().replace(b"X", b"\xc0\xaf"), Reason.ENCODING),
    "surrogate-in-utf-8": (text(sub="X").encode().replace(b"X", b"\xed\xa0\x80"), Reason.ENCODING),
    "lone-surrogate": (text(sub="\ud800").encode(), Reason.TEXT),
    "lone-surrogate-in-a-name": (text(**{"\udfff": 1}).encode(), Reason.TEXT),
    "lone-surrogate-in-depth": (text(a=[{"b": ["x\udc00"]}]).encode(), Reason.TEXT),
    "nul-in-sub": (text(sub="u1\0admin").encode(), Reason.TEXT),
    "nul-in-the-open": (text(sub="X").encode().replace(b"X", b"\0"), Reason.PAYLOAD),
    "nested-5000": (b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", Reason.DEPTH),
    "nested-seventeen": (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", Reason.DEPTH),
    "nested-objects-unclosed": (b'{"a":' * 1_500, Reason.DEPTH),
    "nested-behind-an-escaped-quote": (b'{"a":"\\"","b":' + b"[" * 20 + b"]" * 20 + b"}", Reason.DEPTH),
    "list": (b"[]", Reason.PAYLOAD),
    "null": (b"null", Reason.PAYLOAD),
    "number": (b"1", Reason.PAYLOAD),
    "not-json": (b"Example of signing", Reason.PAYLOAD),
    "nested-token": (TOKEN, Reason.PAYLOAD),
    "two-objects": (text().encode() * 2, Reason.PAYLOAD),
    "trailing-comma": (text()[:-1].encode() + b",}", Reason.PAYLOAD),
    "comment": (text().encode() + b"//", Reason.PAYLOAD),
}


def cases(table: dict[str, tuple[bytes, Reason]]) -> Any:
    return pytest.mark.parametrize(("token", "reason"), table.values(), ids=table.keys())


def test_the_honest_token_is_read() -> None:
    """What the catalogue changes is good before it is changed."""
    assert judged(TOKEN) == claims()


@pytest.mark.attack("token forgery")
@cases(OUTSIDE)
def test_a_token_of_another_form_is_refused(token: bytes, reason: Reason) -> None:
    """Only three non-empty segments of canonical base64url, at most 16 KiB, are looked at."""
    with pytest.raises(TokenRefused) as refused:
        judged(token)
    assert refused.value.reason is reason


@pytest.mark.attack("token forgery")
@cases(HEADERS)
def test_a_header_out_of_line_is_refused_although_signed(token: bytes, reason: Reason) -> None:
    """Each header stands under a genuine signature: it is the header alone that refuses the token."""
    with pytest.raises(TokenRefused) as refused:
        judged(token)
    assert refused.value.reason is reason


@pytest.mark.attack("token forgery")
@cases(PAYLOADS)
def test_a_payload_two_readers_could_differ_about_is_refused(token: bytes, reason: Reason) -> None:
    """Each payload stands under a genuine signature: only strict reading refuses it."""
    with pytest.raises(TokenRefused) as refused:
        judged(with_payload(token))
    assert refused.value.reason is reason


def test_nothing_of_the_payload_is_believed_before_the_signature() -> None:
    """A forged token with a broken payload is refused for its signature."""
    forged = press(header(), b"\xff{", signer(kid="other"))
    with pytest.raises(TokenRefused, match="signature"):
        judged(forged)


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+JWT"])
def test_spellings_of_one_media_type_are_one(typ: str) -> None:
    """Case and the prefix `application/` make no difference."""
    assert judged(with_header(typ=typ))["sub"] == "u1"


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_an_ed25519_key_answers_to_both_of_its_names(alg: str) -> None:
    """The old polymorphic name and the fully specified one mean the same key."""
    assert judged(with_header(alg=alg))["sub"] == "u1"


def test_a_surrogate_pair_is_a_character() -> None:
    """Escaped characters outside the basic plane are no lone surrogates; an escaped backslash is no escape."""
    assert judged(with_payload(text(name="\U0001f511", path="\\u0000").encode()))["name"] == "\U0001f511"


def test_brackets_inside_texts_are_not_nesting() -> None:
    """Depth is counted outside strings."""
    assert judged(with_payload(text(note='[{"' * 40).encode()))["note"].startswith("[{")


def test_sixteen_levels_are_read() -> None:
    """The depth that is allowed is allowed, with any number of brackets side by side."""
    nested: list[Any] = [[], [], []]
    for _ in range(13):
        nested = [nested, []]
    assert judged(with_payload(text(deep=nested).encode()))["deep"] == nested


def test_many_genuine_headers_are_read_one_after_another() -> None:
    """However many keys an issuer goes through, each header counts for itself."""
    secret = signer(Algorithm.HS256).secret  # type: ignore[attr-defined]
    for number in range(600):
        key = shared_key(f"k{number}", secret)
        assert read(sign(key, claims()).encode(), ring(key), typ=ACCESS) == claims()


def test_a_token_without_kid_needs_leave_and_a_single_key() -> None:
    """The only key may be tried when the caller says so; among two, nothing is guessed."""
    token, other = with_header(kid=...), signer(kid="k2")
    assert read(token, ring(KEY), typ=ACCESS, kid_optional=True)["sub"] == "u1"
    for keys in (ring(KEY, other), {}):
        with pytest.raises(TokenRefused, match="key_unknown"):
            read(token, keys, typ=ACCESS, kid_optional=True)


def test_a_named_key_is_looked_for_even_when_kid_is_optional() -> None:
    """A kid that fits no key is not overlooked because there is only one key."""
    with pytest.raises(TokenRefused, match="key_unknown"):
        read(with_header(kid="k9"), ring(KEY), typ=ACCESS, kid_optional=True)


def test_an_untyped_token_needs_leave() -> None:
    """The empty name in the set of kinds stands for a token that names none."""
    assert read(with_header(typ=...), ring(KEY), typ={"", "jwt"})["sub"] == "u1"


def test_a_verifier_cannot_be_asked_without_kinds() -> None:
    """Which kinds of token are meant is never a default."""
    with pytest.raises(TypeError):
        read(TOKEN, ring(KEY))  # type: ignore[call-arg]


def test_the_size_cap_is_the_callers_to_lower() -> None:
    """At the cap a token is read, one byte below it is not."""
    assert read(TOKEN, ring(KEY), typ=ACCESS, max_bytes=len(TOKEN))
    with pytest.raises(TokenRefused, match="too_large"):
        read(TOKEN, ring(KEY), typ=ACCESS, max_bytes=len(TOKEN) - 1)


@pytest.mark.attack("psychic signature")
@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("seal", [b"\0", b"\0" * 32, b"\0" * 64, b"\0" * 384, b"\xff" * 64, b"\0" * 63 + b"\1"])
def test_a_made_up_signature_is_refused(algorithm: Algorithm, seal: bytes) -> None:
    """Zeroes, extremes and other lengths are no signature under any algorithm."""
    key = signer(algorithm)
    honest = sign(key, claims()).encode()
    with pytest.raises(TokenRefused, match="signature"):
        read(honest.rpartition(b".")[0] + b"." + unpadded(seal), ring(key), typ=ACCESS)


@pytest.mark.attack("DER signature in a JWS")
def test_the_der_form_of_an_ecdsa_signature_is_refused() -> None:
    """A signature has one spelling: r and s, 32 bytes each. Also with one byte more."""
    key = signer(Algorithm.ES256)
    signed, _, seal = sign(key, claims()).encode().rpartition(b".")
    both = decode(seal)
    der = encode_dss_signature(int.from_bytes(both[:32]), int.from_bytes(both[32:]))
    for other in (der, both + b"\0", b"\0" + both, both[:32] + b"\0" + both[32:]):
        with pytest.raises(TokenRefused, match="signature"):
            read(signed + b"." + unpadded(other), ring(key), typ=ACCESS)


@pytest.mark.attack("ECDSA scalar out of range")
def test_an_ecdsa_scalar_has_one_value() -> None:
    """r or s raised by the order of the group, or zero, is refused."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = signer(Algorithm.ES256)
    signed, _, seal = sign(key, claims()).encode().rpartition(b".")
    both = decode(seal)
    for other in (order.to_bytes(32) + both[32:], both[:32] + order.to_bytes(32), bytes(32) + both[32:]):
        with pytest.raises(TokenRefused, match="signature"):
            read(signed + b"." + unpadded(other), ring(key), typ=ACCESS)


@pytest.mark.attack("Ed25519 scalar out of range")
def test_an_ed25519_scalar_has_one_value() -> None:
    """The second half raised by the order of the group is the same number and another text: refused."""
    order = 2**252 + 27742317777372353535851937790883648493
    seal = decode(SEAL)
    raised = (int.from_bytes(seal[32:], "little") + order).to_bytes(32, "little")
    with pytest.raises(TokenRefused, match="signature"):
        judged(HEAD + b"." + BODY + b"." + unpadded(seal[:32] + raised))


@pytest.mark.attack("HS/RS confusion")
@pytest.mark.parametrize("algorithm", [Algorithm.RS256, Algorithm.ES256, Algorithm.ED25519])
@pytest.mark.parametrize("form", ["pem", "der", "ssh", "jwk"])
def test_a_token_signed_with_the_public_key_as_secret_is_refused(algorithm: Algorithm, form: str) -> None:
    """The algorithm belongs to the key; the header can't talk a public key into being a secret."""
    key = signer(algorithm)
    material = key.public.material  # type: ignore[attr-defined]
    secret = {
        "pem": lambda: material.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": lambda: material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "ssh": lambda: material.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "jwk": lambda: json.dumps(to_jwk(key.public)).encode(),
    }[form]()
    signed = f"{encode(json.dumps(header(alg='HS256')).encode())}.{encode(json.dumps(claims()).encode())}".encode()
    forged = signed + b"." + unpadded(hmac.digest(secret, signed, "sha256"))
    with pytest.raises(TokenRefused, match="algorithm"):
        read(forged, ring(key), typ=ACCESS)


@pytest.mark.attack("algorithm not bound to key")
@pytest.mark.parametrize("alg", ["PS256", "RS384", "RS512", "HS256", "ES256", "EdDSA"])
def test_an_rsa_key_serves_one_algorithm(alg: str) -> None:
    """A set with other algorithms in it makes none of them available to the RSA key."""
    key = signer(Algorithm.RS256)
    with pytest.raises(TokenRefused, match="algorithm"):
        read(press(header(alg=alg), claims(), key), ring(key, signer(Algorithm.ES256, "k2")), typ=ACCESS)


KINDS = ["at+jwt", "jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "refresh+jwt", "reset+jwt", "verify+jwt"]


@pytest.mark.attack("cross-JWT confusion")
@pytest.mark.parametrize("made", KINDS)
@pytest.mark.parametrize("wanted", KINDS)
def test_one_kind_of_token_is_never_another(made: str, wanted: str) -> None:
    """Of the same key, issuer and audience, each kind passes only where that kind is asked for."""
    token = sign(KEY, claims(), typ=made).encode()
    if made == wanted:
        assert read(token, ring(KEY), typ={wanted}) == claims()
    else:
        with pytest.raises(TokenRefused, match="type"):
            read(token, ring(KEY), typ={wanted})


@pytest.mark.parametrize("algorithm", list(Algorithm))
@given(st.data())
def test_any_changed_byte_refuses_the_token(algorithm: Algorithm, data: st.DataObject) -> None:
    """No byte of a token can be another byte."""
    key = signer(algorithm)
    token = bytearray(sign(key, claims()).encode())
    place = data.draw(st.integers(0, len(token) - 1))
    token[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != token[place]))
    with pytest.raises(TokenRefused):
        read(bytes(token), ring(key), typ=ACCESS)


def test_every_place_of_a_token_is_guarded() -> None:
    """Each byte in turn, changed in each single bit, refuses the token."""
    key = signer(Algorithm.HS256)
    token, keys = sign(key, claims()).encode(), ring(key)
    for place in range(len(token)):
        for bit in range(8):
            other = bytearray(token)
            other[place] ^= 1 << bit
            with pytest.raises(TokenRefused):
                read(bytes(other), keys, typ=ACCESS)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c", "zip", "enc", "cty"]) | st.text(
    max_size=4
)


@given(st.dictionaries(NAMES, ANY_JSON | st.sampled_from(["EdDSA", "none", "HS256", "k1", "at+jwt"]), max_size=6))
def test_no_header_raises_anything_but_a_refusal(head: dict[str, Any]) -> None:
    """Whatever the header holds, it is refused by name, or the token is read for the honest token it then is."""
    try:
        found = read(press(head, claims()), ring(KEY), typ=ACCESS)
    except TokenRefused:
        return
    assert (found, head["alg"], head["kid"]) == (claims(), "EdDSA", "k1")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_refusal(head: bytes, body: bytes) -> None:
    """Arbitrary bytes in place of header and payload are refused by name."""
    for token in (head, head + b"." + body + b".AAAA", press(head, claims()), press(header(), body)):
        with pytest.raises(TokenRefused):
            judged(token)


def test_a_refusal_says_nothing_of_the_token() -> None:
    """The exception holds a stable word and no part of what was sent."""
    with pytest.raises(TokenRefused) as refused:
        judged(with_header(alg="none", note="hunter2"))
    assert str(refused.value) == "algorithm"
