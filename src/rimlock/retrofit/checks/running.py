"""A server that is running: whether it answers, on these tables, and hears of revocations in time.

Threat: a process that is long behind the journal, beside a doctor that reads the journal itself and calls it well.
Source: design section 4 (a revocation); OWASP ASVS 5.0 V7.4.1.

Its health check is asked, and nothing that it says is believed to be more than words and numbers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector

from rimlock.retrofit.checks.finding import Finding

if TYPE_CHECKING:
    from rimlock import Rimlock

__all__ = ["running"]

PATIENCE = 10.0
"""Seconds for an answer: longer than a server gives each of its parts."""

TIMES = 5
"""How often it is asked, on a new connection each time: several workers take turns at one address."""

LARGEST = 65_536


async def running(auth: Rimlock, url: str | None) -> list[Finding]:
    """Ask the server at `url` how it is; without one, say that none was asked."""
    if url is None:
        return [Finding("running server", "ok", "none was asked; --url http://127.0.0.1:8000 asks one how it is")]
    if not _is_address(url):
        mend = "give scheme, host and port alone, like http://127.0.0.1:8000"
        return [Finding("running server", "fail", "--url is no such address", why=_NOT_ASKED, mend=mend)]
    base = url.rstrip("/")
    place = f"{base}{auth.settings.prefix}/health"
    worst = auth.settings.max_staleness.total_seconds()
    findings: list[Finding] = []
    for _ in range(TIMES):
        findings = list(_judged(base, await asyncio.to_thread(_health, place), worst))
        if any(one.state != "ok" for one in findings):
            break
    return findings


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        named = parts.hostname is not None and (parts.port or 1) > 0
    except ValueError:
        return False
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
    return named and parts.scheme in {"http", "https"} and not extra and url.isascii() and url.isprintable()


def _health(place: str) -> Mapping[str, Any] | str:
    """Return the parts of the health check, or why there are none. 503 is an answer like 200."""
    try:
        with _opener().open(place, timeout=PATIENCE) as answer:
            text = answer.read(LARGEST)
    except (OSError, HTTPException):
        return "does not answer"
    try:
        parts = json.loads(text)["parts"]
        return {str(name): part for name, part in parts.items() if isinstance(part["status"], str)}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "answers, and not with a health check of Rimlock's"


def _opener() -> OpenerDirector:
    """Return one that asks what was named and nothing else: it knows no redirects, no proxies and no files."""
    opener = OpenerDirector()
    opener.add_handler(HTTPHandler())
    opener.add_handler(HTTPSHandler())
    return opener


def _judged(base: str, parts: Mapping[str, Any] | str, worst: float) -> Iterator[Finding]:
    if isinstance(parts, str):
        mend = "see whether it runs, with the prefix of these settings and Rimlock on it, and whether --url is right"
        yield Finding("running server", "fail", f"{base} {parts}", why=_NOT_ASKED, mend=mend)
        return
    failed = {name: part for name, part in parts.items() if part["status"] != "ok"}
    rest = [f"{name} ({part.get('code')})" for name, part in failed.items() if name not in {"migrations", "follower"}]
    if rest:
        mend = "see its log, which says of each part what is wrong"
        why = "it cannot decide requests as it should"
        yield Finding("running server", "fail", f"{base} says: not well: {', '.join(rest)}", why=why, mend=mend)
    else:
        yield Finding("running server", "ok", f"{base} answers")
    if "migrations" in failed:
        why = "it was started by another version, or the tables were changed below it"
        mend = "run `rimlock db upgrade` of the version that is to run, and start it anew"
        yield Finding("running schema", "fail", f"{base} does not find its tables as it needs them", why=why, mend=mend)
    yield from _lagging(base, parts.get("follower"), worst)


def _lagging(base: str, part: Mapping[str, Any] | None, worst: float) -> Iterator[Finding]:
    """Judge the lag by these settings, and believe the server where it says itself that it is too far behind."""
    lag = _seconds(part)
    if part is not None and part["status"] == "ok" and lag is not None and lag <= worst:
        yield Finding("running follower", "ok", f"{lag:.1f} s behind the journal at most")
        return
    behind = "too far behind to tell" if lag is None else f"{lag:.1f} s behind"
    yield Finding(
        "running follower",
        "fail",
        f"{base} is {behind}; {worst:g} s are allowed",
        why="it lets revoked tokens in, or nobody, by on_stale",
        mend="see whether its database answers it in time, and start it anew",
    )


def _seconds(part: Mapping[str, Any] | None) -> float | None:
    lag = None if part is None else part.get("lag_seconds")
    told = isinstance(lag, (int, float)) and not isinstance(lag, bool) and isfinite(lag) and lag >= 0
    return float(lag) if told else None  # type: ignore[arg-type]


_NOT_ASKED = "whether running processes hear of revocations is not known"
