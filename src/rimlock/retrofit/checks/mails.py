"""Mails: whether they leave, from whom, and what could not be sent.

Threat: links for signing in that end up in a server's output; messages nobody knows were never sent.
Source: OWASP ASVS 5.0 V13.4, V16.2.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rimlock.core.mail_url import mail_route, sender
from rimlock.retrofit.checks.finding import EXPECTED, Finding

if TYPE_CHECKING:
    from rimlock import Rimlock, Settings

__all__ = ["mails"]

LATE_SECONDS = 900


async def mails(auth: Rimlock, *, readable: bool) -> list[Finding]:
    """Look at the way out, and at what waits in the outbox where it can be read."""
    found = [_way(auth.settings), *_sender(auth.settings)]
    return [*found, *(await _waiting(auth) if readable else [])]


def _way(settings: Settings) -> Finding:
    route = mail_route(settings.mail_url, insecure=settings.insecure_smtp)
    if route.kind in {"console", "file"} and _in_production(settings):
        return Finding(
            "mails",
            "warn",
            "they go to standard output" if route.kind == "console" else "they go to a folder",
            why="nobody gets them, and whoever reads the output can use the links in them",
            mend="set RIMLOCK_MAIL_URL to your mail server, like smtp://user:password@host:587",
        )
    return Finding("mails", "ok", route.kind if route.kind != "smtp" else f"smtp, {_tls(route.tls)}")


def _tls(tls: str) -> str:
    return {"implicit": "by TLS", "starttls": "by STARTTLS", "none": "without TLS"}[tls]


def _sender(settings: Settings) -> list[Finding]:
    if mail_route(settings.mail_url, insecure=True).kind not in {"smtp", "sendgrid"}:
        return []
    domain = sender(settings.mail_from).domain
    if domain != "localhost":
        return [Finding("mail sender", "ok", f"at {domain}")]
    return [
        Finding(
            "mail sender",
            "warn",
            "mails are from localhost",
            why="no server elsewhere believes that",
            mend="set RIMLOCK_MAIL_FROM, like Lab <noreply@lab.example.com>",
        )
    ]


async def _waiting(auth: Rimlock) -> list[Finding]:
    from rimlock.features.mail.logic.rows import waiting

    try:
        found = await auth.database.read(waiting)
    except EXPECTED:
        return []
    age = 0 if found.oldest is None else auth.context.now() - found.oldest
    if found.dead:
        mend = "see rimlock mail list --dead, mend what it says, then rimlock mail retry --all"
        why = "whoever should have got them waits for a link that does not come"
        return [Finding("outbox", "warn", f"{found.dead} messages could not be sent", why=why, mend=mend)]
    if age > LATE_SECONDS:
        why = "whoever should have got it waits for it"
        mend = "see rimlock mail list, and whether a server runs that sends"
        return [Finding("outbox", "warn", f"the oldest message waits for {age} s", why=why, mend=mend)]
    return [Finding("outbox", "ok", f"{found.messages} messages wait")]


def _in_production(settings: Settings) -> bool:
    return urlsplit(settings.issuer).scheme == "https" or settings.database.startswith("postgres")
