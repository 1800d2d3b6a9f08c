"""Settings that are allowed and should not stay: dangerous switches, a public address without TLS, proxies, limits.

Threat: a switch that was turned on for an hour; a header by which every caller chooses where it comes from.
Source: OWASP ASVS 5.0 V13.4, V4.1.3; https://uvicorn.dev/settings/ (proxy headers).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rimlock.retrofit.checks.finding import Finding

if TYPE_CHECKING:
    from rimlock import Feature, Settings

__all__ = ["switches"]

_WIDEST = {4: 8, 6: 16}
"""The shortest prefix, by the version of the protocol, that is no mistake: a network of one operator."""

_BY_HEADER = "callers choose the address they are limited, locked out and recorded by"
_SERVERS = ("FORWARDED_ALLOW_IPS", "UVICORN_FORWARDED_ALLOW_IPS")


def switches(settings: Settings, features: Iterable[Feature] = ()) -> Iterator[Finding]:
    """Look at every setting, and every choice of a profile, that weakens something."""
    yield from _insecure(settings)
    for feature in features:
        yield from _documented(feature)
    yield _issuer(settings)
    yield from _proxies(settings)
    yield _limits(settings)
    yield _following(settings)


def _insecure(settings: Settings) -> Iterator[Finding]:
    fields = type(settings).__dataclass_fields__
    on = [f"{name} is on" for name in fields if name.startswith("insecure_") and getattr(settings, name)]
    values = {name: getattr(settings, name) for name in fields if isinstance(getattr(settings, name), str)}
    on += [f"{name} is {value}" for name, value in values.items() if value.startswith("insecure_")]
    for switch in on:
        name = switch.split()[0]
        why = "it takes away a protection that everything else counts on; the name says so"
        yield Finding("switch", "warn", switch, why=why, mend=f"unset RIMLOCK_{name.upper()}")
    if not on:
        yield Finding("switch", "ok", "nothing insecure_ is on")


def _documented(feature: Feature) -> Iterator[Finding]:
    """Name the unsafe forms of another system that its profile brings back because it was asked to."""
    chosen: Mapping[str, str] = getattr(feature, "documented", {})
    for name, why in chosen.items():
        mend = f"take {name} out of the profile {feature.name} once no caller needs it"
        yield Finding("profile", "warn", f"{name} is on", why=why, mend=mend)


def _issuer(settings: Settings) -> Finding:
    parts = urlsplit(settings.issuer)
    mend = "set RIMLOCK_ISSUER to the public address, with https"
    if parts.scheme == "http" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
        why = "passwords and tokens travel in clear, and the refresh cookie is not kept by browsers"
        return Finding("issuer", "warn", f"{settings.issuer} is not https", why=why, mend=mend)
    if parts.scheme == "http" and settings.database.startswith("postgres"):
        why = "tokens name this machine as their issuer, and nobody else can verify them"
        return Finding("issuer", "warn", f"it is {settings.issuer}", why=why, mend=mend)
    return Finding("issuer", "ok", settings.issuer)


def _proxies(settings: Settings) -> Iterator[Finding]:
    mend = "name the addresses of your proxies and no other: RIMLOCK_TRUSTED_PROXIES=10.0.0.7/32"
    everybody = [str(one) for one in settings.proxies if one.prefixlen == 0]
    wide = [str(one) for one in settings.proxies if 0 < one.prefixlen < _WIDEST[one.version]]
    if everybody:
        yield Finding("proxies", "fail", f"{', '.join(everybody)} trusts everybody", why=_BY_HEADER, mend=mend)
    elif wide:
        yield Finding("proxies", "warn", f"{', '.join(wide)} is wide", why=_BY_HEADER, mend=mend)
    else:
        yield Finding("proxies", "ok", f"{len(settings.proxies)} networks are believed about X-Forwarded-For")
    for name in _SERVERS:
        if "*" in os.environ.get(name, ""):
            told = f"unset {name}, or name the addresses of your proxies in it"
            yield Finding(
                "server proxies", "warn", f"{name} makes the server believe anybody", why=_BY_HEADER, mend=told
            )


def _limits(settings: Settings) -> Finding:
    unlimited = settings.on_limits_down == "insecure_allow"
    if settings.registration == "open" and unlimited:
        return Finding(
            "registration",
            "warn",
            "it is open, and nothing limits it while the limits do not answer",
            why="one script makes accounts without end, or tries passwords without end",
            mend="leave RIMLOCK_ON_LIMITS_DOWN at database, or set RIMLOCK_REGISTRATION to invitation",
        )
    return Finding("registration", "ok", f"{settings.registration}, and attempts are limited")


def _following(settings: Settings) -> Finding:
    """A follower that may ask less often than it must have heard is stale by design."""
    asks, must = settings.poll_interval.total_seconds(), settings.max_staleness.total_seconds()
    if asks >= must and settings.database.startswith("postgres"):
        return Finding(
            "staleness",
            "fail",
            f"the journal is read every {asks:g} s, and may be {must:g} s old at most",
            why="between two readings no request with a credential is let through, or each asks the database",
            mend="set RIMLOCK_POLL_INTERVAL to a fifth of RIMLOCK_MAX_STALENESS or less",
        )
    return Finding("staleness", "ok", f"a revocation counts everywhere within {must:g} s, or requests are refused")
