"""What is looked at to find out whether an installation is well, one function for each thing.

Threat: a check that repairs, creates or locks what it was to look at.
Source: OWASP ASVS 5.0 V13.1 to V13.3, V15.2.1 (known vulnerable components).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from rimlock.core.errors import AuthError, ConfigurationError
from rimlock.crypto.sealing import SealBroken

if TYPE_CHECKING:
    from rimlock import Rimlock, Settings

__all__ = ["Finding", "examine"]

State = Literal["ok", "warn", "fail"]
Say = Callable[[Exception], str]
EXPECTED = (AuthError, ConfigurationError, SealBroken)
BAD_HOST_MENDED = (1, 0, 1)
"""Before this Starlette, a Host header changed the path that middleware saw (CVE-2026-48710)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: ok, warn or fail, and one sentence."""

    name: str
    state: State
    text: str


async def examine(auth: Rimlock, say: Say) -> list[Finding]:
    """Run every check on an installation that is not started, and change nothing. `say` puts a failure into words."""
    return [
        Finding("settings", "ok", "they load"),
        *_secret(auth.settings),
        *_switches(auth.settings),
        *_issuer(auth.settings),
        *_keys_to_import(auth),
        _starlette(),
        *await _database(auth, say),
    ]


def _secret(settings: Settings) -> Iterator[Finding]:
    """The secret is strong when we get here: one that could be guessed is refused with the settings."""
    from rimlock.settings import SECRET_FILE

    given = "RIMLOCK_SECRETS" in os.environ
    if not given and settings.jwt_secret and settings.jwt_secret in settings.secrets:
        yield Finding("secret", "warn", "JWT_SECRET serves as root secret too; set RIMLOCK_SECRETS to one of its own")
        return
    place = Path(settings.database.partition("///")[2] or ".").absolute().parent / SECRET_FILE
    if not given and place.exists() and stat.S_IMODE(place.stat().st_mode) & 0o077:
        yield Finding("secret", "fail", f"others can read {SECRET_FILE}; run chmod 600 on it, then change the secret")
        return
    yield Finding("secret", "ok", f"{len(settings.secrets)} in the list, long enough and no sample")


def _switches(settings: Settings) -> Iterator[Finding]:
    on = [name for name in type(settings).__dataclass_fields__ if name.startswith("insecure_")]
    on = [name for name in on if getattr(settings, name)]
    for name in on:
        yield Finding("switch", "warn", f"{name} is on")
    if not on:
        yield Finding("switch", "ok", "no insecure_ setting is on")


def _issuer(settings: Settings) -> Iterator[Finding]:
    parts = urlsplit(settings.issuer)
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        yield Finding("issuer", "warn", f"{settings.issuer} is not https; set RIMLOCK_ISSUER to the public address")
    elif parts.scheme == "http" and settings.database.startswith("postgres"):
        yield Finding("issuer", "warn", f"it is {settings.issuer}; set RIMLOCK_ISSUER to the public address")
    else:
        yield Finding("issuer", "ok", settings.issuer)


def _keys_to_import(auth: Rimlock) -> Iterator[Finding]:
    missing = [key.env for key in auth.file.keys if not os.environ.get(key.env)]
    if missing:
        yield Finding("imported keys", "fail", f"{', '.join(missing)} is not set, and the rule file imports it")
    elif auth.file.keys:
        yield Finding("imported keys", "ok", f"{len(auth.file.keys)} in the rule file, each with its variable set")


def _starlette() -> Finding:
    from importlib.metadata import version

    found = version("starlette")
    numbers = tuple(int(digits) for digits in re.findall(r"\d+", found)[:3])
    if numbers < BAD_HOST_MENDED:
        text = f"Starlette {found} lets a Host header change the path that middleware sees; upgrade to 1.0.1 or later"
        return Finding("starlette", "warn", text)
    return Finding("starlette", "ok", found)


async def _database(auth: Rimlock, say: Say) -> list[Finding]:
    """Reach it, then look at the tables, then at what is in them; each only when the one before is well."""
    from rimlock import migrations

    findings: list[Finding] = []
    try:
        at = await migrations.current(auth.settings.database)
    except EXPECTED as error:
        return [Finding("database", "fail", say(error))]
    findings.append(Finding("database", "ok", f"{auth.database.dialect} answers"))
    if at is None and auth.settings.create_tables is not False and auth.database.dialect == "sqlite":
        return [*findings, Finding("schema", "ok", "none yet; the first start makes it")]
    if wrong := migrations.mismatch(at):
        return [*findings, Finding("schema", "fail", say(wrong))]
    findings.append(Finding("schema", "ok", str(at)))
    checks: dict[str, Callable[[Rimlock], Coroutine[Any, Any, str]]] = {"follower": _follower, "signing keys": _signing}
    findings += [await _tried(name, check(auth), say) for name, check in checks.items()]
    await auth.database.close()
    return findings


async def _tried(name: str, check: Coroutine[Any, Any, str], say: Say) -> Finding:
    try:
        return Finding(name, "ok", await check)
    except EXPECTED as error:
        return Finding(name, "fail", say(error))


async def _follower(auth: Rimlock) -> str:
    follower = auth.context.follower
    try:
        await follower.start()
        return f"has read the journal, {len(auth.context.revocations.sessions)} ended sessions in memory"
    finally:
        await follower.stop()


async def _signing(auth: Rimlock) -> str:
    from rimlock.core import keyring

    if auth.settings.algorithm == "HS256":
        return "HS256 by JWT_SECRET"
    ring = await auth.database.read(lambda tx: keyring.load(tx, auth.context.root))
    if not ring.keys:
        return "none yet; the first start makes one"
    return f"{len(ring.keys)} open under the present secret, {ring.signer(auth.context.now()).kid} signs"
