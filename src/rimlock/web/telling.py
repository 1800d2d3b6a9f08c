"""Puts a notice on the answer: on the first message of it, whoever sends that, and beside what the host says itself.

Threat: a header of the host's that is overwritten; an answer that waits for us; a second Deprecation that voids both.
Source: RFC 9745 section 2 and RFC 8594 section 3 (one value each); RFC 8288 section 3 (Link is a list).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from rimlock.core.retirements import Headers, Notice

__all__ = ["Late", "serve", "telling"]

PATIENCE_SECONDS = 0.1
"""How long the first message of an answer waits for the credential to be looked up, when that is not done by then."""

_BEGINNINGS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_SINGLE = frozenset({b"deprecation", b"sunset"})


class Late:
    """A notice that is looked for while the request, which waits for nothing, is on its way."""

    __slots__ = ("_headers", "_known")

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known = asyncio.Event()
        self._headers: Headers = ()

    def settle(self, notice: Notice | None) -> None:
        """Say what was found: None, where there is nothing to tell."""
        self._headers = () if notice is None else notice.headers
        self._known.set()

    async def headers(self) -> Headers:
        """Return what was found, nothing when that takes too long."""
        if not self._known.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._known.wait()
        return self._headers


def telling(notice: Notice, send: Send) -> Send:
    """Let the first message of the answer carry the notice."""

    async def told(message: Message) -> None:
        if message["type"] in _BEGINNINGS:
            theirs = list(message.get("headers", ()))
            message = {**message, "headers": [*theirs, *_beside(theirs, await _found(notice))]}
        await send(message)

    return told


async def serve(app: ASGIApp, notice: Notice, scope: Scope, receive: Receive, send: Send) -> None:
    """Let `app` answer, and tell its caller. What it raises for others to answer takes the notice along."""
    try:
        await app(scope, receive, telling(notice, send))
    except HTTPException as raised:
        theirs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (raised.headers or {}).items()]
        told = _joined(raised.headers or {}, _beside(theirs, await _found(notice)))
        raise _like(raised, told).with_traceback(raised.__traceback__) from raised.__cause__


def _like(raised: HTTPException, headers: dict[str, str]) -> HTTPException:
    """Return the same with other headers. An application may raise the one it has for every caller."""
    told = type(raised).__new__(type(raised), *raised.args)
    vars(told).update(vars(raised), headers=headers)
    return told


async def _found(notice: Notice) -> Headers:
    return notice.headers if notice.later is None else await notice.later()


def _beside(theirs: list[tuple[bytes, bytes]], ours: Headers) -> Headers:
    """Leave out what is said already: by a refusal of ours, or by the host where it may be said once only."""
    known = [(bytes(name).lower(), bytes(value)) for name, value in theirs]
    said = {name for name, _ in known} & _SINGLE
    return tuple(pair for pair in ours if pair[0] not in said and pair not in known)


def _joined(theirs: object, ours: Headers) -> dict[str, str]:
    """Return headers as a mapping, where links of both stand in one value."""
    joined: dict[str, str] = dict(theirs)  # type: ignore[call-overload]
    for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in ours):
        present = next((known for known in joined if known.lower() == name), name)
        joined[present] = f"{joined[present]}, {value}" if present in joined else value
    return joined
