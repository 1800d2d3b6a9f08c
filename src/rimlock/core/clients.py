"""What program a caller is, in one short word: `chrome`, `curl`, `python-requests`, `lab-desktop`.

Threat: a stranger who fills a table with invented user agents.
Source: RFC 9110 section 10.1.5 (User-Agent).

Strangers are put into families that are known here; the word of a program nobody knows is only taken from callers
with a good credential, and only so many of them.
"""

from __future__ import annotations

import re

__all__ = ["Clients"]

OTHER, NONE = "other", "none"
MOST_AGENTS, MOST_LEARNT = 2_048, 100
LONGEST_AGENT = 300
"""Bytes of a user agent that are looked at and remembered; a header may be two hundred times as long."""

_BROWSERS = (
    (b"tauri", "tauri"),
    (b"electron/", "electron"),
    (b"edg/", "edge"),
    (b"opr/", "opera"),
    (b"firefox/", "firefox"),
    (b"chrome/", "chrome"),
    (b"safari/", "safari"),
)
_KNOWN = frozenset(
    {
        "aiohttp",
        "apache-httpclient",
        "axios",
        "curl",
        "dart",
        "go-http-client",
        "got",
        "guzzlehttp",
        "httpie",
        "java",
        "libwww-perl",
        "node",
        "node-fetch",
        "okhttp",
        "postmanruntime",
        "python",
        "python-httpx",
        "python-requests",
        "python-urllib",
        "reqwest",
        "ruby",
        "testclient",
        "undici",
        "wget",
    }
)
_PRODUCT = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class Clients:
    """Families of user agents, remembered by the bytes that were sent."""

    def __init__(self) -> None:
        """Know nothing but the common programs."""
        self._by_agent: dict[bytes, str] = {}
        self._learnt: set[str] = set()

    def family(self, agent: bytes | None, *, trusted: bool) -> str:
        """Return the family of a user agent. `trusted`: it came with a good credential."""
        if not agent:
            return NONE
        agent = agent[:LONGEST_AGENT]
        known = self._by_agent.get(agent)
        if known is None or (known is OTHER and trusted):
            known = self._read(agent, trusted=trusted)
            if len(self._by_agent) >= MOST_AGENTS:
                self._by_agent.clear()
            self._by_agent[agent] = known
        return known

    def _read(self, agent: bytes, *, trusted: bool) -> str:
        lowered = agent.lower()
        if lowered.startswith(b"mozilla/"):
            return next((name for sign, name in _BROWSERS if sign in lowered), OTHER)
        product = _PRODUCT.match(lowered)
        word = product[0].decode() if product else OTHER
        if word in _KNOWN or word in self._learnt:
            return word
        if not trusted or len(self._learnt) >= MOST_LEARNT:
            return OTHER
        self._learnt.add(word)
        return word
