"""A token that was never seen before: everything we do with it, against the bare signature check."""

# ruff: noqa: RUF001, SLF001 - signs of the table; parts are measured apart

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from installation import built, seed
from measuring import Row, interleaved, per_call, ratios, spread
from workspace import Workspace

from rimlock.core.tokens import TYPES
from rimlock.crypto import jose
from rimlock.crypto.encoding import decode

__all__ = ["rows"]


def rows(space: Workspace) -> Iterator[Row]:
    """Measure the envelope with the claims, and the whole way of the reader, each over raw Ed25519."""
    found = asyncio.run(_measured(space))
    bare = found.pop("raw")
    names = {
        "envelope": "token never seen: envelope and claims / raw Ed25519",
        "reader": "token never seen: the whole reader / raw Ed25519",
    }
    for key, name in names.items():
        yield Row(
            name=name,
            value=ratios(found[key], bare),
            unit="×",
            goal=1.25,
            peer="PyJWT 1.32, joserfc 1.24, without an envelope",
            note=f"{spread(found[key]).median:.1f} µs over {spread(bare).median:.1f} µs",
            details={"us": found[key], "raw_us": bare},
        )


async def _measured(space: Workspace) -> dict[str, list[float]]:
    auth = built(space.sqlite(), plain=True)
    await auth.start()
    seeded = await seed(auth, 200)
    tokens = [token.encode() for token in seeded.access]
    variants = {name: per_call(work) for name, work in _works(auth, tokens).items()}
    found = interleaved(variants, space.rounds(41, 15))
    await auth.stop()
    return found


def _works(auth: Any, tokens: list[bytes]) -> dict[str, Callable[[], object]]:
    now = time.time()
    format_ = auth._tokens
    keys, expected = format_.ring.verifiers(now), format_._expect
    material = next(iter(keys.values())).material
    signed = [(_signature(token), token.rpartition(b".")[0]) for token in tokens]
    reader = auth.judge._credentials._readers[0]
    scopes = [{"headers": [(b"authorization", b"Bearer " + token)]} for token in tokens]
    next_token, next_signed, next_scope = (itertools.cycle(each).__next__ for each in (tokens, signed, scopes))

    def envelope() -> None:
        claims = jose.read(next_token(), keys, typ=TYPES)
        jose.check_claims(claims, expected, now)

    def read() -> None:
        reader._verified._entries.clear()
        reader.read(next_scope(), now)

    return {"raw": lambda: material.verify(*next_signed()), "envelope": envelope, "reader": read}


def _signature(token: bytes) -> bytes:
    """Return the signature of a token."""
    return decode(token.rpartition(b".")[2])
