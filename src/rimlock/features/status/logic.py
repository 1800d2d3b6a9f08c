"""Whether the parts of an installation are well, in words and numbers that tell a stranger nothing.

Threat: a health check that names hosts, versions or errors to whoever asks; one that hangs with the part it asks.
Source: OWASP ASVS 5.0 V13.4.2, V16.5.1.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any

from sqlalchemy import literal, select, table, text

from rimlock.core.errors import AuthError, Unavailable
from rimlock.core.schema import VERSION_TABLE
from rimlock.migrations import mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rimlock.feature import Context, Probe

__all__ = ["Health", "KeySet", "database", "examined", "follower", "key_set", "migrations", "signing_key"]

PATIENCE = 3.0
"""Seconds a part may take to answer before it counts as not well."""

log = logging.getLogger("rimlock.health")


@dataclass(frozen=True, slots=True)
class Health:
    """How an installation is, part by part."""

    ok: bool
    parts: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class KeySet:
    """The public keys as they are published, and the tag of this very text (RFC 9110 section 8.8.3)."""

    body: bytes
    etag: str


def key_set(context: Context) -> KeySet:
    """Return the public keys that may have signed a token which is still good. Symmetric keys are never among them."""
    body = json.dumps(context.ring().public(context.clock()), separators=(",", ":")).encode()
    return KeySet(body, f'"{sha256(body).hexdigest()[:32]}"')


async def examined(probes: Mapping[str, Probe]) -> Health:
    """Ask every part at once. Never raises."""
    answers = await asyncio.gather(*(_answer(name, probe) for name, probe in probes.items()))
    return Health(all(answer["status"] == "ok" for answer in answers), dict(zip(probes, answers, strict=True)))


async def database(context: Context) -> Mapping[str, Any]:
    """See whether the database answers. Raises Unavailable."""
    await context.database.read(lambda tx: tx.value(select(literal(1))))
    return {}


async def migrations(context: Context) -> Mapping[str, Any]:
    """See whether the tables are those of this version. Raises Unavailable, SchemaMismatch."""
    row = await context.database.read(lambda tx: tx.one(_VERSION))
    wrong = mismatch(None if row is None else row["version_num"])
    if wrong is not None:
        raise wrong
    return {}


async def signing_key(context: Context) -> Mapping[str, Any]:
    """See whether there is a key to sign with. Raises Unavailable."""
    now = context.clock()
    context.ring().signer(now)
    return {"keys": len(context.ring().verifiers(now))}


async def follower(context: Context) -> Mapping[str, Any]:
    """See whether this process knows what was revoked, and since when it does not. Raises Unavailable."""
    if not context.follower.current() and not await context.follower.revive():
        raise Unavailable
    return {"lag_seconds": round(context.follower.lag(), 3)}


async def _answer(name: str, probe: Probe) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE):
            found = await probe()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part is not well
        log.warning("%s is not well: %s", name, type(error).__name__)
        return {"status": "failed", "code": _code(error)}
    return {"status": "ok", **{key: value for key, value in found.items() if _is_number(value)}}


def _code(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return error.code if isinstance(error, AuthError) else "failed"


def _is_number(value: object) -> bool:
    """Numbers alone go out: a word could be a host's name, or an error's."""
    return isinstance(value, int) or (isinstance(value, float) and isfinite(value))


_VERSION = select(text("version_num")).select_from(table(VERSION_TABLE))
