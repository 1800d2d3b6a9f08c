"""Who may reach a route: stages, requirements and the one function that decides.

Threat: a route nothing names; a rule weakened by a broader one; a bad token that hides a good key, or is hidden by it.
Source: design section 5; OWASP ASVS 5.0 V8.2.1, V8.3.1.

All of it is values and pure functions. The gate and the dependencies both ask `decide`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError, CredentialMissing, FreshLoginRequired, PermissionMissing

if TYPE_CHECKING:
    from rimlock.core.errors import AuthError
    from rimlock.core.principal import CredentialKind, Principal

__all__ = [
    "ANYONE_KNOWN",
    "METHODS",
    "Decision",
    "Permissions",
    "Requirement",
    "Rule",
    "RuleBook",
    "Ruling",
    "Stage",
    "decide",
    "parse_pattern",
]

METHODS = frozenset(
    {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "QUERY",
        "WS",
        "MOUNT",
        "FRONTEND",
        "*",
    }
)


class Stage(StrEnum):
    """How far a route is turned.

    open: as before. observe: as before, and who would be refused is recorded. optional: identified when possible,
    the rest let through. required: a fitting credential, or refused.
    """

    OPEN = "open"
    OBSERVE = "observe"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What a principal must bring. Empty sets ask for nothing; `any_role` needs one of them, the others all.

    `credentials`: the kinds that count here. `fresh`: the sign-in may be at most so many seconds old.
    """

    credentials: frozenset[CredentialKind] = frozenset()
    any_role: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    fresh: int | None = None


ANYONE_KNOWN = Requirement()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of configuration: which routes, how far turned, what they demand, and who says so.

    `pattern` is `METHOD /template`, `/template` for all methods; a last segment `**` stands for everything below.
    `stage` None leaves the stage to other rules, `requirement` None the demand.
    """

    pattern: str
    stage: Stage | None = None
    requirement: Requirement | None = None
    source: str = "code"

    def __post_init__(self) -> None:
        """Refuse a pattern that can match nothing. Raises ConfigurationError."""
        parse_pattern(self.pattern)

    def covers(self, method: str, path: str) -> bool:
        """Say whether the rule speaks of this route."""
        wanted, expression, _ = parse_pattern(self.pattern)
        return wanted in {"*", method, "GET" if method == "HEAD" else method} and expression.fullmatch(path) is not None

    @property
    def precision(self) -> tuple[int, int, int]:
        """Greater for the rule that says more exactly what it means."""
        wanted, _, template = parse_pattern(self.pattern)
        exact = not template.endswith("**")
        return exact, len(template), wanted != "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What is in force for one route, and where each half of it comes from."""

    stage: Stage
    requirement: Requirement
    stage_source: str
    requirement_source: str
    stated: bool
    """False when no rule names the route and the default applies."""


@dataclass(frozen=True)
class RuleBook:
    """All rules. The sources are ordered: a run-time change over `rimlock.toml` over code."""

    code: tuple[Rule, ...] = ()
    file: tuple[Rule, ...] = ()
    running: tuple[Rule, ...] = ()
    default: Stage = Stage.OPEN
    _known: dict[tuple[str, str], Ruling] = field(default_factory=dict, compare=False, repr=False)

    def ruling(self, method: str, path: str) -> Ruling:
        """Return what is in force for a route template; computed once per route."""
        key = (method, path)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._rule(method, path)
        return found

    @cached_property
    def fallback(self) -> Ruling:
        """What is in force where the router matches nothing."""
        return Ruling(
            stage=self.default,
            requirement=ANYONE_KNOWN,
            stage_source="default",
            requirement_source="default",
            stated=False,
        )

    def with_running(self, running: Iterable[Rule]) -> RuleBook:
        """Return the same book with other run-time changes."""
        return replace(self, running=tuple(running), _known={})

    def _rule(self, method: str, path: str) -> Ruling:
        sources = (self.running, self.file, self.code)
        stage = _best(
            (rule for rule in source if rule.stage is not None and rule.covers(method, path)) for source in sources
        )
        demand = _best(
            (rule for rule in source if rule.requirement is not None and rule.covers(method, path))
            for source in sources
        )
        return Ruling(
            stage=stage.stage if stage and stage.stage else self.default,
            requirement=demand.requirement if demand and demand.requirement else ANYONE_KNOWN,
            stage_source=stage.source if stage else "default",
            requirement_source=demand.source if demand else "default",
            stated=stage is not None,
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a request. `error`: why it is refused, or would be once the route is required."""

    principal: Principal | None
    error: AuthError | None
    refused: bool


def decide(
    stage: Stage, requirement: Requirement, principal: Principal | None, bad: AuthError | None, now: float
) -> Decision:
    """Judge what a request brought. `bad`: why a credential of ours that it carried does not count.

    In `required` a bad credential refuses even when another one is good. In the stages before, it is only recorded.
    """
    error = bad or shortcoming(requirement, principal, now)
    return Decision(principal, error, refused=error is not None and stage is Stage.REQUIRED)


def shortcoming(requirement: Requirement, principal: Principal | None, now: float) -> AuthError | None:
    """Say what the principal lacks, or None. The most basic lack is named first."""
    if principal is None:
        return CredentialMissing()
    if requirement.credentials and principal.kind not in requirement.credentials:
        return PermissionMissing("This kind of credential is not accepted here.")
    if not _satisfied(requirement, principal):
        return PermissionMissing()
    if requirement.fresh is not None and now - principal.auth_time > requirement.fresh:
        return FreshLoginRequired()
    return None


@dataclass(frozen=True)
class Permissions:
    """Roles and what they allow. `*` allows everything; `area:*` everything of an area."""

    by_role: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, roles: frozenset[str]) -> frozenset[str]:
        """Return what any of the roles allow."""
        return frozenset().union(*(self.by_role.get(role, frozenset()) for role in roles))


def allows(granted: frozenset[str], wanted: str) -> bool:
    """Say whether one of the granted permissions covers the wanted one."""
    return wanted in granted or "*" in granted or f"{wanted.rpartition(':')[0]}:*" in granted


@lru_cache(maxsize=2048)
def parse_pattern(pattern: str) -> tuple[str, re.Pattern[str], str]:
    """Return the method, the expression for the path and its template. Raises ConfigurationError."""
    method, _, template = pattern.strip().rpartition(" ")
    method = method.strip().upper() or "*"
    if method not in METHODS or not template.startswith("/"):
        raise ConfigurationError(
            f"{pattern!r} is no route pattern; write 'GET /items/{{id}}', '/items/{{id}}' or '/items/**'"
        )
    if "*" in template.removesuffix("/**"):
        raise ConfigurationError(f"{pattern!r}: only a last segment ** stands for other routes")
    if not template.endswith("**"):
        return method, re.compile(re.escape(template)), template
    return method, re.compile(re.escape(template.removesuffix("**").rstrip("/")) + "(/.*)?"), template


def _best(sources: Iterable[Iterable[Rule]]) -> Rule | None:
    """Return the most exact rule of the first source that has one; of equals the last."""
    for rules in sources:
        found = sorted(rules, key=lambda rule: rule.precision)
        if found:
            return found[-1]
    return None


def _satisfied(requirement: Requirement, principal: Principal) -> bool:
    return (
        (not requirement.any_role or not requirement.any_role.isdisjoint(principal.roles))
        and requirement.scopes <= principal.scopes
        and all(allows(principal.permissions, wanted) for wanted in requirement.permissions)
    )
