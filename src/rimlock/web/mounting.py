"""Puts the gate, our routes and the documents onto an application, and nothing into its list of routes.

Threat: a host whose old answers change because something was fitted to it.
Source: docs/decisions/0004; measured: routes mounted before the host's own cost every request.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI
from fastapi.security.base import SecurityBase
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

from rimlock.core.access import ANYONE_KNOWN, Requirement, Stage, shortcoming
from rimlock.core.acting import Acting, begin, end
from rimlock.core.errors import AuthError, ConfigurationError
from rimlock.web.addresses import Network, client_address
from rimlock.web.gate import Gate
from rimlock.web.judge import DOOR, PASSAGE, Passage
from rimlock.web.openapi import fit_openapi, security_schemes
from rimlock.web.problems import problem, problem_handlers
from rimlock.web.route import AuthRoute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from rimlock.core.access import RuleBook
    from rimlock.settings import Settings
    from rimlock.web.judge import GateJudge
    from rimlock.web.routing import Target

__all__ = ["adopt", "mounted", "own_application", "own_router", "profile_application", "refuse_wildcard", "secured"]

ALWAYS_ANSWERED = ("/health", "/health/live")
"""Paths of ours that answer when nothing can be started: to say so is what they are for."""

STRANGER = "https://a-site-of-nobodys.invalid"
"""An origin that no host means: an expression that fits it fits every other."""

BUSIEST = ("/refresh", "/me", "/token", "/login")
"""Routes of ours that the router finds first, in this order. None of them hides another."""


def own_router(**options: Any) -> APIRouter:
    """Return a router for routes of ours: bounded bodies, no echo of what was sent, answers nobody stores."""
    return APIRouter(route_class=AuthRoute, **options)


def own_application(routers: Iterable[APIRouter]) -> FastAPI:
    """Return the application that answers under the prefix."""
    handlers: Any = problem_handlers()
    own = _Own(title="Rimlock", openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=handlers)
    # Standing side by side instead of one router in another: each of those is asked in turn, for every request.
    routes = [route for router in routers for route in router.routes]
    own.router.routes.extend(sorted(routes, key=_busy))
    return own


def mounted(app: Any, judge: GateJudge, own: FastAPI | None, beside: Sequence[FastAPI], settings: Settings) -> Gate:
    """Put the gate and our routes onto `app`. Raises ConfigurationError where that would not be safe."""
    refuse_wildcard(app)
    for one in [*([] if own is None else [own]), *beside]:
        one.add_middleware(_Prepared, judge=judge, proxies=settings.proxies)
    return Gate.install(app, judge, own=own, own_prefix=settings.prefix, beside=beside)


def profile_application(routers: Iterable[APIRouter], handlers: Mapping[Any, Any]) -> FastAPI:
    """Return the application of a profile. `handlers` answer errors in its dialect; what they leave is ours."""
    given: Any = {**problem_handlers(), **handlers}
    own = _Own(title="Rimlock", openapi_url=None, docs_url=None, redoc_url=None, exception_handlers=given)
    for router in routers:
        own.include_router(router)
    return own


def secured(
    app: Any,
    gate: Gate,
    own: FastAPI | None,
    beside: Sequence[FastAPI],
    settings: Settings,
    rules: Callable[[], RuleBook],
) -> None:
    """Show in the application's OpenAPI document what the rules demand, and our routes beside its own."""
    schemes = security_schemes(f"{settings.prefix}/token", tuple(settings.api_key_headers))
    token: list[dict[str, list[str]]] = [{"RimlockBearer": []}, {"RimlockPassword": []}]
    keys: list[dict[str, list[str]]] = [{f"RimlockKey-{header}": []} for header in settings.api_key_headers]

    def security_of(target: Target) -> list[dict[str, list[str]]] | None:
        ruling = rules().ruling(target.method, target.path)
        kinds = ruling.requirement.credentials or {"token", "key"}
        accepted = [*(token if "token" in kinds else []), *(keys if "key" in kinds else [])]
        if not ruling.permissive:
            return accepted
        partly = ruling.stage is Stage.REQUIRED or ruling.otherwise is not None
        return [*accepted, {}] if partly or ruling.stage is Stage.OPTIONAL else None

    fit_openapi(
        app,
        gate.table,
        schemes=schemes,
        security_of=security_of,
        own=[*([] if own is None else [(settings.prefix, own)]), *(("", one) for one in beside)],
        version=rules,
    )


def adopt(app: Any, check: Callable[..., Any], requirement: Requirement = ANYONE_KNOWN) -> None:
    """Let the host's own check pass for a principal that meets the requirement; others meet the check as before.

    The check is replaced through the application's `dependency_overrides`, with the same parameters, so that the
    OpenAPI document and the check's own answers stay what they were.
    """
    _refuse_unadoptable(check)
    signature = inspect.signature(check, eval_str=True)
    carrier = inspect.Parameter("rimlock_connection", inspect.Parameter.KEYWORD_ONLY, annotation=HTTPConnection)

    @functools.wraps(check)
    async def checked(*, rimlock_connection: HTTPConnection, **given: Any) -> Any:
        passage: Passage | None = rimlock_connection.scope.get(PASSAGE)
        if passage is not None and _may_pass(passage, requirement):
            return None
        return await _called(check, given)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()]
    checked.__signature__ = signature.replace(parameters=[*parameters, carrier])  # type: ignore[attr-defined]
    app.dependency_overrides[check] = checked


async def _called(check: Callable[..., Any], given: dict[str, Any]) -> Any:
    from starlette.concurrency import run_in_threadpool

    if inspect.iscoroutinefunction(check) or inspect.iscoroutinefunction(type(check).__call__):
        return await check(**given)
    found = await run_in_threadpool(check, **given)
    # A decorated check may hand out a coroutine from a plain function: not awaited, it would check nothing.
    return await found if inspect.isawaitable(found) else found


def _may_pass(passage: Passage, requirement: Requirement) -> bool:
    """Whether the gate knows somebody who lacks nothing, neither for the route nor for this check."""
    return passage.error is None and shortcoming(requirement, passage.principal, 0) is None


def _refuse_unadoptable(check: Any) -> None:
    """What yields, and the framework's own schemes, cannot be carried by another function."""
    plain = inspect.unwrap(check)
    yields = any(
        inspect.isgeneratorfunction(kind) or inspect.isasyncgenfunction(kind) for kind in (plain, type(plain).__call__)
    )
    if yields or isinstance(check, SecurityBase):
        raise ConfigurationError("this check cannot be adopted: write a function that calls it, and adopt that")


class _Own(FastAPI):
    """Our application. It answers inside a request of the host's, which the host's telemetry sees already."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super(FastAPI, self).__call__(scope, receive, send)


def _busy(route: Any) -> int:
    path = getattr(route, "path", "")
    return BUSIEST.index(path) if path in BUSIEST else len(BUSIEST)


class _Prepared:
    """Starts what is not started before the first request of ours, and lets our own dependencies find the door."""

    def __init__(self, app: ASGIApp, judge: GateJudge, proxies: Sequence[Network]) -> None:
        self._app = app
        self._judge = judge
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.pop(PASSAGE, None)  # an installation around this one may have left its own
        if not self._judge.prepared:
            try:
                await self._judge.ready()
            except Exception as error:
                if not scope["path"].endswith(ALWAYS_ANSWERED):
                    if not isinstance(error, AuthError) or scope["type"] != "http":
                        raise
                    await problem(error)(scope, receive, send)
                    return
        scope[DOOR] = self._judge.door
        token = begin(_who(scope, self._proxies))
        try:
            await self._app(scope, receive, send)
        finally:
            end(token)


def _who(scope: Scope, proxies: Sequence[Network]) -> Acting:
    sent = {b"user-agent": b"", b"accept-language": b""}
    sent |= {name: value for name, value in reversed(scope["headers"]) if name in sent}  # the first of each counts
    return Acting(
        address=client_address(scope, proxies),
        agent=sent[b"user-agent"][:500].decode("latin-1"),
        languages=sent[b"accept-language"][:200].decode("latin-1"),
    )


def refuse_wildcard(app: Any) -> None:
    """A wildcard with credentials makes Starlette answer every origin as if it were trusted."""
    for middleware in getattr(app, "user_middleware", ()):
        options = getattr(middleware, "kwargs", {})
        if middleware.cls is CORSMiddleware and options.get("allow_credentials") and _lets_anybody(options):
            raise ConfigurationError(
                'allow_origins=["*"] with allow_credentials=True lets every site act as your users; '
                'list them, like allow_origins=["https://app.example.com", *rimlock.DESKTOP_ORIGINS]'
            )


def _lets_anybody(options: dict[str, Any]) -> bool:
    expression = options.get("allow_origin_regex")
    return "*" in options.get("allow_origins", ()) or (
        expression is not None and re.fullmatch(expression, STRANGER) is not None
    )
