"""Sends what the rules ask of other services.

Threat: an answer without end, or none at all; a redirect that carries a secret elsewhere; a compressed body that
    swells.
Source: OWASP ASVS 5.0 V1.3.6, V12.3, V13.2.4; RFC 9700 section 4.12 (redirects).

The address is judged again here. The environment's proxies are not used.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from rimlock.core.outgoing import Ask, NoReply, Reply, SenderMissing, is_sound

if TYPE_CHECKING:
    import httpx2

__all__ = ["Sender"]

LONGEST = 1024 * 1024
SECONDS = 10.0
CONNECT_SECONDS = 5.0


class Sender:
    """See core.outgoing.Send. One set of connections for each event loop."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        """Open nothing yet. `seconds`: how long a request may take in all."""
        self._seconds = seconds
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()

    async def __call__(self, ask: Ask, /) -> Reply:
        """Return the answer. Raises NoReply, SenderMissing."""
        if not is_sound(ask.url, near=True):
            raise NoReply("address_refused")
        client = self._client()
        from httpx2 import HTTPError, InvalidURL

        try:
            async with asyncio.timeout(self._seconds):
                return await _sent(client, ask)
        except TimeoutError:
            raise NoReply("timeout") from None
        except (HTTPError, InvalidURL):
            raise NoReply("unreachable") from None

    async def close(self) -> None:
        """Give the connections of this loop back."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            found = self._clients[loop] = _made()
        return found


def _made() -> httpx2.AsyncClient:
    try:
        import httpx2
    except ImportError:
        raise SenderMissing("Asking other services needs another package: pip install 'rimlock[social]'") from None
    timeout = httpx2.Timeout(SECONDS, connect=CONNECT_SECONDS)
    return httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=timeout)


async def _sent(client: Any, ask: Ask) -> Reply:
    method = "GET" if ask.form is None else "POST"
    headers = {"Accept-Encoding": "identity", "User-Agent": "rimlock", **ask.headers}
    async with client.stream(method, ask.url, data=ask.form, headers=headers) as answer:
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise NoReply("encoded")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > LONGEST:
                raise NoReply("too_large")
        return Reply(status=answer.status_code, body=bytes(body))
