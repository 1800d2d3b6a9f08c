"""What we ask of others over HTTP, as values: the rules ask, and somebody else does the sending.

Threat: a request that is led somewhere else than the configuration says; an answer that never ends.
Source: OWASP ASVS 5.0 V1.3.6 (SSRF), V13.2.4; RFC 9110.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

from rimlock.core.errors import AuthError
from rimlock.crypto.jose.refusals import Reason, TokenRefused
from rimlock.crypto.jose.strict_json import parse_object

__all__ = ["Ask", "NoReply", "Reply", "Send", "is_near", "is_sound"]


class NoReply(Exception):
    """Nothing usable came back. `reason` is a stable word for logs; nothing of what was sent or received is kept."""

    def __init__(self, reason: str) -> None:
        """`reason`: one word of ours."""
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. With `form` it is a POST of an urlencoded form, otherwise a GET."""

    url: str
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back: the status, and the body, which is short."""

    status: int
    body: bytes = field(repr=False)

    def members(self) -> dict[str, Any]:
        """Return the JSON object in the body. Raises NoReply."""
        try:
            return parse_object(self.body, Reason.PAYLOAD)
        except TokenRefused:
            raise NoReply("not_json") from None


class Send(Protocol):
    """Carries a request out: https only (http on this machine), no redirect, bounded in size and time."""

    async def __call__(self, ask: Ask, /) -> Reply:
        """Return the answer, whatever its status. Raises NoReply."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class SenderMissing(AuthError):
    """The package that speaks HTTP for us is not installed."""

    code, status, title = "sender_missing", 503, "This installation cannot ask other services."


def is_sound(url: str, *, near: bool = False) -> bool:
    """Say whether we may ask this address: https, or http on this machine where `near` allows it.

    No user in it, no fragment, no character that two readers could read differently.
    """
    if not url.isascii() or not url.isprintable() or set(url) & set(" \"'<>\\^`{|}#"):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    if not parts.hostname or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and near and is_near(url))


def is_near(url: str) -> bool:
    """Say whether an address is on this machine by its text: `localhost`, 127.0.0.0/8 or [::1]."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
