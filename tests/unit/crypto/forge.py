"""What the tests of signed tokens share: keys, honest claims, and a press that signs whatever it is given."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from typing import Any

from rimlock.crypto.encoding import encode
from rimlock.crypto.jose import Algorithm, Expectation, SigningKey, VerifyingKey, generate

NOW = 1_800_000_000
ACCESS = frozenset({"at+jwt"})
EXPECTED = Expectation(issuer="https://id.example", audience="https://api.example", max_lifetime=timedelta(minutes=15))


@cache
def signer(algorithm: Algorithm = Algorithm.ED25519, kid: str = "k1") -> SigningKey:
    """A key of each algorithm, made once: RSA takes its time."""
    return generate(algorithm, kid)


def ring(*keys: SigningKey) -> dict[str, VerifyingKey]:
    """What a verifier holds."""
    return {key.kid: key.public for key in keys}


def claims(**changes: Any) -> dict[str, Any]:
    """Honest claims for NOW, with changes; a claim changed to `...` is left out."""
    honest = {
        "iss": "https://id.example",
        "aud": "https://api.example",
        "sub": "u1",
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "j1",
    }
    return {name: value for name, value in {**honest, **changes}.items() if value is not ...}


def header(**changes: Any) -> dict[str, Any]:
    """An honest header of the Ed25519 key, with changes; a member changed to `...` is left out."""
    honest = {"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}
    return {name: value for name, value in {**honest, **changes}.items() if value is not ...}


def raw(value: Any) -> bytes:
    """JSON for anything but bytes, which stand for themselves."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def press(head: Any, body: Any, key: SigningKey | None = None) -> bytes:
    """A token of these two parts with a genuine signature over them, however wrong they are."""
    signed = f"{encode(raw(head))}.{encode(raw(body))}".encode()
    return signed + b"." + encode((key or signer()).sign(signed)).encode()
