"""Canary requests that prove at start-up that a refusal holds.

Threat: a framework release or a host's arrangement in which the gate is no longer on the way, and nobody notices.
Source: ecosystem practice of synthetic probes; ASGI 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex
from typing import Any

from starlette.types import ASGIApp, Message, Scope

from rimlock.core.errors import AuthError, ConfigurationError, CredentialMissing, Unavailable
from rimlock.web.problems import Refusal
from rimlock.web.routing import versions

__all__ = ["CanaryFailure", "layers", "prove"]

_DEEPEST = 100
_MARK = "rimlock.canary"


async def prove(gate: Any, router: Any) -> None:
    """Send canaries through the router as the host's middleware would, and require each to be refused.

    Only canaries meet the refusing judge: requests that arrive meanwhile meet the real one. They have a path of their
    own and carry no body. Raises `ConfigurationError` when one passes.
    """
    _require_on_the_way(gate, router)
    judge = gate._judge  # noqa: SLF001 - the gate's own self-test
    gate._judge = _canary_judge(judge)  # noqa: SLF001 - the same
    try:
        for failing in (False, True):
            await _require_http(router, failing=failing)
            await _require_socket(router, failing=failing)
    finally:
        gate._judge = judge  # noqa: SLF001 - the same


class CanaryFailure(Exception):
    """Raised by the canary judge, to see a failing judge refuse."""


def _canary_judge(judge: Any) -> Any:
    def canary(scope: Scope, target: Any) -> Any:
        mark = scope.get(_MARK)
        if mark is None:
            return judge(scope, target)
        if mark:
            raise CanaryFailure
        return CredentialMissing()

    return canary


def layers(router: Any) -> Iterator[ASGIApp]:
    """Yield what stands around the router, the outermost first, as far as layers name what is inside them."""
    layer: Any = getattr(router, "middleware_stack", None)
    for _ in range(_DEEPEST):
        if layer is None:
            return
        yield layer
        layer = getattr(layer, "app", None)


def _require_on_the_way(gate: Any, router: Any) -> None:
    if not any(layer is gate for layer in layers(router)):
        raise ConfigurationError(
            f"{versions()}: the gate is not around the router. Install it again, as the last step."
        )


def _scope(kind: str, *, failing: bool) -> Scope:
    path = f"/rimlock-canary-{token_hex(8)}"
    scope: Scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "subprotocols": [],
        _MARK: failing,
    }
    return {**scope, "method": "GET"} if kind == "http" else scope


async def _nothing() -> Message:
    raise CanaryFailure


async def _ignore(_: Message) -> None:
    return


async def _require_http(router: Any, *, failing: bool) -> None:
    expected: type[AuthError] = Unavailable if failing else CredentialMissing
    try:
        await router(_scope("http", failing=failing), _nothing, _ignore)
    except Refusal as refusal:
        if isinstance(refusal.error, expected):
            return
    except Exception as passed:
        raise _broken("an HTTP request") from passed
    raise _broken("an HTTP request")


async def _require_socket(router: Any, *, failing: bool) -> None:
    expected = 4503 if failing else 4401
    sent: list[Message] = []

    async def record(message: Message) -> None:
        sent.append(message)

    try:
        await router(_scope("websocket", failing=failing), _nothing, record)
    except Exception as passed:
        raise _broken("a websocket") from passed
    if [message.get("code") for message in sent] != [expected]:
        raise _broken("a websocket")


def _broken(what: str) -> ConfigurationError:
    return ConfigurationError(f"{versions()}: {what} that was to be refused reached the application. Do not serve it.")
