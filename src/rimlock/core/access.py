"""Who may reach a route: stages, requirements and the one function that decides.

Threat: a route nothing names; a rule weakened by a broader one; a bad token that hides a good key, or is hidden by it.
Source: design section 5; OWASP ASVS 5.0 V8.2.1, V8.3.1.

All of it is values and pure functions. The gate and the dependencies both ask `decide`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from enum import StrEnum
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from rimlock.core.errors import ConfigurationError, CredentialMissing, FreshLoginRequired, PermissionMissing
from rimlock.core.retirements import CredentialRetired

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
    "end_of",
    "parse_pattern",
    "share_of",
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
    `stage` None leaves the stage to other rules, `requirement` None the demand. `percent`: for how many callers of a
    hundred the stage holds; the others keep what is in force without this rule. `until`: when a permissive stage is to
    be over, a date (its end, UTC) or seconds since the epoch; later it still holds, and is complained about.
    """

    pattern: str
    stage: Stage | None = None
    requirement: Requirement | None = None
    source: str = "code"
    percent: int = 100
    until: int | date | None = None

    def __post_init__(self) -> None:
        """Refuse a pattern that can match nothing. Raises ConfigurationError."""
        parse_pattern(self.pattern)
        if not 0 <= self.percent <= 100:  # noqa: PLR2004 - it is a percentage
            raise ConfigurationError(f"{self.pattern!r}: percent lies between 0 and 100")
        if isinstance(self.until, date):
            object.__setattr__(self, "until", end_of(self.until))

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
    until: int | None = None
    """When a permissive stage is to be over, in seconds since the epoch."""
    percent: int = 100
    """For how many callers of a hundred this holds."""
    otherwise: Ruling | None = None
    """What holds for the others; None where it holds for all."""

    @property
    def permissive(self) -> bool:
        """Whether somebody is let through here who would be refused in the end."""
        return self.stage is not Stage.REQUIRED or self.otherwise is not None

    def overdue(self, now: float) -> bool:
        """Whether it lets through longer than it was to."""
        late = self.permissive and self.until is not None and self.until < now
        return late or (self.otherwise is not None and self.otherwise.overdue(now))

    def for_share(self, share: int) -> Ruling:
        """Return what holds for a caller with this share of 0 to 99."""
        return self if self.otherwise is None or share < self.percent else self.otherwise.for_share(share)


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

    def _rule(self, method: str, path: str, without: tuple[Rule, ...] = ()) -> Ruling:
        sources = (self.running, self.file, self.code)
        covering = [[rule for rule in source if rule.covers(method, path)] for source in sources]
        stage = _best([rule for rule in rules if rule.stage is not None and rule not in without] for rules in covering)
        demand = _best([rule for rule in rules if rule.requirement is not None] for rules in covering)
        partial = stage is not None and stage.percent < 100  # noqa: PLR2004 - it is a percentage
        return Ruling(
            stage=stage.stage if stage and stage.stage else self.default,
            requirement=demand.requirement if demand and demand.requirement else ANYONE_KNOWN,
            stage_source=stage.source if stage else "default",
            requirement_source=demand.source if demand else "default",
            stated=stage is not None,
            until=_seconds(stage.until) if stage else None,
            percent=stage.percent if stage else 100,
            otherwise=self._rule(method, path, (*without, stage)) if stage and partial else None,
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

    In `required` a bad credential refuses even when another one is good. In the stages before, it is only recorded,
    but for one that is being retired, with no good one beside it: its brownout has to be felt wherever credentials
    are looked at.
    """
    error = bad or shortcoming(requirement, principal, now)
    retired = stage is Stage.OPTIONAL and principal is None and isinstance(error, CredentialRetired)
    return Decision(principal, error, refused=error is not None and (stage is Stage.REQUIRED or retired))


def share_of(caller: str, salt: bytes = b"") -> int:
    """Return where a caller stands among a hundred, 0 to 99: always the same; not to be worked out without the salt.

    Who is known stands where they stand. A stranger is named by what they send, and may try until it suits them.
    """
    return int.from_bytes(blake2b(caller.encode(errors="replace"), digest_size=8, key=salt).digest(), "big") % 100


def end_of(day: date) -> int:
    """Return the end of a day, UTC, in seconds since the epoch; of a moment the moment."""
    if isinstance(day, datetime):
        return int((day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp())
    return int(datetime.combine(day, time(23, 59, 59), UTC).timestamp())


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


def _seconds(until: int | date | None) -> int | None:
    return end_of(until) if isinstance(until, date) else until


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
