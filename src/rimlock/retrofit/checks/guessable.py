"""Secrets that could be guessed: ours, the one tokens are shared by, and those the host finds in the environment.

Threat: a sample secret from a tutorial, with which anybody signs tokens; a key of a few letters.
Source: OWASP ASVS 5.0 V13.3.1, V11.5.1; FastAPI's tutorial and jwt.io, whose sample values are used in production.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING

from rimlock.core.keys import seems_weak
from rimlock.crypto.secret import check_secret
from rimlock.retrofit.checks.finding import Finding

if TYPE_CHECKING:
    from rimlock import Rimlock, Settings

__all__ = ["secret_file", "secrets", "without_making_a_secret"]

_NAMES = re.compile(r"(SECRET|SECRETS|SECRET_?KEY|API_?KEYS?|ACCESS_?KEY|SIGNING_?KEY|JWT_?KEY|AUTH_?TOKEN|PASSWORD)$")
_OURS = "RIMLOCK_"
_SAMPLES = frozenset(
    re.findall(
        r"\S+",
        """
    changeme changethis changeit changemeplease replaceme replacethis secret secretkey mysecret mysecretkey supersecret
    supersecretkey topsecret yoursecret yoursecretkey yoursecretkeyhere yoursecrethere yourapikey yourapikeyhere
    yourjwtsecret yourjwtsecretkey your256bitsecret yoursupersecretkey jwtsecret jwtsecretkey apikey testkey testsecret
    devsecret devkey password passw0rd admin root test dev development example insecure default notsecret keyboardcat
    123456 12345678 1234567890 qwerty letmein todo fixme xxx abc123 samplesecret demosecret demo placeholder
    """,
    )
)
_PUBLISHED = frozenset(
    {
        "570dad43de1af4c925f92c16a68a50936da42b7dd6fdeb24850507a1199aac89",  # FastAPI's tutorial
    }
)
_MAKE = "python -c 'import secrets; print(secrets.token_urlsafe(48))' makes one"


def secrets(auth: Rimlock) -> Iterator[Finding]:
    """Look at every secret of the installation and its environment. No value is ever shown."""
    yield _root(auth.settings)
    yield from _shared(auth.settings)
    yield from _imported(auth)
    yield from _hosts({one.env for one in auth.file.keys}, os.environ)


def secret_file(settings: Settings) -> Path:
    """Return where the secret is kept that is made for a database file of our own."""
    from rimlock.settings import SECRET_FILE

    return Path(settings.database.partition("///")[2] or ".").absolute().parent / SECRET_FILE


def _root(settings: Settings) -> Finding:
    """The secret is strong when we get here: one that could be guessed is refused with the settings."""
    given, place = "RIMLOCK_SECRETS" in os.environ, secret_file(settings)
    if not given and settings.jwt_secret and settings.jwt_secret in settings.secrets:
        return Finding(
            "secret",
            "warn",
            "JWT_SECRET serves as root secret too",
            why="whoever verifies tokens with it could make every other secret of this installation",
            mend="set RIMLOCK_SECRETS to one of its own",
        )
    if not given and place.exists() and stat.S_IMODE(place.stat().st_mode) & 0o077:
        return Finding(
            "secret",
            "fail",
            f"others can read {place.name}",
            why="everybody with an account on this machine can sign tokens",
            mend=f"run chmod 600 {place.name}, then put a new secret before it in RIMLOCK_SECRETS",
        )
    if not given and not settings.jwt_secret and not place.exists():
        return Finding("secret", "ok", f"none yet; the first start makes {place.name}")
    return Finding("secret", "ok", f"{len(settings.secrets)} in the list, long enough and no sample")


def _shared(settings: Settings) -> Iterator[Finding]:
    if not settings.jwt_secret:
        return
    try:
        check_secret(settings.jwt_secret.encode())
    except ValueError as weak:
        what, _, mend = str(weak).partition(";")
        why = "whoever guesses it signs tokens for every account, here and wherever else it is used"
        yield Finding("JWT_SECRET", "fail", what, why=why, mend=mend.strip() or _MAKE)


def _imported(auth: Rimlock) -> Iterator[Finding]:
    missing = [key.env for key in auth.file.keys if not os.environ.get(key.env)]
    weak = [key.env for key in auth.file.keys if seems_weak(os.environ.get(key.env, ""))]
    if missing:
        yield Finding(
            "imported keys",
            "fail",
            f"{', '.join(missing)} is not set, and the rule file imports it",
            why="the application does not start",
            mend="set it to the key that callers hold, or take it out of the rule file",
        )
    elif weak:
        yield Finding(
            "imported keys",
            "warn",
            f"{', '.join(weak)} can be guessed",
            why="it stays good after the change-over, for whoever guesses it",
            mend="issue a new key with `rimlock key create`, and let the old one run out",
        )
    elif auth.file.keys:
        yield Finding("imported keys", "ok", f"{len(auth.file.keys)} in the rule file, each with its variable set")


def _hosts(imported: set[str], environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look for sample values among the host's own secrets, which Rimlock does not use and cannot refuse."""
    named = {name: value for name, value in environment.items() if _NAMES.search(name) and value}
    samples = sorted(name for name, value in named.items() if not name.startswith(_OURS) and _is_sample(value))
    if samples:
        why = "these values are in tutorials and in every list an attacker tries first"
        yield Finding("sample secrets", "fail", f"{', '.join(samples)} has a sample value", why=why, mend=_MAKE)
    guessable = sorted({name for name in named if name in _SIGNING and seems_weak(named[name])} - {*samples, *imported})
    if guessable:
        why = "tokens or cookies signed with it can be forged by whoever guesses it"
        yield Finding("weak secrets", "warn", f"{', '.join(guessable)} can be guessed", why=why, mend=_MAKE)


_SIGNING = {"SECRET_KEY", "SESSION_SECRET", "JWT_SECRET_KEY", "AUTH_SECRET", "COOKIE_SECRET", "BETTER_AUTH_SECRET"}


def _is_sample(value: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", value.lower())
    framed = value.strip().startswith("<") or plain.startswith(
        ("djangoinsecure", "yoursecret", "changeme", "replaceme")
    )
    return plain in _SAMPLES or framed or sha256(value.encode()).hexdigest() in _PUBLISHED


def without_making_a_secret(environment: Mapping[str, str]) -> Settings:
    """Read the settings; where the first start would make a secret, go by one that is forgotten again.

    Raises ConfigurationError.
    """
    from rimlock.settings import DEFAULT_DATABASE, SECRET_FILE, from_environment

    url = environment.get("RIMLOCK_DATABASE") or environment.get("DATABASE_URL") or DEFAULT_DATABASE
    beside = Path(url.partition("///")[2] or ".").absolute().parent / SECRET_FILE
    given = any(environment.get(name) for name in ("RIMLOCK_SECRETS", "RIMLOCK_JWT_SECRET", "JWT_SECRET"))
    if given or beside.exists() or not url.startswith("sqlite"):
        return from_environment(environment)
    return from_environment(environment, secrets=(token_urlsafe(48),))
