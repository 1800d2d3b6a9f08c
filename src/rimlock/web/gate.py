"""The gate: asks a judge about every request before the host's router runs, and before a body is read.

Threat: a route that is reached without a decision; a failure inside the decision that lets the request through.
Source: ASGI 3.0 (HTTP, WebSocket and its denial-response extension); held to six FastAPI releases by tests/matrix.

It stands around `router.middleware_stack`: inside the host's middleware and exception handlers, so that a refusal has
the host's CORS headers and the host's form, and outside everything the router does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from rimlock.core.errors import AuthError, ConfigurationError, Unavailable
from rimlock.core.retirements import Notice
from rimlock.web.gate_canary import CanaryFailure, layers, prove
from rimlock.web.gate_own import OwnRoutes
from rimlock.web.problems import Refusal, problem
from rimlock.web.routing import RouteTable, Target, versions
from rimlock.web.routing_shapes import inner_router
from rimlock.web.telling import serve, telling

__all__ = ["Gate", "Judge", "Verdict"]

Verdict = AuthError | Notice | None
"""None lets the request through; a notice does too, and its headers go with the answer."""

_JUDGED = frozenset({"http", "websocket"})
_CLOSE_CODES = {401: 4401, 403: 4403, 503: 4503}

_log = logging.getLogger("rimlock.gate")


class Judge(Protocol):
    """Decides on one request. Called with the scope and the route, None where the router would answer by itself."""

    def __call__(self, scope: Scope, target: Target | None) -> Verdict | Awaitable[Verdict]:
        """Return None to let the request through, an `AuthError` to refuse it, or an awaitable of either."""
        ...


class Gate:
    """Stands in front of one application's router.

    `own` is an application of ours that answers under `own_prefix` without standing in the host's route list;
    `own_paths` says which paths below the prefix it knows (worked out from its routes when None). `beside` are others
    of ours, whose paths are whole. Their routes are not judged here: they carry their own requirements.
    `close_after_accept`: browsers (known by their Origin header) get websockets accepted and then closed with 4401,
    4403 or 4503, the only way a script can read the reason.
    """

    __slots__ = ("_close_after_accept", "_inner", "_judge", "_off", "_overhear", "_owns", "_router", "_table")

    def __init__(
        self,
        app: Any,
        judge: Judge,
        *,
        own: ASGIApp | None = None,
        own_prefix: str = "",
        own_paths: Callable[[str], bool] | None = None,
        beside: Sequence[ASGIApp] = (),
        close_after_accept: bool = False,
    ) -> None:
        """Prepare a gate for `app`; `install` puts it in place. Raises `ConfigurationError` where it could not hold."""
        self._router = _router_of(app)
        self._table = RouteTable(app)
        self._owns: tuple[OwnRoutes, ...] = ()
        if own is not None:
            _require_prefix(own_prefix)
            self._owns = (OwnRoutes(own, own_prefix, own_paths, self._table),)
        for one in beside:
            self._owns = (*self._owns, OwnRoutes(one, "", None, self._table, self._owns))
        self._judge = judge
        # What a caller of ours is told whose credential is being retired. Only a judge who knows such has it.
        self._overhear: Callable[[Scope], Notice | None] | None = getattr(judge, "overhear", None)
        self._close_after_accept = close_after_accept
        self._inner: ASGIApp = self._router.middleware_stack
        self._off = False

    @classmethod
    def install(cls, app: Any, judge: Judge, **options: Any) -> Gate:
        """Put a gate around the router of `app`, started or not. With the same judge again: the same gate."""
        router = _router_of(app)
        present = next((layer for layer in layers(router) if isinstance(layer, Gate) and layer.judge is not None), None)
        if present is None:
            router.middleware_stack = gate = cls(app, judge, **options)
            return gate
        if present.judge != judge:
            raise ConfigurationError("This application already has a gate with another judge; remove that one first.")
        return present

    def remove(self) -> None:
        """Put the router back as it was. Safe to repeat; where another layer holds the gate, the gate steps aside."""
        self._off = True
        if self._router.middleware_stack is self:
            self._router.middleware_stack = self._inner

    def stands_on(self, app: Any) -> bool:
        """Say whether this gate was put on that application and is still there."""
        return not self._off and inner_router(app) is self._router

    @property
    def judge(self) -> Judge | None:
        """Who decides; None once the gate is removed."""
        return None if self._off else self._judge

    @property
    def table(self) -> RouteTable:
        """The host's routes, as the gate sees them."""
        return self._table

    @property
    def owns(self) -> tuple[OwnRoutes, ...]:
        """Our own routes, which are not judged here: those under the prefix, and those of profiles."""
        return self._owns

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one connection. What need not wait is done here: one coroutine less for every request of the host."""
        if self._off or scope["type"] not in _JUDGED:
            return self._inner(scope, receive, send)
        for own in self._owns:
            if (own_scope := own.claim(scope)) is not None:
                notice = None if self._overhear is None else self._overhear(own_scope)
                return own.app(own_scope, receive, send if notice is None else telling(notice, send))
        try:
            verdict = self._judge(scope, self._table.resolve(scope))
        except AuthError as refused:
            verdict = refused
        except Exception as failure:  # noqa: BLE001 - whatever failed, the request is not let through
            verdict = _failed(failure)
        if verdict is None:
            return self._inner(scope, receive, send)
        return self._settle(verdict, scope, receive, send)

    async def _settle(
        self, verdict: AuthError | Notice | Awaitable[Verdict], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Wait for the verdict where that is needed, and act on it."""
        settled: Verdict
        try:
            settled = verdict if isinstance(verdict, AuthError | Notice) else _sound(await verdict)
        except AuthError as refused:
            settled = refused
        except Exception as failure:  # noqa: BLE001 - whatever failed, the request is not let through
            settled = _failed(failure)
        if settled is None:
            return await self._inner(scope, receive, send)
        if isinstance(settled, Notice):
            return await serve(self._inner, settled, scope, receive, send)
        return await self._refuse(settled, scope, receive, send)

    async def _refuse(self, verdict: AuthError, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raise Refusal(verdict)
        if self._close_after_accept and _from_browser(scope):
            await _accept_and_close(verdict, scope, receive, send)
        elif "websocket.http.response" in scope.get("extensions", {}):
            await problem(verdict)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": _close_code(verdict), "reason": verdict.code})

    async def self_test(self) -> None:
        """Prove with canaries that a refusal stops HTTP and websockets; raise `ConfigurationError` otherwise."""
        await prove(self, self._router)


def _router_of(app: Any) -> Any:
    router = inner_router(app)
    if router is None or not hasattr(router, "middleware_stack"):
        raise ConfigurationError(
            f"{versions()}: there is no `router.middleware_stack` on {type(app).__qualname__} to stand around. "
            "Use FastAPI 0.115 or newer."
        )
    return router


def _require_prefix(prefix: str) -> None:
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise ConfigurationError(f"own_prefix={prefix!r} has to begin with a slash and to end without one.")


def _sound(verdict: Verdict) -> Verdict:
    """Return the verdict if it is one: anything else, False and True too, is a judge that failed."""
    if verdict is not None and not isinstance(verdict, AuthError | Notice):
        raise TypeError(f"a judge answered {type(verdict).__name__}")
    return verdict


def _failed(failure: Exception) -> Unavailable:
    if isinstance(failure, CanaryFailure):
        return Unavailable()
    # Only the type and the place: a message may quote a credential.
    trace = failure.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "?"
    _log.error("no decision, request refused: %s in %s", type(failure).__name__, place)
    return Unavailable()


def _from_browser(scope: Scope) -> bool:
    return any(name == b"origin" for name, _ in scope["headers"])


def _close_code(verdict: AuthError) -> int:
    return _CLOSE_CODES.get(verdict.status, 4000 + verdict.status)


async def _accept_and_close(verdict: AuthError, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    # A browser that offered protocols drops a connection that names none. The first is a name; a token may follow it.
    offered = scope.get("subprotocols") or [None]
    await send({"type": "websocket.accept", "subprotocol": offered[0], "headers": list(verdict.headers)})
    await send({"type": "websocket.close", "code": _close_code(verdict), "reason": verdict.code})
